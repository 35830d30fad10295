"""The compiled encoder: plain records of one stream, decoded, validated and encoded by code made for its SCHEMA.

Theory of operation. Most SCHEMAs say no more of a property than its type. A struct with these types decodes a record
and validates it in one pass, in C, and an expression generated from the same types writes its COPY line. A block of
RECORD lines is decoded by one call and encoded by another. A record that such a struct doesn't take is not an error
here: its line is then decoded once more for the general encoder (`general`, `validation`), which knows all of JSON
Schema, replaces NUL characters, and finds the words for what is wrong. So this module may be narrow, but what it takes
it must encode as the general encoder does: `CompiledEncoder.lines` and `GeneralEncoder.line` are equal for every record
that both accept, and a record that validation refuses is refused here.

Three shortcuts, each of which falls back to the general encoder:

- A JSON text without the escapes of `blocks.SPECIAL` has no character in any string that COPY would have escaped, NUL
  neither.
- A property that a record doesn't mention is msgspec's UNSET. Rather than ask each value, the line is written, and
  searched for that word.
- A number is copied as it is spelt, since Postgres reads what JSON writes.

What nearly always holds for a whole block is asked once: that its dates and times begin with a year, that its records
were extracted at one moment. Lines are then written by code that asks no record for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, Literal

import msgspec

from target_eventgen.intake.blocks import TYPE_ERRORS, LineBlock
from target_eventgen.intake.expressions import (
    SCALARS,
    TYPES,
    begin_with_years,
    decode_json,
    decoded,
    expression,
    functions,
    is_dated,
    is_moment,
)
from target_eventgen.intake.general import NULL, is_binary, noting
from target_eventgen.model.arrival import PLAIN, encoded_as
from target_eventgen.model.plan import Plan
from target_eventgen.model.tables import (
    DATED,
    DELETED_AT,
    EXTRACTED_AT,
    METADATA,
    MOMENTS,
    postgres_type,
)
from target_eventgen.model.versions import FINE_TYPES, TEXTS, has_finer, is_ordered, split

_RECORD: Final = attrgetter("record")
_EXTRACTION: Final = attrgetter("time_extracted")

_ANNOTATIONS: Final = frozenset(
    {"type", "format", "title", "description", "default", "examples", "$comment", "readOnly"}
)
"""Keywords of a property's definition that don't narrow its type."""

_SCHEMA_KEYWORDS: Final = frozenset(
    {"type", "properties", "required", "title", "description", "$schema", "$id", "additionalProperties"}
)
"""Keywords of a SCHEMA that is compiled; a record with additional properties is not taken anyway."""


class CompiledEncoder:
    """Decodes, validates and encodes the plain records of one stream.

    Attributes:
        key: of a decoded message.
        is_distinct: whether keys are equal exactly where they are spelt alike, if their JSON has no backslash.
        may_lack_version: whether a record of a stream with versions can be without one.
    """

    def __init__(
        self,
        plan: Plan,
        types: Sequence[tuple[str, str, bool, bool]],
        expressions: Mapping[bool, Sequence[str]],
        names: dict[str, Any],
        moments: Mapping[str, Callable[[str], bool]],
    ) -> None:
        """Compile a decoder and an encoder from facts of the SCHEMA.

        Args:
            plan: of the stream.
            types: name and type of each property, whether it may be null, and whether it must be there.
            expressions: that write each content column of the record `r`, by whether they check dates and times.
            names: what they refer to.
            moments: for properties that are dates or times, whether a text is one.
        """
        fields = {name: f"f{index}" for index, (name, *_) in enumerate(types)}
        kinds = {name: (base, nullable) for name, base, nullable, _ in types}
        decoder = msgspec.json.Decoder(_message_type(plan, types, fields))
        self._decode, self._decode_lines = decoder.decode, decoder.decode_lines
        self._expressions, self._names = expressions, names
        self._writers: dict[tuple[bool, bool], _Writer] = {}
        self._moments = [attrgetter(fields[name]) for name in moments]
        self._has_extraction = EXTRACTED_AT in {column.name for column in plan.table.metadata}
        self._content = [
            (attrgetter(fields[column.name]), *kinds[column.name], moments.get(column.name))
            for column in plan.table.properties
        ]
        self._fine = _index_of_fine(plan)
        self.key: Callable[[Any], Any] = (
            attrgetter(*(f"record.{fields[name]}" for name in plan.table.key)) if plan.table.key else _one
        )
        keys = [(kinds[name][0], plan.type_of(name)) for name in plan.table.key]
        self.is_distinct = all(column is not None and (base, column.type) in _SPELT_ALIKE for base, column in keys)
        version = plan.version
        self._version: Callable[[Any], Any] = _one if version is None else attrgetter(f"record.{fields[version.name]}")
        required = {
            name: is_required and base in SCALARS and not nullable for name, base, nullable, is_required in types
        }
        self._is_ordered = None if version is None else is_ordered(version.type, plan.table.order)
        may_be_unordered = version is not None and version.type in {*TEXTS, "jsonb"}
        self.may_lack_version = version is not None and (may_be_unordered or not required[version.name])
        # What has the column for finer versions takes them; where it is missing they are for somebody else.
        self._may_be_finer = version is not None and version.type in FINE_TYPES and not plan.table.is_fine

    def messages(self, block: LineBlock) -> list[Any] | None:
        """Return the decoded messages of a block; None where one is not plain, or not valid, or of another stream."""
        try:
            messages = self._decode_lines(block.text) if block.is_plain else [*map(self._decode, block.lines)]
        except TYPE_ERRORS:
            return None
        return messages if len(messages) == block.count else None

    def has_finer(self, messages: Sequence[Any]) -> bool:
        """Return whether a version is finer than microseconds, though the table has no column for that yet."""
        return self._may_be_finer and has_finer([*map(self._version, messages)])

    def lines(self, first: int, messages: Sequence[Any], tail: str) -> list[str] | None:
        """Return the COPY line of each message without characters that must be escaped; None where one is not plain.

        A line that holds UNSET is not COPY text: its record may not mention a property; see `values`.

        Args:
            first: the first record's number in its checkpoint, in order of arrival.
            messages: decoded.
            tail: what follows the content, and the time of extraction: a tab and the other metadata, or nothing.
        """
        records = [*map(_RECORD, messages)]
        extracted = [*map(_EXTRACTION, messages)] if self._has_extraction else []
        numbers, extractions = range(first, first + len(records)), {*extracted}
        if len(extractions) == 1:
            only = extractions.pop()
            tail = f"\t{NULL if only is None else only}{tail}"
            extracted = []
        try:
            checks = len(records) == 1 or not all(begin_with_years([*map(get, records)]) for get in self._moments)
            return self._writer(checks, bool(extracted))(numbers, records, extracted, tail)
        except TYPE_ERRORS:
            return None

    def _writer(self, checks: bool, has_extracted: bool) -> _Writer:  # noqa: FBT001  the key of what is made
        """Return the function that writes lines, by whether it checks dates and times, and has an extraction each."""
        key = (checks, has_extracted)
        if key not in self._writers:
            self._writers[key] = _line_writer(self._expressions[checks], self._names, has_extracted=has_extracted)
        return self._writers[key]

    def is_unversioned(self, message: Any) -> bool:
        """Return whether a record has no version that is ordered, though its stream has versions."""
        version = self._version(message)
        if type(version) is msgspec.Raw:
            version = decode_json(version)
        return (
            version is None or version is msgspec.UNSET or not (self._is_ordered is None or self._is_ordered(version))
        )

    def is_unordered(self, message: Any) -> bool:
        """Return whether a record without a version that is ordered has one that isn't."""
        version = self._version(message)
        if type(version) is msgspec.Raw:
            return bytes(version) != b"null"
        return version is not None and version is not msgspec.UNSET

    def values(self, message: Any) -> list[Any] | None:
        """Return the values of a decoded record in the order of their columns; None where one is not of its type.

        A value is UNSET where the record doesn't mention the property.
        """
        values: list[Any] = []
        for get, base, nullable, is_text in self._content:
            value = get(message.record)
            if is_text is not None and type(value) is str and not is_text(value):
                return None
            if type(value) is msgspec.Raw:
                try:
                    value = decoded(value, base, nullable=nullable)
                except TYPE_ERRORS:
                    return None
            values.append(value)
        if self._fine is not None:
            version = values[self._fine]
            values[self._fine], finer = split(version) if type(version) is str else (version, version)
            values.append(finer)
        return values


