"""Plain records of one stream: decoded, validated and written as COPY text by code that is made for its SCHEMA.

Theory of operation. Most SCHEMAs say no more of a property than its type. A struct with these types decodes a record and
validates it in one pass, in C, and an expression generated from the same types writes its line. A run of RECORD lines is
decoded by one call and written by another. What such a struct does not take is no error here: the line is then read once
more, by `staging` and `validation`, which know all of JSON Schema, mend what can be mended, and find the words for what
can't. So this module may be narrow, but what it takes it must take as they do: `Plain.lines` and `Encoding.line` are
equal for every record that both accept, and a record that validation refuses is refused here.

Three shortcuts, each of which falls back to the long way:

- A JSON text without the escapes of `SPECIAL` has no character in any string that COPY would have escaped, NUL neither.
- A property that a record doesn't mention is msgspec's UNSET. Rather than ask each value, the line is written, and looked
  at for that word.
- A number is copied as it is spelt, since Postgres reads what JSON writes.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from target_eventgen.intake.general import NULL, encoder
from target_eventgen.model.tables import DELETED_AT, EXTRACTED_AT, METADATA, MOMENTS, WORDS, postgres_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from target_eventgen.model.plan import Plan

_ANNOTATIONS = frozenset({"type", "format", "title", "description", "default", "examples", "$comment", "readOnly"})
"""What a property's definition may hold that doesn't narrow its type."""

_AROUND = frozenset(
    {"type", "properties", "required", "title", "description", "$schema", "$id", "additionalProperties"}
)
"""What a SCHEMA may hold; a record with additional properties is not taken anyway."""

UNSET = "UNSET"
"""What a written line holds somewhere, if the record doesn't mention a property."""

SPECIAL = re.compile(rb"\\(?:[\\nrt]|u00(?:0|5[cC]))")
"""A JSON escape of a character that COPY would have escaped, or can't take: backslash, line ends, tab, NUL, and their neighbours."""

_NUMERIC = frozenset({"numeric", "real", "double precision"})
_BOOLEANS = {True: "t", False: "f", None: NULL, msgspec.UNSET: UNSET}
_DECODE = msgspec.json.Decoder(float_hook=Decimal).decode
_STARTS = b"-0123456789"
MISFITS = (msgspec.DecodeError, UnicodeError, ValueError, RecursionError, ArithmeticError)
"""What is raised for a record that is not plain, or not valid."""


class Head(msgspec.Struct, gc=False):
    """A RECORD message around its record, which stays as it was written."""

    type: Literal["RECORD"]
    stream: str
    record: msgspec.Raw


head: Callable[[bytes], Head] = msgspec.json.Decoder(Head).decode
"""Decode a RECORD message up to its record; raises ValueError where a line is none."""


class Run:
    """Lines of the input that follow each other.

    Attributes:
        text: as they came.
        count: of the lines.
    """

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.count = text.count(b"\n") + (not text.endswith(b"\n"))

    @cached_property
    def special(self) -> frozenset[int]:
        """Places of the lines that hold an escape of `SPECIAL`."""
        if b"\\" not in self.text or SPECIAL.search(self.text) is None:
            return frozenset()
        return frozenset(n for n, line in enumerate(self.lines) if SPECIAL.search(line) is not None)

    @cached_property
    def lines(self) -> list[bytes]:
        """The lines; those of more than one without their ends."""
        if self.count == 1:  # it may be huge
            return [self.text]
        return self.text.removesuffix(b"\n").split(b"\n")

    @property
    def is_plain(self) -> bool:
        """Whether each line holds what it holds by itself, if it is JSON that has one value a line on the whole.

        What decodes lines takes any space for the end of one: two values on a line and a blank line would pass for two lines.
        """
        return not self.special and self.text.count(b"}\n{") == self.count - 1

    @property
    def stream(self) -> str | None:
        """The stream of the first line; None where it is no RECORD."""
        end = self.text.find(b"\n") if self.count > 1 else len(self.text)  # a single line may be huge
        try:
            return head(self.text[:end]).stream
        except MISFITS:
            return None

    def by_stream(self) -> dict[str, list[int]]:
        """Return the places of each stream's lines; nothing where one is no RECORD: it may be of importance to what follows."""
        found: dict[str, list[int]] = {}
        try:
            for place, line in enumerate(self.lines):
                found.setdefault(head(line).stream, []).append(place)
        except MISFITS:
            return {}
        return found

    def part(self, places: Sequence[int]) -> Run:
        """Return a run of some of the lines."""
        lines = self.lines
        return Run(b"\n".join([lines[place] for place in places]))

    def unfinished(self, lines: Sequence[str]) -> list[int]:
        """Return the places of the lines that are not yet what COPY should read: see `Plain.lines`."""
        found = [place for place, line in enumerate(lines) if UNSET in line]
        return sorted(self.special.union(found)) if self.special else found


