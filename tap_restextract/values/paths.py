"""JSONPath, as far as answers need it: where the records lie, where a token lies, where a record's value lies.

A dotted path (`data.items`, `$.paging.next`) is followed key by key; anything richer goes to jsonpath-ng, whose
compiled form is kept. A trailing `[*]` names the list itself, so that an empty list and a missing one stay different.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from tap_restextract.errors import AnswerError, ConfigurationError
from tap_restextract.values.rows import Row, column

MAX_EXACT_FLOAT: Final = 2**53
DOTTED: Final = re.compile(r"^(?:\$\.?)?((?:[^.\[\]*$'\"]+(?:\.[^.\[\]*$'\"]+)*)?)$")


REACHING: Final = re.compile(r"\.\*|\[\*\]|\[\?|\.\.")


class Missing:
    """What a path finds where nothing lies; null is found as None."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing()


def find(path: str, value: Any) -> Any:
    """Return the first value at the path, or MISSING. A key with dots, such as @odata.nextLink, is found too.

    Raises:
        ConfigurationError: where the path is not a JSONPath.
    """
    keys = steps(path)
    if keys is None:
        return next(iter(_matches(path, value)), MISSING)
    if isinstance(value, (dict, Row)):
        found = value.get(path, MISSING)
        if found is not MISSING or keys == (path,):
            return found
    for key in keys:
        if not isinstance(value, (dict, Row)) or key not in value:
            return MISSING
        value = value[key]
    return value


def find_each(path: str, records: Sequence[Any]) -> list[Any]:
    """Return what `find` finds in each of the records."""
    if steps(path) == (path,) and all(issubclass(kind, (dict, Row)) for kind in set(map(type, records))):
        return column(records, path, MISSING)
    return [find(path, record) for record in records]


def match_count(path: str, value: Any) -> int:
    """Return how many values lie at the path; 1 for a path that can't lead to several."""
    return 1 if steps(path) is not None else len(_compiled(path).find(value))


def reaches_within(path: str) -> bool:
    """Return whether the path reaches into a list's elements, or chooses among them: its values aren't the list's."""
    return REACHING.search(path.removesuffix("[*]")) is not None


def list_length(path: str, value: Any, record_count: int) -> int:
    """Return how many elements the outermost list has on the way to the records: what an API counts its pages by.

    Args:
        path: of the records, which may reach into each element, or choose among them.
        value: the body.
        record_count: how many records were found, where the path does neither.
    """
    around = REACHING.split(path.removesuffix("[*]"), maxsplit=1)
    if len(around) == 1 or steps(around[0]) is None:
        return record_count
    outermost = find(around[0], value)
    return len(outermost) if isinstance(outermost, (list, dict)) else record_count


def find_list(path: str, value: Any) -> list[Any] | Missing:
    """Return the records at the path: a list as it is, null as none, an object as one; MISSING where nothing is."""
    records = list_or_null(path, value)
    return [] if records is None else records


def list_or_null(path: str, value: Any) -> list[Any] | Missing | None:
    """Return likewise the records at the path; None where null stands in place of the list."""
    trimmed = path.removesuffix("[*]")
    if steps(trimmed) is None:
        matches = _matches(path, value)
        records: Any = matches or _none_of_them(_compiled(path), value)
        if len(matches) == 1 and isinstance(matches[0], list):
            records = matches[0]
    else:
        records = find(trimmed, value)
    if isinstance(records, dict):
        return [records]
    return records if records is None or isinstance(records, list) else MISSING


