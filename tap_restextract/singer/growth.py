"""Growth: what the records of a page need that the stream's schema doesn't have yet.

Theory of operation. Each page is compared with the schema before it is written: a property that is new, or a value of
another kind, makes the schema grow, and the stream sends it again, so that a target widens its table before it sees
the record. A page that fits, as nearly all do, costs a few calls a property and none a record. What the decoder of rows
has already made sure of isn't asked again, which leaves the properties with fractions, objects, arrays and instants:
their values are joined, and what the bytes must look like is asked of all of them at once. Only where the answer is no
are they decoded.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final

from msgspec import UNSET, Struct, field

from tap_restextract.singer.schema import KINDS, Schema, described, fits, kind_of, kinds_in
from tap_restextract.values.cursor import INSTANT
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
_SURE: Final[Mapping[type, AbstractSet[str]]] = {
    str: frozenset({"string"}),
    int: frozenset({"integer", "number"}),
    bool: frozenset({"boolean"}),
    type(None): KINDS,
}
"""The kinds one of which is allowed where a property's values are surely allowed, by the type that rows have for it."""

_BYTES: Final[Mapping[frozenset[str], bytes]] = {
    frozenset(): b"nul\n",
    frozenset({"integer"}): b"-0123456789nul\n",
    frozenset({"number"}): b"-+.eE0123456789nul\n",
    frozenset({"boolean"}): b"truefalsn\n",
}
"""All the bytes that values of these kinds, and null, are written with, a line each."""

_DIGITS_AS_NINES: Final = bytes.maketrans(b"0123456789", b"9" * 10)
_NO_YEAR: Final = b"\n0000-"
_NO_DAY: Final = re.compile(rb"-00[-Tt ]")
"""The month or the day 0, as MySQL writes what is no date."""

_OTHER_STARTS: Final = {
    frozenset({kind}): re.compile(rb"\n[^n%s]" % start)
    for kind, start in {"string": b'"', "object": b"{", "array": rb"\["}.items()
}
"""What begins a value that is of another kind, and isn't null, after a line break; no value has one inside."""


class Growth(Struct):
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
        rows = row_type(records)
        found = {name: kinds for name, kinds in misfits(records, self.kinds, rows).items() if kinds}
        for name in sorted((set().union(*records) if rows is None else rows.fields.keys()) - self.known):
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


def row_type(records: Sequence[Any]) -> type[Row] | None:
    """Return the type of all records, where they are rows of one type."""
    types = set(map(type, records))
    only = types.pop() if len(types) == 1 else dict
    return only if issubclass(only, Row) else None


def misfits(
    records: Sequence[Any], allowed: Mapping[str, frozenset[str]], rows: type[Row] | None
) -> dict[str, set[str]]:
    """Return, of the properties with allowed kinds, the kinds of other values that some record has.

    Args:
        records: rows or dicts.
        allowed: the properties, each with its kinds.
        rows: the type of all records, where they are rows of one type.
    """
    found: dict[str, set[str]] = {}
    for name in allowed if rows is None else _in_doubt(rows, allowed):
        kinds = allowed[name]
        if rows is not None and _fit_in_rows(rows, name, records, kinds):
            continue
        values = column(records, name)
        if not _fit(values, kinds):
            found[name] = {kind for kind in set(map(kind_of, values)) if not fits(kind, kinds)}
    return found


def _in_doubt(rows: type[Row], allowed: Mapping[str, frozenset[str]]) -> list[str]:
    """Return the properties of rows whose values the decoder may have let be of another kind."""
    return [
        name
        for name, kinds in allowed.items()
        if name in rows.fields and kinds.isdisjoint(_SURE.get(rows.types.get(name, object), ()))
    ]


def _fit_in_rows(rows: type[Row], name: str, records: Sequence[Any], kinds: frozenset[str]) -> bool:
    """Return whether the values of rows show at once that they are of these kinds; False where they don't show it."""
    values = [*map(attrgetter(rows.fields[name]), records)]
    if name in rows.raw:
        return _fit_as_written(values, kinds)
    if rows.types.get(name) is str and "date-time" in kinds:
        try:
            return _are_moments(values)
        except TypeError:  # null, or a record without the property
            return _are_moments([value for value in values if type(value) is str])
    return False


def _fit(values: Sequence[Any], kinds: frozenset[str]) -> bool:
    classes = set(map(type, values)) - {type(None)}
    if not classes <= {each for kind in kinds for each in _CLASSES[kind]}:
        return False
    if "date-time" not in kinds or str not in classes:
        return True
    return _are_moments([value for value in values if type(value) is str])


def _fit_as_written(values: list[Any], kinds: frozenset[str]) -> bool:
    """Return whether the JSON of undecoded values shows that they are of these kinds; False where it doesn't show."""
    try:
        joined = b"\n".join(values)
    except TypeError:  # a record without the property
        joined = b"\n".join([value for value in values if value is not UNSET])
    if kinds in _BYTES:
        return not joined.translate(None, _BYTES[kinds])
    other = _OTHER_STARTS.get(kinds)
    return other is not None and other.search(b"\n" + joined) is None


def _are_moments(texts: Sequence[str]) -> bool:
    """Return whether texts have digits where instants have them, and nothing else but what stands between those."""
    if not texts:
        return True
    joined = "\n".join(["", *texts]).encode()
    lines = joined.translate(_DIGITS_AS_NINES)
    first, _, _ = lines[1:].partition(b"\n")
    # Nearly always all are written alike.
    layouts = {first} if lines == (b"\n" + first) * len(texts) else {*lines[1:].split(b"\n")}
    return all(map(_is_layout, layouts)) and _NO_YEAR not in joined and not _NO_DAY.search(joined)


@functools.lru_cache(maxsize=256)
def _is_layout(digits: bytes) -> bool:
    """Return whether an instant, or a date, is written so; each digit is a 9."""
    return INSTANT.match(digits.decode()) is not None
