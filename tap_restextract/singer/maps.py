"""Stream maps of singer-sdk, made to go together with deletions, and with errors that name what fails.

A deletion is its keys and `_sdc_deleted_at`. An expression over a property that a deletion hasn't yields no property,
and a filter over one lets the deletion through: of a row that was never loaded it is nothing. The mark of a deletion
stays where `__else__` leaves out what isn't mapped.
"""

from __future__ import annotations

import ast
import logging
from collections.abc import Mapping
from typing import Any, Final

from singer_sdk.mapper import CustomStreamMap, StreamMap

from tap_restextract.errors import ConfigurationError
from tap_restextract.plan.tombstones import DELETED_AT

_ABSENT: Final = object()


def adapt(stream: str, stream_map: StreamMap, log: logging.Logger, *, names_mark: bool) -> None:
    """Adapt a stream map in place, once.

    Args:
        stream: the stream's name.
        stream_map: of the stream.
        log: where a deletion is told whose key the map can't say.
        names_mark: whether the configuration itself says what becomes of `_sdc_deleted_at`.
    """
    if not isinstance(stream_map, CustomStreamMap) or "transform" in vars(stream_map):
        return
    evaluate, transform = stream_map._eval, stream_map.transform  # noqa: SLF001  there is no other place to step in
    properties = stream_map.raw_schema.get("properties", {})
    mark = None if names_mark else properties.get(DELETED_AT)
    if mark is not None:
        stream_map.transformed_schema["properties"].setdefault(DELETED_AT, mark)
    warned: set[str] = set()

    def careful(expr: str, expr_parsed: ast.Expr, record: dict[str, Any], property_name: str | None) -> Any:
        is_deletion = record.get(DELETED_AT) is not None
        if is_deletion and not inputs_of(expr_parsed, property_name, properties) <= record.keys():
            return property_name is None or _ABSENT
        try:
            return evaluate(expr, expr_parsed, record, property_name)
        except Exception as error:
            if is_deletion:
                return property_name is None or _ABSENT
            lacking = sorted(inputs_of(expr_parsed, property_name, properties) - record.keys())
            raise ConfigurationError([_fault(stream, property_name, expr, error, lacking)]) from error

    def transformed(record: dict[str, Any]) -> dict[str, Any] | None:
        found = transform(record)
        if found is None or record.get(DELETED_AT) is None:
            return found
        found = {name: value for name, value in found.items() if value is not _ABSENT}
        if mark is not None:
            found.setdefault(DELETED_AT, record[DELETED_AT])
        lost = [name for name in stream_map.transformed_key_properties or () if name not in found]
        if lost and not warned:
            warned.update(lost)
            log.warning(
                "stream %s: its stream map makes %s, a key, of properties that a deletion hasn't, so deletions are left out",
                stream,
                ", ".join(lost),
            )
        return None if lost else found

    vars(stream_map).update(_eval=careful, transform=transformed)


def inputs_of(parsed: ast.AST, property_name: str | None, properties: Mapping[str, Any]) -> set[str]:
    """Return the properties that an expression speaks of: by their name, by `_['name']`, or by `self`."""
    found = set()
    for node in ast.walk(parsed):
        if isinstance(node, ast.Name):
            found.add(property_name if node.id == "self" else node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return {name for name in found if name is not None and name in properties}


def _fault(stream: str, property_name: str | None, expr: str, error: Exception, lacking: list[str]) -> str:
    cause: BaseException = error.__cause__ or error
    where = "its __filter__" if property_name is None else f"the property {property_name!r}"
    if lacking:
        names = ", ".join(lacking)
        remedy = f"a record lacks {names}: write _.get({lacking[0]!r}), which is None there"
    elif isinstance(cause, TypeError) and "Decimal" in str(cause):
        remedy = "numbers with a fraction are exact decimals here: write float(…) around them"
    else:
        remedy = "correct it in stream_maps"
    return f"stream {stream}: the stream map of {where} fails on a record ({type(cause).__name__}): {expr}; {remedy}"