def _matches(path: str, value: Any) -> list[Any]:
    """Return the values at a path that needs a JSONPath engine.

    A filter is asked about a copy whose fractions are floats: to jsonpath-ng a Decimal is no number, so that 10.9 would
    be neither more than 10 nor equal to 10.9. What the filter lets through is then taken from the value itself.
    """
    compiled = _compiled(path)
    if "?" not in path:
        return [match.value for match in compiled.find(value)]
    copy = _with_floats(value)
    found = []
    try:
        for match in compiled.find(copy):
            # What a function or arithmetic makes lies nowhere.
            at = [] if copy is value else match.full_path.find(copy)
            is_there = len(at) == 1 and at[0].value is match.value
            found.append(match.full_path.find(value)[0].value if is_there else match.value)
    except TypeError as error:
        raise AnswerError(
            f"the filter in {path!r} compares values of different kinds, such as a number and null; let the request leave "
            "such records out, or compare with another property"
        ) from error
    return found


def _with_floats(value: Any) -> Any:
    """Return the value with floats in place of Decimals; the value itself where there are none, or it is too deep."""
    try:
        return _copied(value)
    except RecursionError:
        return value


def _copied(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list):
        members = [_copied(member) for member in value]
        return value if all(one is other for one, other in zip(members, value, strict=True)) else members
    if isinstance(value, dict):
        copy = {name: _copied(member) for name, member in value.items()}
        return value if all(copy[name] is member for name, member in value.items()) else copy
    return value


def _none_of_them(path: Any, value: Any) -> list[Any] | Missing | None:
    """Return what a path means that matches nothing.

    No records where a list on its way, or a map under `.*`, is empty; None where null stands in its place; else
    MISSING: `edges[*].node` of {"edges": []} is an empty page, of {"edges": [{"nod": …}]} it is a path that is wrong.
    """
    from jsonpath_ng import Fields  # noqa: PLC0415  a slow import, needed by few configurations
    from jsonpath_ng.ext.filter import Filter  # noqa: PLC0415

    reached = [value]
    for part in _parts(path):
        found = [match.value for each in reached for match in part.find(each)]
        if not found:
            is_map = str(part).strip("'") == "*"  # a class of its own after jsonpath-ng 1.8, which Python 3.10 has
            is_each = is_map or not isinstance(part, Fields)
            if is_each and all(each is None for each in reached):
                return None
            lists = all(isinstance(each, (list, dict) if is_map else list) for each in reached)
            empty = is_each and not any(reached)
            return [] if lists and (empty or isinstance(part, Filter)) else MISSING
        reached = found
    return MISSING


def _parts(path: Any) -> list[Any]:
    from jsonpath_ng import Child  # noqa: PLC0415

    return [*_parts(path.left), *_parts(path.right)] if isinstance(path, Child) else [path]


@functools.lru_cache(maxsize=256)
def steps(path: str) -> tuple[str, ...] | None:
    """Return a dotted path's keys; None for a path that needs a JSONPath engine."""
    match = DOTTED.match(path)
    if match is None:
        return None
    return tuple(match[1].split(".")) if match[1] else ()


def _with_float_literals(path: Any) -> Any:
    """Replace the whole numbers in a path's filters by floats, as far as these are exact.

    On Python 3.10 jsonpath-ng is 1.8, which cuts what is compared with a whole number to one: 10.9 is not more than 10.
    """
    from jsonpath_ng.ext.filter import Filter  # noqa: PLC0415  a slow import, needed by few configurations

    for part in _parts(path):
        for expression in part.expressions if isinstance(part, Filter) else ():
            literal = getattr(expression, "value", None)
            if type(literal) is int and abs(literal) <= MAX_EXACT_FLOAT:
                expression.value = float(literal)
    return path


@functools.lru_cache(maxsize=256)
def _compiled(path: str) -> Any:
    from jsonpath_ng.exceptions import JSONPathError  # noqa: PLC0415  a slow import, needed by few configurations
    from jsonpath_ng.ext.parser import parse  # noqa: PLC0415

    try:
        return _with_float_literals(parse(path))
    except JSONPathError as error:
        raise ConfigurationError(
            [f"{path!r} is not a JSONPath: {error}; write it like data.items or $.data[*]"]
        ) from error
