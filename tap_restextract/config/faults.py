"""The faults of a value against its struct: unknown keys, missing keys, wrong values; each with its remedy."""

from __future__ import annotations

import functools
import types
import typing
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from tap_restextract.config import foreign_names
from tap_restextract.config.auth import Auth
from tap_restextract.config.durations import DURATION, DURATION_OR_NUMBER, duration_remedy
from tap_restextract.config.foreign_names import AUTH_TYPES, PAGINATOR_TYPES, foreign_hint
from tap_restextract.config.paginators import Paginator
from tap_restextract.config.streams import SECRETS, Incremental, ResponseRule, Shared
from tap_restextract.values.spelling import hint, nearest

FOREIGN_KEYS: typing.Final = (
    (Shared, foreign_names.STREAM),
    (Incremental, foreign_names.INCREMENTAL),
    (ResponseRule, foreign_names.RULE),
    (typing.get_args(Paginator), foreign_names.PAGINATOR),
    (typing.get_args(Auth), foreign_names.AUTH),
)
"""Structs → the names that other tools have for their keys."""


@functools.lru_cache(maxsize=256)
def _fields(struct: Any) -> dict[str, msgspec.structs.FieldInfo]:
    """Return a struct's fields by their keys; msgspec reads all annotations each time that it is asked."""
    return {field.encode_name: field for field in msgspec.structs.fields(struct)}


def struct_faults(struct: Any, value: Any, location: str, foreign: typing.Collection[str]) -> list[str]:
    """Return all faults of a mapping against a struct: unknown keys (and the nearest known), missing and wrong ones."""
    if not isinstance(value, dict):
        return [f"{location}: a mapping is needed, not {_type_name(value)}"]
    faults: list[str] = []
    fields = _fields(struct)
    tag_field = struct.__struct_config__.tag_field
    unknown = [key for key in value if key not in fields and key != tag_field]
    faults += [
        f"{location}: unknown key {key!r}; secrets are settings of their own, auth_{key} beside auth"
        if location.endswith(".auth") and f"auth_{key}" in {*SECRETS, "auth_username", "auth_client_id"}
        else f"{location}: unknown key {key!r}{_key_hint(struct, key, [*fields, *foreign])}"
        for key in unknown
    ]
    for key, field in fields.items():
        if key not in value or (value[key] is None and field.required):
            if field.required:
                faults.append(f"{location}: the key {key!r} is missing")
            continue
        nested = tag_field or not issubclass(struct, Shared)
        if value[key] is None and nested and type(None) not in _members(field.type):
            faults.append(f"{location}.{key}: it is null; give it a value, or leave the key out")
        faults += _value_faults(field.type, value[key], f"{location}.{key}")
    return faults


def _key_hint(struct: Any, key: str, known: list[str]) -> str:
    """Return the end of a message about an unknown key: another tool's name, another type's key, or what was meant."""
    table = next((table for structs, table in FOREIGN_KEYS if issubclass(struct, structs)), None)
    if table is not None and (foreign := foreign_hint(table, key)):
        return foreign
    for family in (typing.get_args(Paginator), typing.get_args(Auth)):
        types_with = [str(member.__struct_config__.tag) for member in family if key in _fields(member)]
        if struct in family and types_with:
            return f"; it is a key of {'type' if len(types_with) == 1 else 'types'} {', '.join(sorted(types_with))}"
    if issubclass(struct, Shared) and key in _fields(Incremental):
        return "; it stands in `incremental`"
    return hint(key, known)


def _type_fault(tags: dict[Any, Any], tag: Any, location: str) -> str:
    """Return the fault of a type that is none of the known ones, which are listed once."""
    known = ", ".join(sorted(str(name) for name in tags))
    paginators = any(member in typing.get_args(Paginator) for member in tags.values())
    foreign = foreign_hint(PAGINATOR_TYPES if paginators else AUTH_TYPES, str(tag))
    near = nearest(str(tag), [str(name) for name in tags], cutoff=0.5)
    return f"{location}.type: {tag!r} is none of {known}{foreign or (f'; did you mean {near!r}?' if near else '')}"


