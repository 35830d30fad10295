"""What an answer means: accepted, ignored, redirected, refused, or worth another try."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from tap_restextract.config.streams import StreamSettings
from tap_restextract.errors import AnswerError, QuotaError
from tap_restextract.exchange import rates, response_rules, retry
from tap_restextract.exchange.answer import Answer
from tap_restextract.exchange.media import is_page
from tap_restextract.exchange.retry import TransientError, Verdict

# A field for a password, in what is not JSON: a login page, which no other try will turn into an answer.
_LOGIN: Final = re.compile(r"<input\b[^>]*\btype\s*=\s*[\"']?password\b", re.IGNORECASE)


class JudgedAnswer(NamedTuple):
    """An answer and what it means; `rule` is the deciding response rule's index, `why` why no redirect was followed."""

    answer: Answer
    verdict: Verdict
    rule: int | None = None
    why: str = ""


def judge(stream: StreamSettings, answer: Answer, named: Callable[[], str], now: float) -> JudgedAnswer:
    """Judge an answer by the first response rule that fits, else by its status and content.

    Args:
        stream: whose answer it is.
        answer: as it came.
        named: gives stream and request as messages name them.
        now: this machine's clock, in seconds since the epoch, for an answer without a Date.

    Raises:
        TransientError: where it is worth another try.
        AnswerError: where it is not JSON, and never will be.
        QuotaError: where the API asks for too long a wait.
    """
    rules, quotas = stream.response_rules, answer.facts.quotas
    rule = response_rules.matching_rule(rules, answer)
    if rule is not None:
        verdict = response_rules.VERDICTS[rules[rule].action]
        because = f", which is a case of {response_rules.rule_name(rules, rule)}"
    else:
        verdict, because = retry.verdict(answer.status), ""
        # 403 is a limit where the API says how long to wait: GitHub's secondary limits, Google's, some gateways'.
        if answer.status == 403 and (
            (retry.retry_after(answer.headers, now) or 0) > 0 or rates.exhausted(quotas) is not None
        ):
            verdict = Verdict.RATE_LIMITED
    if verdict in {Verdict.RETRY, Verdict.RATE_LIMITED}:
        limited = verdict is Verdict.RATE_LIMITED
        wait = retry.retry_after(answer.headers, now)
        stated = "with Retry-After"
        if wait is None and limited:
            wait, stated = rates.exhausted(quotas), "with a quota that is empty for"
        if wait is not None and wait > stream.max_wait:
            raise quota_error(stream, named(), f"was answered {answer.status} {stated} {wait:.0f} s{because},")
        raise TransientError(f"answered {answer.status}{because}", wait, limited=limited, said=answer.own_words)
    if verdict is Verdict.ACCEPT and answer.fault and (answer.status != 204 or answer.body is not None):
        if isinstance(answer.body, str) and _LOGIN.search(answer.body):
            raise AnswerError(
                f"{named()} was answered by a login page ({answer.fault}); check the "
                "credentials (auth and its secrets), and that base_url is the API's address, not that of its pages for people"
            )
        if answer.remedy:
            raise AnswerError(f"{named()} was answered {answer.fault}, and isn't tried again: {answer.remedy}")
        page = " (a page for people, as gateways send in passing)" if is_page(answer.headers) else ""
        raise TransientError(f"answered {answer.fault}{page}")
    return JudgedAnswer(answer, verdict, rule)


def quota_error(stream: StreamSettings, request: str, what: str) -> QuotaError:
    """Name the quota that is empty for longer than a run waits.

    Args:
        stream: whose `max_wait` it is.
        request: stream and request as messages name them.
        what: what became of the request, and for how many seconds.
    """
    return QuotaError(
        f"{request} {what} more than max_wait ({stream.max_wait:.0f} s) allows; "
        "run again then, or raise max_wait: STATE is where the last page was written",
        stream.quota_exit_code,
    )