class MisfitError(ValueError):
    """A value is not of its type."""


class Plain:
    """Takes the plain records of one stream.

    Attributes:
        key: of a decoded message.
        is_distinct: whether keys are equal exactly where they are spelt alike, if their JSON has no backslash.
        may_lack_version: whether a record of a stream with versions can be without one.
    """

    def __init__(
        self,
        plan: Plan,
        types: Sequence[tuple[str, str, bool, bool]],
        expressions: list[str],
        names: dict[str, Any],
        moments: AbstractSet[str],
    ) -> None:
        """Take what `plain` has found.

        Args:
            plan: of the stream.
            types: name and type of each property, whether it may be null, and whether it must be there.
            expressions: that write each content column of the record `r`.
            names: what they refer to.
            moments: properties that are dates or times.
        """
        fields = {name: f"f{place}" for place, (name, *_) in enumerate(types)}
        kinds = {name: (base, nullable) for name, base, nullable, _ in types}
        struct = msgspec.defstruct(
            "Record",
            [
                (fields[name], _TYPES[base, nullable])
                if said
                else (fields[name], _TYPES[base, nullable] | msgspec.UnsetType, msgspec.UNSET)
                for name, base, nullable, said in types
            ],
            rename={field: name for name, field in fields.items()},
            forbid_unknown_fields=True,
            kw_only=True,
            gc=False,
        )
        message = msgspec.defstruct(
            "Message",
            [
                ("type", Literal["RECORD"]),
                ("stream", Literal[plan.table.stream]),
                ("record", struct),
                ("time_extracted", str | None, None),
                ("version", int | None, None),
            ],
            gc=False,
        )
        decoder = msgspec.json.Decoder(message)
        self._decode, self._decode_lines = decoder.decode, decoder.decode_lines
        fields_of_line = [f"{{{expression}}}" for expression in expressions]
        if EXTRACTED_AT in {column.name for column in plan.table.metadata}:
            fields_of_line.append("{NULL if m.time_extracted is None else m.time_extracted}")
        line = "\\t".join(fields_of_line)
        # Generated from types and places alone: no name of a property is in it.
        self._write: Callable[[Sequence[Any], int, str], list[str]] = eval(  # noqa: S307
            f'lambda messages, first, tail: [f"{{n}}\\t{{NULL}}\\t{line}{{tail}}\\n"'
            " for n, m in enumerate(messages, first) for r in (m.record,)]",
            {"NULL": NULL, "enumerate": enumerate, **names},
        )
        self._content = [
            (attrgetter(fields[column.name]), *kinds[column.name], column.name in moments)
            for column in plan.table.content
        ]
        self.key: Callable[[Any], Any] = (
            attrgetter(*(f"record.{fields[name]}" for name in plan.table.key)) if plan.table.key else _one
        )
        keys = [(kinds[name][0], plan.type_of(name)) for name in plan.table.key]
        self.is_distinct = all(column is not None and (base, column.type) in _SPELT_ALIKE for base, column in keys)
        version = plan.version
        self._version: Callable[[Any], Any] = _one if version is None else attrgetter(f"record.{fields[version.name]}")
        said = {name: said and base in _NULLABLE and not nullable for name, base, nullable, said in types}
        self.may_lack_version = version is not None and not said[version.name]

    def messages(self, run: Run) -> list[Any] | None:
        """Return the decoded messages of a run; None where one is not plain, or not valid, or of another stream."""
        try:
            found = self._decode_lines(run.text) if run.is_plain else [*map(self._decode, run.lines)]
        except MISFITS:
            return None
        return found if len(found) == run.count else None

    def lines(self, first: int, messages: Sequence[Any], tail: str) -> list[str] | None:
        """Return the COPY line of each message without characters that must be escaped; None where one is not plain.

        A line that holds UNSET is none: its record may not mention a property; see `values`.

        Args:
            first: the first record's place in its checkpoint, in order of arrival.
            messages: decoded.
            tail: what follows the content, and the time of extraction: a tab and the other metadata, or nothing.
        """
        try:
            return self._write(messages, first, tail)
        except MISFITS:
            return None

    def is_unversioned(self, message: Any) -> bool:
        """Return whether a record of a stream with versions has none."""
        version = self._version(message)
        if type(version) is msgspec.Raw:
            return bytes(version) == b"null"
        return version is None or version is msgspec.UNSET

    def values(self, message: Any) -> list[Any] | None:
        """Return the contents of a decoded record in the order of their columns; None where one is not of its type.

        That is UNSET where the record doesn't mention it.
        """
        found: list[Any] = []
        for get, base, nullable, is_moment in self._content:
            value = get(message.record)
            if is_moment and type(value) is str and not _is_moment(value):
                return None
            if type(value) is msgspec.Raw:
                try:
                    value = _decoded(value, base, nullable=nullable)
                except MISFITS:
                    return None
            found.append(value)
        return found


