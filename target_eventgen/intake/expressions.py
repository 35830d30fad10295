"""Expressions: how the compiled encoder writes a field of each kind into a COPY line, as Python source.

What needs no more than a look-up or a comparison stands in the expression itself; all else is a function that it calls
by a name of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from target_eventgen.intake.blocks import UNSET
from target_eventgen.intake.general import NULL, encoder
from target_eventgen.model.tables import WORDS, has_whole_year
from target_eventgen.model.versions import split

_NUMERIC: Final = frozenset({"numeric", "real", "double precision"})
decode_json: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_STARTS: Final = b"-0123456789"
_DIGITS_AS_NINES: Final = bytes.maketrans(b"0123456789", b"9" * 10)
SCALARS: Final[dict[str, Any]] = {"string": str, "integer": int, "boolean": bool}
TYPES: Final[dict[tuple[str, bool], Any]] = {
    **{(name, False): type_ for name, type_ in SCALARS.items()},
    **{(name, True): type_ | None for name, type_ in SCALARS.items()},
    ("null", False): None,
    ("null", True): None,
    **{(name, nullable): msgspec.Raw for name in ("number", "object", "array", "any") for nullable in (False, True)},
}


class MisfitError(ValueError):
    """A value is not of its type."""


def functions() -> dict[str, Any]:
    """Return what the expressions of all streams call, by name."""
    return {
        "booleans": {True: "t", False: "f", None: NULL, msgspec.UNSET: UNSET},
        "UNSET": msgspec.UNSET,
        "moment": moment(is_moment),
        "dated": moment(is_dated),
        "whole": whole,
        "finer": finer_than_whole,
    }


def expression(  # noqa: PLR0913  each is a fact of the property
    index: int, base: str, column: str, names: dict[str, Any], *, nullable: bool, check: str
) -> str:
    """Return the expression that writes a field of the record `r`; add the functions that it calls to the names."""
    field = f"r.f{index}"
    if TYPES[base, nullable] is msgspec.Raw:
        as_spelt = base == "number" and column in _NUMERIC
        names[f"w{index}"] = _number(nullable=nullable) if as_spelt else _raw(base, column, nullable=nullable)
        return f"w{index}({field})"
    if base == "boolean" and column == "boolean":
        return f"booleans[{field}]"
    if (base == "boolean") or (base == "string" and column in {"jsonb", "json"}):
        names[f"w{index}"] = encoder(column)
        value = f"{check}({field})" if check else field
        return f"NULL if {field} is None else '{UNSET}' if {field} is UNSET else w{index}({value})"
    if check:
        return f"{check}({field})"
    return f"NULL if {field} is None else {field}" if nullable else field


def is_moment(text: str) -> bool:
    """Return whether a date or time begins with a digit and has no words.

    Text with words (such as "10:00 today") is left to the general encoder.
    """
    return "/" < text[:1] < ":" and (text[4:5] == "-" or WORDS.search(text) is None)


def is_dated(text: str) -> bool:
    """Return whether a text is one of `is_moment` that names its year."""
    return "/" < text[:1] < ":" and has_whole_year(text) and (text[4:5] == "-" or WORDS.search(text) is None)


def begin_with_years(values: Sequence[Any]) -> bool:
    """Return whether the texts among values begin with a year of four digits and a hyphen, as `is_dated` ones may.

    All are looked at at once, since nearly all dates and times are written so.
    """
    try:
        joined, count = "\n".join(values), len(values)
    except TypeError:  # null, or a record without the property
        texts = [value for value in values if type(value) is str]
        joined, count = "\n".join(texts), len(texts)
    lines = b"\n" + joined.encode()
    return not count or lines.count(b"\n") == count == lines.translate(_DIGITS_AS_NINES).count(b"\n9999-")


def moment(is_one: Callable[[str], bool]) -> Callable[[Any], Any]:
    """Return the function that writes the text of a date or time."""

    def written(text: Any) -> Any:
        if text is None:
            return NULL
        if text is msgspec.UNSET or is_one(text):
            return text
        raise MisfitError

    return written


def _number(*, nullable: bool) -> Callable[[Any], str]:
    """Return the function that writes a number as it is spelt."""

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


_CLASSES: Final[dict[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "number": (int, Decimal),
    "any": (object,),
}


def _raw(base: str, column: str, *, nullable: bool) -> Callable[[Any], str]:
    """Return the function that writes a value which has to be decoded first."""
    encode = encoder(column)

    def written(raw: Any) -> str:
        if raw is msgspec.UNSET:
            return UNSET
        value = decoded(raw, base, nullable=nullable)
        return NULL if value is None else encode(value)

    return written


def decoded(raw: Any, base: str, *, nullable: bool) -> Any:
    """Return a value from its JSON.

    Raises:
        MisfitError: the value is not of its type.
    """
    value = decode_json(raw)
    fits = (
        nullable
        if value is None
        else isinstance(value, _CLASSES[base]) and (base != "number" or value is not bool(value))
    )
    if not fits:
        raise MisfitError
    return value


def whole(text: Any) -> Any:
    """Return the text of an instant to the microsecond."""
    return split(text)[0] if type(text) is str else text


def finer_than_whole(text: Any) -> Any:
    """Return what the text of an instant has beyond the microsecond."""
    if type(text) is not str:
        return NULL if text is None else text
    digits = split(text)[1]
    return NULL if digits is None else digits