def _message_type(plan: Plan, types: Sequence[tuple[str, str, bool, bool]], fields: Mapping[str, str]) -> Any:
    """Return the struct of a RECORD message, and in it that of the record; see `CompiledEncoder` for the arguments."""
    record = msgspec.defstruct(
        "Record",
        [
            (fields[name], TYPES[base, nullable])
            if is_required
            else (fields[name], TYPES[base, nullable] | msgspec.UnsetType, msgspec.UNSET)
            for name, base, nullable, is_required in types
        ],
        rename={field: name for name, field in fields.items()},
        forbid_unknown_fields=True,
        kw_only=True,
        gc=False,
    )
    return msgspec.defstruct(
        "Message",
        [
            ("type", Literal["RECORD"]),
            ("stream", Literal[plan.table.stream]),
            ("record", record),
            ("time_extracted", str | None, None),
            ("version", int | None, None),
        ],
        gc=False,
    )


_Writer = Callable[[Sequence[int], Sequence[Any], Sequence["str | None"], str], list[str]]
"""Writes COPY lines, from the numbers of records, the records, their moments of extraction, and what follows."""


def _line_writer(expressions: Sequence[str], names: Mapping[str, Any], *, has_extracted: bool) -> _Writer:
    """Return the function that writes the COPY lines of records."""
    fields = [f"{{{expression}}}" for expression in expressions]
    taken, given = "n, r", "numbers, records"
    if has_extracted:
        fields.append("{NULL if e is None else e}")
        taken, given = f"{taken}, e", f"{given}, extracted"
    line = "\\t".join(fields)
    # Generated from types and numbers alone: no name of a property is in it.
    write: _Writer = eval(  # noqa: S307
        f'lambda numbers, records, extracted, tail: [f"{{n}}\\t{{NULL}}\\t{line}{{tail}}\\n"'
        f" for {taken} in zip({given})]",
        {"NULL": NULL, "zip": zip, **names},
    )
    return write