def _value_faults(kind: Any, value: Any, location: str) -> list[str]:
    if value is None:
        return []
    listed = _listed_struct(kind)
    if listed is not None and isinstance(value, list):
        return [
            fault
            for index, each in enumerate(value)
            for fault in struct_faults(listed, each, f"{location}[{index}]", ())
        ]
    structs = [member for member in _members(kind) if isinstance(member, type) and issubclass(member, Struct)]
    if structs:
        tags = {member.__struct_config__.tag: member for member in structs}
        if not isinstance(value, dict):
            written = f"; write {{type: {value}}}" if isinstance(value, str) and value in tags else ""
            return [f"{location}: a mapping is needed, not {_type_name(value)}{written}"]
        if None in tags:
            return struct_faults(tags[None], value, location, ())
        tag = value.get("type")
        if not isinstance(tag, str) or tag not in tags:
            return [_type_fault(tags, tag, location)]
        return struct_faults(tags[tag], value, location, ())
    try:
        msgspec.convert(value, kind, strict=False)  # environment variables are strings
    except msgspec.ValidationError as error:
        return _wrong_members(kind, value, location) or [
            f"{location}: {_in_words(kind, value) or _lowered(str(error))}"
        ]
    return []


def _wrong_members(kind: Any, value: Any, location: str) -> list[str]:
    """Return the faults of a list's or a mapping's own members, each with its location."""
    container = next((member for member in _members(kind) if typing.get_origin(member) is type(value)), None)
    if container is None:
        return []
    inner = typing.get_args(container)[-1]
    members = enumerate(value) if isinstance(value, list) else value.items()
    return [
        fault
        for key, each in members
        for fault in (
            _value_faults(inner, each, f"{location}[{key}]" if isinstance(value, list) else f"{location}.{key}")
            if each is not None
            else [f"{location}[{key}]: it is null; give it a value, or leave it out"]
        )
    ]


def _in_words(kind: Any, value: Any) -> str:
    """Return what is needed instead of a wrong value; the value itself is shown only where it can be no secret."""
    given = repr(value) if isinstance(value, (str, bool, int, float)) else _type_name(value)
    metas = [meta for meta in _metas(kind) if isinstance(meta, Meta)]
    members = [member for member in _members(kind) if member is not type(None)]
    if any(meta.pattern for meta in metas):
        remedy = duration_remedy(value) if any(meta.pattern in {DURATION, DURATION_OR_NUMBER} for meta in metas) else ""
        described = next((meta.description for meta in metas if meta.description), "")
        return f"{given} is not of this setting's form. {described}{remedy}"
    names = [
        str(name) for member in members for name in typing.get_args(member) if typing.get_origin(member) is Literal
    ]
    if names:
        same = (name for name in names if name.casefold() == str(value).casefold())
        near = next(same, None) or nearest(str(value), names)
        return f"{given} is none of {', '.join(names)}" + (f"; did you mean {near!r}?" if near else "")
    bounds = _bounds(metas)
    needed = {str: "a text", bool: "true or false", list: "a list", dict: "a mapping"}
    needed |= {int: f"a whole number{bounds}", float: f"a number{bounds}"}
    needs = dict.fromkeys(needed.get(typing.get_origin(member) or member, "") for member in members)
    if not needs or "" in needs:
        return ""
    got = (
        given
        if {int, float, bool} & {*members} and str not in members
        else "an empty text"
        if value == ""
        else _type_name(value)
    )
    return f"{' or '.join(needs)} is needed, not {got}"


def _bounds(metas: list[Meta]) -> str:
    low, over, high = (
        next((bound_value for meta in metas if (bound_value := getattr(meta, bound)) is not None), None)
        for bound in ("ge", "gt", "le")
    )
    first = f" of at least {low:g}" if low is not None else f" greater than {over:g}" if over is not None else ""
    return first + (f"{' and' if first else ' of'} at most {high:g}" if high is not None else "")


def _metas(kind: Any) -> list[Any]:
    """Return what a field's annotation says beside its type."""
    if typing.get_origin(kind) is Annotated:
        inner, *metas = typing.get_args(kind)
        return [*metas, *_metas(inner)]
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        return [meta for member in typing.get_args(kind) for meta in _metas(member)]
    return []


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _listed_struct(kind: Any) -> Any:
    """Return the struct that a list's members are, where they are one."""
    for member in _members(kind):
        if typing.get_origin(member) is list:
            (member_type,) = typing.get_args(member)
            return member_type if isinstance(member_type, type) and issubclass(member_type, Struct) else None
    return None


def _members(kind: Any) -> tuple[Any, ...]:
    if typing.get_origin(kind) is Annotated:
        return _members(typing.get_args(kind)[0])
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        return tuple(inner for member in typing.get_args(kind) for inner in _members(member))
    return (kind,)


def _type_name(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")
