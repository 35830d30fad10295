"""Growth: what the records of a page need that the stream's schema doesn't have yet.

Theory of operation. Each page is compared with the schema before it is written: a property that is new, or a value of
another kind, makes the schema grow, and the stream sends it again, so that a target widens its table before it sees
the record. A page that fits, as nearly all do, costs a few calls a property and none a record: the values that walks
left undecoded are joined, and what their bytes must look like is asked of all of them at once. Only where the answer
is no are they decoded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final

from msgspec import UNSET

from tap_restextract.singer.schema import Schema, described, fits, kind_of, kinds_in
from tap_restextract.values.rows import Row, column

MAX_FOLLOWED_PROPERTIES: Final = 500  # as many as a table with a key has in target-eventgen; what is beyond is left out

_CLASSES: Final[Mapping[str, tuple[type, ...]]] = {
    "integer": (int,),
    "number": (int, Decimal, float),
    "string": (str,),
    "date-time": (str,),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}
_BYTES: Final[Mapping[frozenset[str], bytes]] = {
    frozenset(): b"nul\n",
    frozenset({"integer"}): b"-0123456789nul\n",
    frozenset({"number"}): b"-+.eE0123456789nul\n",
    frozenset({"boolean"}): b"truefalsn\n",
    frozenset({"date-time"}): b'"-+:.,TtZzUC 0123456789nul\n',
}
"""All the bytes that values of these kinds, and null, are written with, a line each."""

_OTHER_STARTS: Final[Mapping[str, re.Pattern[bytes]]] = {
    "string": re.compile(rb'\n[^"n]'),
    "object": re.compile(rb"\n[^{n]"),
    "array": re.compile(rb"\n[^\[n]"),
}
"""What begins, behind a line break, a value that is neither of the kind nor null."""


@dataclass(slots=True)
class Growth:
    """What a stream's schema says of the properties that are followed.

    Attributes:
        keys: the properties that identify or order records.
        kinds: of each property that may grow.
        known: every property of the schema, those that are declared too.
        may_add: whether a new property is taken into the schema.
    """

    keys: AbstractSet[str]
    kinds: dict[str, frozenset[str]]
    known: set[str]
    may_add: Callable[[str], bool] = field(default=lambda _: False)

    @classmethod
    def of(
        cls, schema: Schema, keys: AbstractSet[str], pinned: AbstractSet[str], may_add: Callable[[str], bool]
    ) -> Growth:
        """Return the growth of a schema, whose pinned properties stay as they are."""
        kinds = {name: kinds_in(each) for name, each in schema["properties"].items() if name not in pinned}
        return cls(
            keys, {name: each for name, each in kinds.items() if each is not None}, {*schema["properties"]}, may_add
        )

    def needed(self, records: Sequence[Any]) -> dict[str, Schema]:
        """Return the definitions that the schema needs for these records, and count them as part of it."""
        found = {name: kinds for name, kinds in misfits(records, self.kinds).items() if kinds}
        for name in sorted(names_in(records) - self.known):
            if len(self.known) < MAX_FOLLOWED_PROPERTIES and self.may_add(name):
                values = [value for value in column(records, name, UNSET) if value is not UNSET]
                if values:
                    found[name] = {*map(kind_of, values)} - {"null"}
                    self.known.add(name)
        needed = {}
        for name, kinds in found.items():
            needed[name] = described(name, self.kinds.get(name, frozenset()) | kinds, self.keys)
            self.kinds[name] = kinds_in(needed[name]) or frozenset()
        return needed


def names_in(records: Sequence[Any]) -> set[str]:
    """Return the properties that the records have; of rows, those that they may have."""
    rows = [kind for kind in set(map(type, records)) if issubclass(kind, Row)]
    if rows and not any(isinstance(record, dict) for record in records):
        return set().union(*(kind.fields for kind in rows))
    return set().union(*records)


def misfits(records: Sequence[Any], allowed: Mapping[str, frozenset[str]]) -> dict[str, set[str]]:
    """Return, of the properties with allowed kinds, the kinds of other values that some record has."""
    types = set(map(type, records))
    only = types.pop() if len(types) == 1 else dict
    found: dict[str, set[str]] = {}
    for name, kinds in allowed.items():
        if issubclass(only, Row):
            if name not in only.fields:
                continue
            if name in only.raw and _fit_as_written([*map(attrgetter(only.fields[name]), records)], kinds):
                continue
        values = column(records, name)
        if not _fit(values, kinds):
            found[name] = {kind for kind in set(map(kind_of, values)) if not fits(kind, kinds)}
    return found


def _fit(values: Sequence[Any], kinds: frozenset[str]) -> bool:
    classes = set(map(type, values)) - {type(None)}
    if not classes <= {each for kind in kinds for each in _CLASSES[kind]}:
        return False
    if "date-time" not in kinds or str not in classes:
        return True
    return _are_moments(b"\n".join([value.encode() for value in values if type(value) is str]))


def _fit_as_written(values: list[Any], kinds: frozenset[str]) -> bool:
    """Return whether the JSON of undecoded values shows that they are of these kinds; False where it doesn't show."""
    try:
        joined = b"\n".join(values)
    except TypeError:  # a record without the property
        joined = b"\n".join([value for value in values if value is not UNSET])
    if kinds in _BYTES:
        return not joined.translate(None, _BYTES[kinds]) and ("date-time" not in kinds or b'""' not in joined)
    if len(kinds) != 1:
        return False
    (kind,) = kinds
    return not _OTHER_STARTS[kind].search(b"\n" + joined)


def _are_moments(lines: bytes) -> bool:
    """Return whether lines have nothing but what instants are written with, and none is empty."""
    return not lines.translate(None, _BYTES[frozenset({"date-time"})]) and b"\n\n" not in b"\n" + lines + b"\n"