def _index_of_fine(plan: Plan) -> int | None:
    """Return the index of the property whose digits beyond microseconds have a column; None where there is none."""
    if not plan.table.is_fine or plan.table.replication_key is None:
        return None
    return [column.name for column in plan.table.properties].index(plan.table.replication_key.name)


def compile_encoder(
    plan: Plan, schema: Mapping[str, Any], *, validates: bool, loose: set[str] | None = None
) -> CompiledEncoder | None:
    """Return the encoder of a stream's plain records, None where its SCHEMA says more than types.

    Args:
        plan: of the stream.
        schema: as it came.
        validates: whether records must be valid; else it doesn't matter what else the SCHEMA says.
        loose: takes the columns of dates and times in which some text is more than that.
    """
    required = schema.get("required") or []
    properties = schema["properties"]
    known = not validates or (
        _SCHEMA_KEYWORDS.issuperset(schema) and schema.get("type", "object") in ("object", ["object"])
    )
    if not known or not isinstance(required, list) or not set(properties).issuperset(required):
        return None
    types: list[tuple[str, str, bool, bool]] = []
    expressions: dict[bool, list[str]] = {True: [], False: []}
    moments: dict[str, Callable[[str], bool]] = {}
    names, wanted = functions(), {column.name: column for column in plan.table.columns}
    for index, (name, definition) in enumerate(properties.items()):
        kind = _kind(definition, validates=validates)
        # msgspec wants names without what JSON escapes.
        if kind is None or '"' in name or "\\" in name or min(name) < " ":
            return None
        base, nullable = kind
        is_required = name in required or name in plan.table.key
        if base == "null" and is_required:
            return None
        nullable = nullable and name not in plan.table.key
        if name in METADATA:
            # Nothing writes these columns, which is when numbers, objects and arrays are decoded; and a record with a
            # deletion is not taken here.
            if validates and (not nullable if name == DELETED_AT else base in _DECODED_LATE):
                return None
            types.append((name, "null" if name == DELETED_AT else base, nullable, is_required))
            continue
        column = plan.type_of(name)
        if column is None or is_binary(column, wanted[name]):
            return None
        types.append((name, base, nullable, is_required))
        check = _check_of(base, postgres_type(definition))
        if check:
            moments[name] = is_dated if check == "dated" else is_moment
        arriving = encoded_as(column, postgres_type(definition))
        if column.bare in PLAIN:
            names[f"n{index}"] = noting(name, column.bare, set() if loose is None else loose)
        for checks, each in expressions.items():
            written = expression(index, base, arriving, names, nullable=nullable, check=check if checks else "")
            each.append(f"n{index}({written})" if column.bare in PLAIN else written)
    fine = _index_of_fine(plan)
    if fine is not None:
        name = plan.table.properties[fine].name
        if name not in moments:
            return None
        position = [each for each, *_ in types].index(name)
        for written_fields in expressions.values():
            written_fields[fine] = f"whole({written_fields[fine]})"
            written_fields.append(f"finer(r.f{position})")
    return CompiledEncoder(plan, types, expressions, names, moments)


def _check_of(base: str, wanted: str) -> Literal["", "dated", "moment"]:
    """Return the name of the function that checks a text, by the type that its definition asks for; "" for none."""
    if base != "string" or wanted not in MOMENTS:
        return ""
    return "dated" if wanted in DATED else "moment"


_DECODED_LATE: Final = frozenset({"number", "object", "array"})
_PROPERTIES: Final = frozenset({"string", "integer", "boolean", "number", "object", "array"})
_SPELT_ALIKE: Final = frozenset({("integer", "bigint"), ("string", "text")})


def _kind(definition: Any, *, validates: bool) -> tuple[str, bool] | None:
    """Return the one type of a property and whether it may be null; None where its definition says more."""
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
    if not kinds:
        return "null" if nullable else "any", True
    only = kinds.pop() if len(kinds) == 1 else None
    return (only, nullable) if only in _PROPERTIES else None


def _one(_: Any) -> int:
    """Return a constant that is not None, for the version or key of a stream without one."""
    return 1
