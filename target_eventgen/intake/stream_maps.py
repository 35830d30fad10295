"""Records through singer-sdk's stream maps, which go together with deletions, and fail with the expression that fails.

A record with `_sdc_deleted_at` is a deletion, and may be its key alone. An expression over a property that a deletion
hasn't yields no property, and a filter over one lets the deletion through: of a row that was never loaded it is
nothing. The mark of a deletion stays where `__else__` leaves out what isn't mapped.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from singer_sdk.mapper import CustomStreamMap, StreamMap

from target_eventgen.errors import MessageError
from target_eventgen.intake import validation
from target_eventgen.model.tables import DELETED_AT

_ABSENT = object()


def adapt(stream_map: StreamMap, definitions: Mapping[str, Any]) -> None:
    """Adapt a stream map in place, before its first record.

    Args:
        stream_map: of a stream.
        definitions: the setting `stream_maps`, which may say itself what becomes of `_sdc_deleted_at`.
    """
    if not isinstance(stream_map, CustomStreamMap):
        return
    evaluate = stream_map._eval  # noqa: SLF001  there is no other place to step in
    properties = stream_map.raw_schema.get("properties", {})
    keeps_mark = not any(DELETED_AT in each for each in definitions.values() if isinstance(each, Mapping))
    if DELETED_AT in properties and keeps_mark:
        stream_map.transformed_schema["properties"].setdefault(DELETED_AT, properties[DELETED_AT])

    def careful(expr: str, expr_parsed: ast.Expr, record: dict[str, Any], property_name: str | None) -> Any:
        is_deletion = record.get(DELETED_AT) is not None
        lacking = _inputs(expr_parsed, property_name, properties) - record.keys()
        if is_deletion and lacking:
            return property_name is None or _ABSENT
        try:
            return evaluate(expr, expr_parsed, record, property_name)
        except Exception as error:  # a map's expression may raise anything
            if is_deletion:
                return property_name is None or _ABSENT
            raise MessageError(_fault(stream_map.stream_alias, property_name, expr, error, sorted(lacking))) from error

    vars(stream_map).update(_eval=careful, keeps_mark=keeps_mark)


def transformed(stream_map: StreamMap, record: dict[str, Any]) -> dict[str, Any] | None:
    """Return a record as a stream map transforms it; None where the map filters it out.

    The expressions of a map compute with Python's floats, as they do everywhere else.
    """
    values = validation.plain(record) if isinstance(stream_map, CustomStreamMap) else dict(record)
    try:
        found = stream_map.transform(values)
    except MessageError:
        raise
    except Exception as error:  # flattening may raise anything, too
        raise MessageError(
            f'stream "{stream_map.stream_alias}": its stream map fails on a record ({type(error).__name__}); '
            "correct the expressions in stream_maps"
        ) from error
    if found is None or record.get(DELETED_AT) is None:
        return found
    found = {name: value for name, value in found.items() if value is not _ABSENT}
    if lost := [name for name in stream_map.transformed_key_properties or () if name not in found]:
        raise MessageError(
            f'stream "{stream_map.stream_alias}": its stream map makes {", ".join(lost)}, a key, of properties that a deletion '
            "hasn't, so it can't be told which row is deleted; make the key of the stream's own key properties"
        )
    if getattr(stream_map, "keeps_mark", False):
        found.setdefault(DELETED_AT, record[DELETED_AT])
    return found


def _inputs(parsed: ast.AST, property_name: str | None, properties: Mapping[str, Any]) -> set[str]:
    """Return the properties that an expression speaks of: by their name, by `_['name']`, or by `self`."""
    found = set()
    for node in ast.walk(parsed):
        if isinstance(node, ast.Name):
            found.add(property_name if node.id == "self" else node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return {name for name in found if name is not None and name in properties}


def _fault(stream: str, property_name: str | None, expr: str, error: Exception, lacking: list[str]) -> str:
    cause = error.__cause__ or error
    where = "its __filter__" if property_name is None else f'the property "{property_name}"'
    remedy = "correct it in stream_maps"
    if lacking:
        remedy = f"a record lacks {', '.join(lacking)}: write _.get('{lacking[0]}'), which is None there"
    return f'stream "{stream}": the stream map of {where} fails on a record ({type(cause).__name__}): {expr}; {remedy}'
