"""Rows: records whose values stay the bytes that the API sent, until a walk asks for one.

Theory of operation. A stream's first page is decoded as any JSON, and its keys, in their order, become a struct type:
one for the answer around the records, one for a record. Every further page is decoded by it at once. A property that
only ever had texts, whole numbers, booleans or nulls is decoded as that, so the decoder itself notices another kind of
value; and it is as fast as leaving the value raw (1,000 records of 16 properties: 1.0 ms against 1.2 ms). All others
are raw, and are copied as they came into the RECORD lines; the values that walks look at (keys and cursors) are
decoded, whatever they are. What doesn't fit the types (a key that is new, a list that is an object, a fraction among
whole numbers) makes its page be decoded as any JSON again, and what was learned from it goes into the next types; after
many lessons all is left raw. So a row has exactly the properties that a dict of it would have.

The decoder checks the grammar of raw values, but not that they are UTF-8, and keeps the blanks between their tokens. So
a page with line breaks, or with bytes that are no UTF-8, is decoded as any JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from operator import attrgetter
from typing import Any, ClassVar, Final, cast

import msgspec
from msgspec import UNSET, Raw, Struct, field

MAX_PROPERTIES: Final = 2000
MAX_LESSONS: Final = 60  # a lesson costs as much as three pages
_TYPED: Final[Mapping[type, Any]] = {str: str | None, int: int | None, bool: bool | None, type(None): None}
"""What a property is decoded as whose values, null aside, are all of a type."""

any_json: Final = msgspec.json.Decoder(float_hook=Decimal)


class Row(Struct, gc=False):
    """A record. It has what walks use of a dict: `row[name]`, `name in row`, `get`, `keys`, and so `{**row}`.

    Attributes:
        fields: the attribute that holds each property.
        raw: the properties whose values aren't decoded.
        types: of the properties whose values, null aside, are all of one type, that type; NoneType where all are null.
    """

    fields: ClassVar[Mapping[str, str]] = {}
    raw: ClassVar[AbstractSet[str]] = frozenset()
    types: ClassVar[Mapping[str, type]] = {}

    def __contains__(self, name: object) -> bool:
        attribute = self.fields.get(name) if isinstance(name, str) else None
        return attribute is not None and getattr(self, attribute) is not UNSET

    def __getitem__(self, name: str) -> Any:
        value = getattr(self, self.fields[name])
        if value is UNSET:
            raise KeyError(name)
        return any_json.decode(value) if type(value) is Raw else value

    def get(self, name: str, default: Any = None) -> Any:
        """Return the property's value, or what is given instead."""
        attribute = self.fields.get(name)
        value = UNSET if attribute is None else getattr(self, attribute)
        if value is UNSET:
            return default
        return any_json.decode(value) if type(value) is Raw else value

    def __iter__(self) -> Iterator[str]:
        return (name for name, attribute in self.fields.items() if getattr(self, attribute) is not UNSET)

    def keys(self) -> Iterator[str]:
        """Return the properties that the API sent."""
        return iter(self)


def column(records: Sequence[Any], name: str, default: Any = None) -> list[Any]:
    """Return the property's value in each record, or what is given where it is missing."""
    kinds = set(map(type, records))
    if len(kinds) != 1 or not isinstance(records[0], Row) or name in records[0].raw:
        return [record.get(name, default) for record in records]
    attribute = records[0].fields.get(name)
    if attribute is None:
        return [default] * len(records)
    values: list[Any] = [*map(attrgetter(attribute), records)]
    return [default if value is UNSET else value for value in values] if UNSET in values else values


class Shape(Struct, frozen=True):
    """The types of one stream's answers.

    Attributes:
        around: the keys of each object on the way to the records, from the outside in.
        properties: the records' keys, in the order in which the API sends them, with the types of their values.
        decoder: of a whole answer.
    """

    around: tuple[tuple[str, ...], ...]
    properties: Mapping[str, AbstractSet[type]]
    decoder: msgspec.json.Decoder[Any]


