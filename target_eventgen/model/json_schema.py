"""The JSON Schema of settings, as singer-sdk would write it, from the structs that describe them."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec


def described(title: str | None, description: str, **more: Any) -> msgspec.Meta:
    """Describe a setting; `more` goes into its JSON Schema as it is."""
    return msgspec.Meta(title=title, description=description, extra_json_schema=more)


_JSON_TYPES: Final[Mapping[Any, str]] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    dict: "object",
    list: "array",
}


def object_schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON Schema of an object with the fields of a struct, among others."""
    fields = msgspec.structs.fields(struct)
    required = [field.name for field in fields if field.required]
    properties = {field.name: _property(field) for field in fields if typing.get_origin(field.type) is Annotated}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": True}


def _property(field: msgspec.structs.FieldInfo) -> dict[str, Any]:
    """Return the JSON Schema of a field, its keys in the order of singer-sdk's."""
    annotated, meta = typing.get_args(field.type)
    hint = _without_null(annotated)
    kind, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    more = dict(meta.extra_json_schema)
    schema: dict[str, Any] = {}
    if kind is Literal:
        schema["type"] = ["string"]
        more = {"enum": list(arguments), **more}
    elif kind is list:
        schema = {"type": ["array"], "items": more.pop("items", None) or {"type": [_JSON_TYPES[arguments[0]]]}}
    elif kind is dict:
        schema = {"type": ["object"], "properties": {}, "additionalProperties": _values(arguments[1])}
    elif kind is typing.Union:
        schema["type"] = [_JSON_TYPES[typing.get_origin(part) or part] for part in arguments]
    else:
        schema["type"] = [_JSON_TYPES[hint]]
    if not field.required:
        schema["type"].append("null")
    if meta.title is not None:
        schema["title"] = meta.title
    default = [] if field.default_factory is list else field.default
    if default is not None and default is not msgspec.NODEFAULT:
        schema["default"] = default
    return {**schema, "description": meta.description, **more}


def _without_null(hint: Any) -> Any:
    if typing.get_origin(hint) not in {types.UnionType, typing.Union}:
        return hint
    others = tuple(part for part in typing.get_args(hint) if part is not types.NoneType)
    return others[0] if len(others) == 1 else typing.Union[others]  # noqa: UP007  made of parts that are not known here


def _values(hint: Any) -> Any:
    """Return the JSON Schema of a mapping's values."""
    if hint is Any:
        return True
    return {"type": [_JSON_TYPES[typing.get_origin(part) or part] for part in typing.get_args(hint) or (hint,)]}