def plain(plan: Plan, schema: Mapping[str, Any], *, validates: bool) -> Plain | None:
    """Return what takes a stream's plain records, None where its SCHEMA says more than types.

    Args:
        plan: of the stream.
        schema: as it came.
        validates: whether records must be what it allows; else it is no matter what else it says.
    """
    required = schema.get("required") or []
    properties = schema["properties"]
    known = not validates or (_AROUND.issuperset(schema) and schema.get("type", "object") in ("object", ["object"]))
    if not known or not isinstance(required, list) or not set(properties).issuperset(required):
        return None
    types: list[tuple[str, str, bool, bool]] = []
    expressions: list[str] = []
    moments: set[str] = set()
    names: dict[str, Any] = {"booleans": _BOOLEANS, "UNSET": msgspec.UNSET, "moment": _moment}
    for place, (name, definition) in enumerate(properties.items()):
        kind = _kind(definition, validates=validates)
        # msgspec wants names without what JSON escapes.
        if kind is None or '"' in name or "\\" in name or min(name) < " ":
            return None
        base, nullable = kind
        said = name in required or name in plan.table.key
        nullable = nullable and name not in plan.table.key
        if name in METADATA:
            # These are no content, so nothing writes them, which is when numbers, objects and arrays are looked at; and a
            # record that says something of its deletion is not taken here.
            if validates and (not nullable if name == DELETED_AT else base in _LOOKED_AT):
                return None
            types.append((name, "null" if name == DELETED_AT else base, nullable, said))
            continue
        column = plan.type_of(name)
        if column is None:
            return None
        types.append((name, base, nullable, said))
        is_moment = base == "string" and postgres_type(definition) in MOMENTS
        moments |= {name} if is_moment else set()
        expressions.append(_expression(place, base, column.type, names, nullable=nullable, is_moment=is_moment))
    return Plain(plan, types, expressions, names, moments)


