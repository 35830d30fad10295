"""An API's own words for an error: one table of the forms in which APIs write them, read by pure functions.

A text is only what the API calls its message, title, detail or code, and the field that it names: no form reads the
values beside them, such as the input that a validator quotes, since they may be a record's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

MAX_REASON_CHARACTERS: Final = 200
MAX_REASON_TEXTS: Final = 3
MAX_NESTED_ERRORS: Final = 3
MAX_TEXT_CHARACTERS: Final = 20_000
MAX_ERRORS: Final = 1000
SUCCESS_KEYS: Final = ("ok", "success")
"""False where something went wrong."""
MESSAGE_KEYS: Final = ("message", "detail", "error_description", "error", "title")
ERROR_KEYS: Final = ("errors", "error", "errorMessages", "error_summary", "Fault", "fault")
"""Keys that an answer has only where something went wrong; a `message` or `title` may stand beside records, too."""


class ErrorForm(NamedTuple):
    """One form of an error.

    Attributes:
        name: whose form it is.
        texts: reads its texts out of a body; none where the body has another form.
        max_shown: how many of them a message shows.
    """

    name: str
    texts: Callable[[Any], Iterator[str]]
    max_shown: int = MAX_REASON_TEXTS


def error_texts(body: Any) -> Iterator[str]:
    """Yield an API's own words for an error, each once, from where they usually stand; a text is all words."""
    seen: set[str] = set()
    for form in FORMS:
        for text in form.texts(body):
            if text not in seen:
                seen.add(text)
                yield text


def error_reason(body: Any, hide: Callable[[str], str]) -> str:
    """Return the API's reason as one line without control characters; "" where none is found.

    Args:
        body: of the answer.
        hide: hides the secrets in a text, before anything of the text is cut.
    """
    reasons: list[str] = []
    for form in FORMS:
        for text in (_line(hide(raw[:MAX_TEXT_CHARACTERS])) for raw in islice(form.texts(body), form.max_shown)):
            if text and len(reasons) < MAX_REASON_TEXTS and not any(text in reason for reason in reasons):
                reasons.append(text)
    return "; ".join(reasons)[:MAX_REASON_CHARACTERS]


def is_error(body: Any) -> bool:
    """Return whether a body says by its keys that something went wrong, whatever its status says."""
    return error_key(body) is not None


def error_key(body: Any) -> str | None:
    """Return the key by which a body says that something went wrong; None where it says nothing like it."""
    if not isinstance(body, Mapping):
        return None
    said = (key for key in ERROR_KEYS if _says_something(body.get(key)))
    return next(said, None) or next((key for key in SUCCESS_KEYS if body.get(key) is False), None)


def _says_something(value: Any) -> bool:
    """Return whether an error is more than a form for one, such as `{code: 0, message: ""}`."""
    return any(value.values()) if isinstance(value, Mapping) else bool(value)


def _line(text: str) -> str:
    """Return a text as one line that can't steer a terminal."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text[: 4 * MAX_REASON_CHARACTERS]).split())


def _jira(body: Any) -> Iterator[str]:
    """`errorMessages: [text]`, beside `errors: {field: text}`."""
    messages = _at(body, "errorMessages")
    if isinstance(messages, list):
        yield from _strings(messages)
        yield from _by_field(_at(body, "errors"))


def _salesforce(body: Any) -> Iterator[str]:
    """`[{message, errorCode}]`: a list that isn't one of records, as each member has an errorCode."""
    if isinstance(body, list) and body and all(_text(_at(error, "errorCode")) for error in body[:MAX_ERRORS]):
        for error in body[:MAX_ERRORS]:
            yield from _strings([_joined(_at(error, "errorCode"), _at(error, "message"))])


def _quickbooks(body: Any) -> Iterator[str]:
    """`Fault: {Error: [{Message, Detail}]}`, in small letters where the credentials are refused."""
    for fault, error, message, detail in (
        ("Fault", "Error", "Message", "Detail"),
        ("fault", "error", "message", "detail"),
    ):
        for each in _list(_at(_at(body, fault), error)):
            yield from _strings([_joined(_at(each, message), _at(each, detail))])


def _dropbox(body: Any) -> Iterator[str]:
    """`error_summary`, beside an `error` that is a union of tags."""
    yield from _strings([_at(body, "error_summary")])


