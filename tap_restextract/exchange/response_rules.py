"""Response rules: what the configuration says of answers that mean something else than their status does.

The first rule whose conditions all hold decides. Conditions of one rule are all needed, since a rule that matches too
much hides records; what should match either way is written as two rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from tap_restextract.config.streams import ResponseRule
from tap_restextract.exchange.answer import Answer
from tap_restextract.exchange.retry import Verdict
from tap_restextract.values.paths import MISSING, find

ERROR_PATHS: Final = ("message", "detail", "error_description", "error", "title")
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


def error_texts(body: Any) -> Iterator[str]:
    """Return an API's own words for an error, from the places where they usually stand; a text is all words."""
    if isinstance(body, str):
        yield body
    if not isinstance(body, dict):
        return
    for name in ERROR_PATHS:
        value = body.get(name)
        if isinstance(value, dict):
            value = value.get("message")
        if isinstance(value, str) and value:
            yield value
    errors = body.get("errors")
    for error in errors if isinstance(errors, list) else ():
        yield from error_texts(error)


def _fits(rule: ResponseRule, answer: Answer) -> bool:
    if rule.http_codes and answer.status not in rule.http_codes:
        return False
    if rule.predicate is not None and not _holds(rule, answer.body):
        return False
    part = rule.error_message_contains
    return part is None or any(part.lower() in error_text.lower() for error_text in error_texts(answer.body))


def _holds(rule: ResponseRule, body: Any) -> bool:
    """Return whether the predicate finds what it should: the value of `equals`, or anything but null, false and emptiness."""
    value = find(rule.predicate or "", body)
    if isinstance(rule.equals, (str, bool, int, float)):
        return bool(value == rule.equals) and isinstance(value, bool) == isinstance(rule.equals, bool)
    return value is not MISSING and value not in (None, False, "", [], {})
