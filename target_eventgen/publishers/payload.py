"""What a receiver gets instead of a CloudEvent, where it wants a JSON of its own: the setting `payload`.

The setting is the JSON itself, any value of it. In its texts, what stands in braces is a path into the event: an
attribute (`{id}`, `{type}`, `{time}`), `{stream}`, a part of the row's key (`{key.id}`), or of the data
(`{data.new.status}`, `{data.undone}`). A text that is one path and nothing else becomes what the path leads to,
whatever its type; a path within other characters becomes text. Where a path leads to nothing, it stands for null, or
for the default after its `|`. Braces that mean themselves are doubled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeAlias

import msgspec

from target_eventgen.model.recorded import APPLIED, UNDONE
from target_eventgen.model.spelling import nearest
from target_eventgen.publishers.cloudevent import STRUCTURED, CloudEvent, structured

CONTENT_TYPE: Final = "application/json"
"""Of a payload, and of an event's data."""

VERSIONS: Final = ("new", "old")
"""Parts of the data that are a row, or null."""

MARKS: Final = (UNDONE, APPLIED)
"""Parts of the data that are true in some events, and missing in the others."""

_PARTS: Final = (*VERSIONS, "changed", *MARKS)

_ATTRIBUTES: Final = tuple(name for name in CloudEvent.__struct_fields__ if name != "data")

_ROOTS: Final = (*_ATTRIBUTES, "stream", "key", "data")

_TOKEN: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
"""A doubled brace, a path, or a brace that is alone."""

_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
"""Numbers keep the digits that they have in the event."""

Facts: TypeAlias = Mapping[str, Any]
"""An event as paths see it: each root with its value, decoded."""

Rendering: TypeAlias = Callable[[Facts], Any]


class Payload:
    """A payload, ready to be made of events."""

    def __init__(self, template: Any) -> None:
        """Take the setting, in which `faults` has found nothing."""
        self._render = _compiled(template)

    def body(self, event: CloudEvent) -> bytes:
        """Return the JSON of an event."""
        return _encode(self._render(_facts(event)))


class Content:
    """What messages hold, by a publisher's settings `mode` and `payload`.

    Attributes:
        is_structured: whether an event's attributes are within it, or left out; else they go beside it.
        type: its content type.
        of: returns that of an event.
    """

    def __init__(self, mode: str, payload: Any) -> None:
        self.is_structured = mode == "structured"
        self.type = STRUCTURED if self.is_structured and payload is None else CONTENT_TYPE
        self.of: Callable[[CloudEvent], bytes]
        if payload is not None:
            self.of = Payload(payload).body
        else:
            self.of = structured if self.is_structured else lambda event: bytes(event.data)


def check(payload: Any) -> None:
    """Refuse a payload that can't be meant.

    Raises:
        ValueError: all that is wrong with it.
    """
    if found := faults("payload", payload):
        raise ValueError("; ".join(found))


def faults(setting: str, template: Any) -> list[str]:
    """Return what can't be meant in a payload: paths that no event has, braces that are alone.

    Args:
        setting: its name, for messages.
        template: its value.
    """
    if isinstance(template, Mapping):
        return [fault for key, value in template.items() for fault in faults(f"{setting}.{key}", value)]
    if isinstance(template, list):
        return [fault for place, value in enumerate(template) for fault in faults(f"{setting}[{place}]", value)]
    if not isinstance(template, str):
        return []
    return [f"{setting} {fault}" for token in _TOKEN.finditer(template) if (fault := _fault(token)) is not None]


def _fault(token: re.Match[str]) -> str | None:
    if token[0] in {"{", "}"}:
        return "has a brace that is not closed or not opened; one that means itself is doubled"
    if token[1] is None:
        return None
    root, *rest = path = _path(token[1])
    if "" in path:
        return f"has {{{token[1]}}}, which is no path such as {{data.new.id}}"
    if root not in _ROOTS:
        return f"has {{{token[1]}}}, which an event doesn't have{nearest(root, _ROOTS)}; there are {', '.join(_ROOTS)}"
    if rest and root not in {"key", "data"}:
        return f"has {{{token[1]}}}, but {root} is a text and has no parts"
    if root == "data" and rest and rest[0] not in _PARTS:
        return f"has {{{token[1]}}}, but data has the parts {', '.join(_PARTS)} alone{nearest(rest[0], _PARTS)}"
    if root == "data" and rest[1:] and rest[0] in MARKS:
        return f"has {{{token[1]}}}, but data.{rest[0]} is true, or missing, and has no parts"
    if rest[:1] == ["changed"] and rest[1:] and not (len(rest) == 2 and rest[1].isdigit()):
        return f"has {{{token[1]}}}, but data.changed is a list of columns, such as data.changed.0"
    return None


def _path(text: str) -> list[str]:
    return text.partition("|")[0].strip().split(".")


def _facts(event: CloudEvent) -> Facts:
    known = {name: getattr(event, name) for name in _ATTRIBUTES}
    origin = event.origin
    return {
        **{name: None if value is msgspec.UNSET else value for name, value in known.items()},
        "stream": origin.stream or None,
        "key": _decode(origin.key) if origin.key else None,
        "data": _decode(event.data),
    }


def _compiled(template: Any) -> Rendering:
    """Return a function that makes the template's value of an event."""
    if isinstance(template, Mapping):
        members = [(key, _compiled(value)) for key, value in template.items()]
        return lambda facts: {key: render(facts) for key, render in members}
    if isinstance(template, list):
        items = [_compiled(value) for value in template]
        return lambda facts: [render(facts) for render in items]
    if not isinstance(template, str):
        return lambda _: template
    whole = _TOKEN.fullmatch(template)
    if whole is not None and whole[1] is not None:
        return _at(whole[1])
    parts = list(_parts(template))
    return lambda facts: "".join(part if isinstance(part, str) else _text(part(facts)) for part in parts)


def _parts(template: str) -> Iterator[str | Rendering]:
    """Yield the characters between paths, and a function for each path."""
    end = 0
    for token in _TOKEN.finditer(template):
        yield template[end : token.start()]
        yield token[0][0] if token[1] is None else _at(token[1])
        end = token.end()
    yield template[end:]


def _at(text: str) -> Rendering:
    """Return a function that follows a path."""
    path = _path(text)
    default = _default(text)

    def found(facts: Facts) -> Any:
        value: Any = facts
        for part in path:
            if isinstance(value, Mapping):
                value = value.get(part)
            elif isinstance(value, Sequence) and not isinstance(value, str) and part.isdigit():
                value = value[int(part)] if int(part) < len(value) else None
            else:
                value = None
        return default if value is None else value

    return found


def _default(text: str) -> Any:
    """Return what stands after the `|` of a path: as JSON, or else as the text that it is."""
    _, bar, given = text.partition("|")
    if not bar:
        return None
    try:
        return _decode(given.strip())
    except msgspec.DecodeError:
        return given.strip()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _encode(value).decode()