_LOOKED_AT = frozenset({"number", "object", "array"})
_PROPERTIES = frozenset({"string", "integer", "boolean", "number", "object", "array"})
_SPELT_ALIKE = frozenset({("integer", "bigint"), ("string", "text")})
_NULLABLE: dict[str, Any] = {"string": str, "integer": int, "boolean": bool}
_TYPES: dict[tuple[str, bool], Any] = {
    **{(name, False): type_ for name, type_ in _NULLABLE.items()},
    **{(name, True): type_ | None for name, type_ in _NULLABLE.items()},
    ("null", False): None,
    ("null", True): None,
    **{(name, nullable): msgspec.Raw for name in ("number", "object", "array", "any") for nullable in (False, True)},
}


def _kind(definition: Any, *, validates: bool) -> tuple[str, bool] | None:
    """Return the one type of a property and whether it may be null; None where there is more to say of it."""
    if not isinstance(definition, dict):
        return None
    if validates and not all(name in _ANNOTATIONS or name.startswith("x-") for name in definition):
        return None
    named = definition.get("type", ())
    if not isinstance(named, str | list | tuple) or named == [] or not all(isinstance(name, str) for name in named):
        return None
    kinds = {named} if isinstance(named, str) else set(named)
    nullable = "null" in kinds
    kinds.discard("null")
    if kinds == {"integer", "number"}:
        kinds = {"number"}
    if not kinds and not nullable:
        return "any", True
    only = kinds.pop() if len(kinds) == 1 else None
    return (only, nullable) if only in _PROPERTIES else None


def _expression(  # noqa: PLR0913  each is a fact of the property
    place: int, base: str, column: str, names: dict[str, Any], *, nullable: bool, is_moment: bool
) -> str:
    """Return what writes the field of a record `r`; it may add functions to the names."""
    field = f"r.f{place}"
    if _TYPES[base, nullable] is msgspec.Raw:
        as_spelt = base == "number" and column in _NUMERIC
        names[f"w{place}"] = _number(nullable=nullable) if as_spelt else _raw(base, column, nullable=nullable)
        return f"w{place}({field})"
    if base == "boolean" and column == "boolean":
        return f"booleans[{field}]"
    if (base == "boolean") or (base == "string" and column in {"jsonb", "json"}):
        names[f"w{place}"] = encoder(column)
        value = f"moment({field})" if is_moment else field
        return f"NULL if {field} is None else '{UNSET}' if {field} is UNSET else w{place}({value})"
    if is_moment:
        return f"moment({field})"
    return f"NULL if {field} is None else {field}" if nullable else field


def _is_moment(text: str) -> bool:
    """Return whether a date or time begins with a digit, and no word follows, as in "10:00 today".

    Of words the long way has an opinion.
    """
    return "/" < text[:1] < ":" and (text[4:5] == "-" or WORDS.search(text) is None)


def _moment(text: Any) -> Any:
    """Return what is written for a date or time."""
    if text is None:
        return NULL
    if text is msgspec.UNSET or ("/" < text[:1] < ":" and (text[4:5] == "-" or WORDS.search(text) is None)):
        return text
    raise MisfitError


def _number(*, nullable: bool) -> Callable[[Any], str]:
    """Return what writes a number that is to be copied as it is spelt."""

    def written(raw: Any) -> str:
        if raw is msgspec.UNSET:
            return UNSET
        text = bytes(raw)
        if text[0] in _STARTS:
            return text.decode()
        if nullable and text == b"null":
            return NULL
        raise MisfitError

    return written


_CLASSES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "number": (int, Decimal),
    "any": (object,),
}


def _raw(base: str, column: str, *, nullable: bool) -> Callable[[Any], str]:
    """Return what writes a value that has to be decoded first."""
    encode = encoder(column)

    def written(raw: Any) -> str:
        if raw is msgspec.UNSET:
            return UNSET
        value = _decoded(raw, base, nullable=nullable)
        return NULL if value is None else encode(value)

    return written


def _decoded(raw: Any, base: str, *, nullable: bool) -> Any:
    value = _DECODE(raw)
    fits = (
        nullable
        if value is None
        else isinstance(value, _CLASSES[base]) and (base != "number" or value is not bool(value))
    )
    if not fits:
        raise MisfitError
    return value


def _one(_: Any) -> int:
    """Return something that is not None, of a stream without versions."""
    return 1
