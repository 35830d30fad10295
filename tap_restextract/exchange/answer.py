"""Answers as values: the facts of one answer, each read once, and the body that its bytes are."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct

from tap_restextract.exchange import rates
from tap_restextract.exchange.media import media_type, never_json
from tap_restextract.exchange.rates import Quota
from tap_restextract.exchange.retry import http_date
from tap_restextract.values.rows import any_json

GONE: Final = frozenset({404, 410})
"""Statuses that say of one record, or of one parent, that it is gone."""
OUT_OF_RANGE: Final = "value out of range"
"""What msgspec says of a whole number that it can't hold."""
MAX_ERROR_BYTES: Final = 1 << 16
MAX_SHOWN_CHARACTERS: Final = 40

# An escaped backslash, a surrogate pair, or half of one, which is no character though APIs send it: a text that they
# cut in an emoji. Neither UTF-8 nor a database can hold it, and one such text must not stop a stream for ever.
_ESCAPES: Final = re.compile(
    rb"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


class AnswerFacts(Struct, frozen=True):
    """What an answer's status and headers say.

    Attributes:
        status: the HTTP status.
        headers: under lower-case names.
        server_time: the server's clock (the Date header) in seconds since the epoch; None where it shows none.
        quotas: those that the API reports; none where none can be read.
    """

    status: int
    headers: Mapping[str, str]
    server_time: float | None = None
    quotas: tuple[Quota, ...] = ()


class Answer(Struct, frozen=True):
    """What came back: its facts and the decoded body.

    `fault` says why a body is not JSON; it is then the beginning of its text, or None where it is empty. `remedy` says
    what such a body is, and what to do, where no other try will turn it into JSON.
    """

    url: str
    facts: AnswerFacts
    body: Any
    fault: str = ""
    remedy: str = ""

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.facts.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers under lower-case names."""
        return self.facts.headers

    @property
    def own_words(self) -> Any:
        """The body where it can say why an answer is an error: JSON, or plain text; None for a page of HTML."""
        plain = isinstance(self.body, str) and media_type(self.headers) in {"", "text/plain"}
        return None if self.fault and (not plain or self.body.lstrip().startswith("<")) else self.body


def facts_of(status: int, headers: Mapping[str, str], now: float = 0.0) -> AnswerFacts:
    """Read the facts of an answer.

    Args:
        status: the HTTP status.
        headers: under lower-case names.
        now: this machine's clock, in seconds since the epoch, for quotas of an answer without a Date.
    """
    server_time = http_date(headers.get("date", ""))
    return AnswerFacts(status, headers, server_time, rates.quotas(headers, server_time or now))


def answer_of(url: str, facts: AnswerFacts, content: bytes, decode: Callable[[bytes], Any] = any_json.decode) -> Answer:
    """Decode the bytes of an answer's body."""
    if not content or content.isspace():
        return Answer(url, facts, None, "an empty body")
    plain = content.removeprefix(b"\xef\xbb\xbf")
    try:
        return Answer(url, facts, decode(plain))
    except ArithmeticError:
        return _of_endless_numbers(url, facts, plain)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if OUT_OF_RANGE in str(error):
            return _of_endless_numbers(url, facts, plain)
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            whole = without_lone_surrogates(plain)
            if whole != plain:
                return Answer(url, facts, decode(whole))
        kind = media_type(facts.headers) or "no content type"
        text = content[:MAX_ERROR_BYTES].decode(errors="replace")
        remedy = never_json(facts.headers, plain) or ""
        return Answer(url, facts, text, f"{len(content)} bytes of {kind} that aren't JSON", remedy)


def without_lone_surrogates(content: bytes) -> bytes:
    """Return JSON in which U+FFFD stands for each escaped half of a surrogate pair, which is no character."""
    return _ESCAPES.sub(lambda escape: escape[1] or rb"\ufffd", content)


def _of_endless_numbers(url: str, facts: AnswerFacts, content: bytes) -> Answer:
    """Return an answer with a number that nothing can hold: thousands of digits, or an exponent of twenty."""
    fault = f"{len(content)} bytes with a number of more digits than can be read, or such an exponent"
    remedy = "let the request leave that property out, or the API write it as a text"
    return Answer(url, facts, content[:MAX_ERROR_BYTES].decode(errors="replace"), fault, remedy)


def outline(body: Any) -> str:
    """Say what a body is, without what it says."""
    if isinstance(body, dict):
        keys = ", ".join(key[:40] for key in list(body)[:8])
        return f"an object with the keys {keys}" if keys else "an empty object"
    return {list: "a list", str: "a string", type(None): "null"}.get(type(body), "a number")


def shown(value: Any) -> str:
    """Return a value of an answer as a message can show it: texts and numbers bounded, anything else by its outline."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float, Decimal)):
        return repr(value)[:MAX_SHOWN_CHARACTERS] if isinstance(value, str) else str(value)[:MAX_SHOWN_CHARACTERS]
    return outline(value)