class Reader(Struct):
    """Decodes one stream's answers.

    Attributes:
        path: the keys that lead to the list of records.
        decoded: the properties that walks look at.
    """

    path: tuple[str, ...]
    decoded: AbstractSet[str]
    shape: Shape | None = None
    lessons: int = field(default=0)

    def body(self, content: bytes) -> Any:
        """Return the answer's body, its records as rows where that is possible, else as dicts.

        Raises:
            msgspec.MsgspecError, UnicodeDecodeError, RecursionError: where it is not JSON.
        """
        shape = self.shape
        if shape is not None and is_plain(content):
            try:
                return _unfolded(shape.decoder.decode(content), self.path)
            except msgspec.DecodeError:  # another kind of value, or a number that only Decimal holds
                pass
        body = any_json.decode(content)
        if self.lessons < MAX_LESSONS:
            self._learn(body)
        return body

    def _learn(self, body: Any) -> None:
        around = []
        value = body
        for key in self.path:
            if not isinstance(value, dict) or key not in value:
                return
            around.append(tuple(value))
            value = value[key]
        if not isinstance(value, list) or not value or not all(isinstance(record, dict) for record in value):
            return
        old = self.shape
        names: dict[str, set[type]] = {name: {*types} for name, types in (old.properties if old else {}).items()}
        for record in value:
            for name, each in record.items():
                names.setdefault(name, set()).add(type(each))
        levels = tuple(
            tuple(dict.fromkeys((*before, *now)))
            for before, now in zip(old.around if old else [()] * len(around), around, strict=True)
        )
        self.lessons += 1
        if len(names) + sum(map(len, levels)) > MAX_PROPERTIES:
            self.lessons = MAX_LESSONS
            return
        try:
            self.shape = _shape(self.path, levels, names, self.decoded, learns=self.lessons < MAX_LESSONS)
        except (TypeError, ValueError):  # a key that can't be a field's name, such as one with a quotation mark
            self.shape, self.lessons = None, MAX_LESSONS


def is_plain(content: bytes) -> bool:
    """Return whether raw parts of it may stand in a line: no line breaks, all UTF-8."""
    if b"\n" in content or b"\r" in content:
        return False
    if content.isascii():
        return True
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _shape(
    path: tuple[str, ...],
    around: tuple[tuple[str, ...], ...],
    properties: Mapping[str, AbstractSet[type]],
    decoded: AbstractSet[str],
    *,
    learns: bool,
) -> Shape:
    """Return the types of answers with these properties; while the reader learns, typed as values were so far."""
    types = {}
    if learns:
        for name in properties:
            only = {*properties[name]} - {type(None)} or {type(None)}
            if len(only) == 1 and only <= _TYPED.keys():
                (types[name],) = only
    kinds = {name: _TYPED[types[name]] if name in types else Any if name in decoded else Raw for name in properties}
    row = _struct("Row", kinds, Row)
    row.types = types
    kind: Any = list[row]  # type: ignore[valid-type]  # a type that is made here
    for key, names in zip(reversed(path), reversed(around), strict=True):
        kind = _struct("Around", {name: kind | None if name == key else Any for name in names}, Row)
    return Shape(around, properties, msgspec.json.Decoder(kind, float_hook=Decimal))


def _struct(title: str, kinds: Mapping[str, Any], base: type[Row]) -> type[Row]:
    fields = {name: f"f{number}" for number, name in enumerate(kinds)}
    kind: Any = msgspec.defstruct(
        title,
        [(fields[name], kind | msgspec.UnsetType, UNSET) for name, kind in kinds.items()],
        bases=(base,),
        namespace={"fields": fields, "raw": frozenset(name for name, kind in kinds.items() if kind is Raw)},
        rename={attribute: name for name, attribute in fields.items()},
        forbid_unknown_fields=True,
        gc=False,
    )
    return cast("type[Row]", kind)


def _unfolded(value: Any, path: tuple[str, ...]) -> Any:
    if not path or not isinstance(value, Row):
        return value
    # Nothing is raw around the records.
    around = {
        name: each for name, attribute in value.fields.items() if (each := getattr(value, attribute)) is not UNSET
    }
    if len(path) > 1 and path[0] in around:
        around[path[0]] = _unfolded(around[path[0]], path[1:])
    return around
