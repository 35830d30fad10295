"""Response rules: what the configuration says of answers that mean something else than their status does.

The first rule whose conditions all hold decides. Conditions of one rule are all needed, since a rule that matches too
much hides records; what should match either way is written as two rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tap_restextract.config.streams import ResponseRule
from tap_restextract.exchange.answer import Answer
from tap_restextract.exchange.error_texts import error_texts
from tap_restextract.exchange.retry import Verdict
from tap_restextract.values.paths import MISSING, find

VERDICTS: Final = {
    "RETRY": Verdict.RETRY,
    "IGNORE": Verdict.IGNORE,
    "FAIL": Verdict.REFUSE,
    "RATE_LIMITED": Verdict.RATE_LIMITED,
    "REFRESH_TOKEN": Verdict.UNAUTHORIZED,
}


def matching_rule(rules: Sequence[ResponseRule], answer: Answer) -> int | None:
    """Return the index of the first rule that fits the answer."""
    return next((index for index, rule in enumerate(rules) if _fits(rule, answer)), None)


def rule_name(rules: Sequence[ResponseRule], index: int) -> str:
    """Return a rule as messages name it, by its index in the list."""
    return f"response_rules[{index}] ({rules[index].action})"


def _fits(rule: ResponseRule, answer: Answer) -> bool:
    if rule.http_codes and answer.status not in rule.http_codes:
        return False
    if rule.predicate is not None and not _holds(rule, answer.body):
        return False
    part = rule.error_message_contains
    if part is None:
        return True
    body = answer.body
    if answer.status < 400:
        if isinstance(body, list):  # records, which may have messages and codes of their own
            return False
        if isinstance(body, dict) and isinstance(body.get("errors"), dict):  # of some records, beside the others
            body = {key: value for key, value in body.items() if key != "errors"}
    return any(part.lower() in text.lower() for text in error_texts(body))


def _holds(rule: ResponseRule, body: Any) -> bool:
    """Return whether the predicate finds the value of `equals`, or else anything but null, false and empty."""
    value = find(rule.predicate or "", body)
    if isinstance(rule.equals, (str, bool, int, float)):
        return bool(value == rule.equals) and isinstance(value, bool) == isinstance(rule.equals, bool)
    return value is not MISSING and value not in (None, False, "", [], {})