def _problem(body: Any) -> Iterator[str]:
    """RFC 9457: `title` and `detail`; some frameworks add `errors: {field: [text]}`."""
    if _text(_at(body, "title")) and (_text(_at(body, "detail")) or _at(body, "type") or _at(body, "status")):
        yield from _strings([_joined(_at(body, "title"), _at(body, "detail"))])
        yield from _by_field(_at(body, "errors"))


def _validated(body: Any) -> Iterator[str]:
    """FastAPI: `detail: [{loc, msg}]`; what its `input` was is left out."""
    for error in _list(_at(body, "detail")):
        place = ".".join(str(step) for step in _list(_at(error, "loc")) if isinstance(step, (str, int)))
        yield from _strings([_named(place, _at(error, "msg"))])


def _plain(body: Any) -> Iterator[str]:
    """`message`, `detail`, `error_description`, `error` or `title`: a text, or a mapping that holds the message."""
    for key in MESSAGE_KEYS:
        value = _at(body, key)
        if isinstance(value, Mapping):
            message = value.get("message")
            value = message.get("value") if isinstance(message, Mapping) else message  # OData's is in a language
            value = value or (value is None and _joined(_at(body, key, "title"), _at(body, key, "detail")))
        yield from _strings([value])


def _slack(body: Any) -> Iterator[str]:
    """`response_metadata: {messages: [text]}`, beside `ok: false` and `error`."""
    yield from _strings(_list(_at(body, "response_metadata", "messages")))


def _errors(body: Any, depth: int = 0) -> Iterator[str]:
    """`errors`: a text, a map of fields (Shopify, ASP.NET), or a list of texts or errors (GraphQL, JSON:API, HubSpot).

    Google's list is within its `error`.
    """
    for errors in (_at(body, "errors"), _at(_at(body, "error"), "errors")):
        if isinstance(errors, str):
            yield from _strings([errors])
        yield from _by_field(errors)
        for error in _list(errors):
            if isinstance(error, Mapping):
                place = _at(error, "source", "pointer") or _at(error, "source", "parameter")
                both = _joined(_at(error, "title"), _at(error, "detail"))
                yield from _strings([_named(place, both) if both else None])
                yield from _plain(error)
                if depth < MAX_NESTED_ERRORS:
                    yield from _errors(error, depth + 1)
            else:
                yield from _strings([error])


def _whole(body: Any) -> Iterator[str]:
    """Yield a body that is a text."""
    yield from _strings([body])


FORMS: Final = (
    ErrorForm("Jira", _jira),
    ErrorForm("Salesforce", _salesforce),
    ErrorForm("QuickBooks", _quickbooks),
    ErrorForm("Dropbox", _dropbox),
    ErrorForm("problem+json (RFC 9457)", _problem),
    ErrorForm("FastAPI", _validated),
    ErrorForm("a message: Stripe, GitHub, HubSpot, Google, OData, Slack, OAuth", _plain, max_shown=1),
    ErrorForm("Slack, in words", _slack),
    ErrorForm("errors: GraphQL, JSON:API, Shopify, Google", _errors),
    ErrorForm("a text", _whole),
)


def _at(value: Any, *keys: str) -> Any:
    """Return what a mapping holds at the keys; None for anything else."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _list(value: Any) -> list[Any]:
    return value[:MAX_ERRORS] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _strings(values: list[Any]) -> Iterator[str]:
    return (value for value in values if isinstance(value, str) and value)


def _joined(first: Any, second: Any) -> str:
    """Return both texts, the second as the first one's detail; one alone where the other is missing or the same."""
    both = [text for text in (_text(first), _text(second)) if text]
    return both[0] if len(both) == 2 and both[1] in both[0] else ": ".join(both)


def _named(field: Any, text: Any) -> str | None:
    """Return a text with the field that it is about."""
    return f"{field}: {text}" if isinstance(field, str) and field and _text(text) else text


def _by_field(errors: Any) -> Iterator[str]:
    """Yield the texts of a map of fields to a text, or to a list of texts."""
    for field, texts in islice(errors.items(), MAX_ERRORS) if isinstance(errors, Mapping) else ():
        for text in _strings(texts if isinstance(texts, list) else [texts]):
            yield _named(field, text) or text
