"""The documentation names every key, and nothing else stands where keys are named."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tap_restextract.config import webhooks
from tap_restextract.config.auth import Auth
from tap_restextract.config.paginators import Paginator
from tap_restextract.config.streams import Feed, Incremental, Lookup, StreamSettings
from tap_restextract.plan.walks import WALKS

pytestmark = pytest.mark.pure

TEXT = (Path(__file__).parents[2] / "docs" / "tap.md").read_text(encoding="utf-8")
STRUCTS = [
    StreamSettings,
    Incremental,
    Feed,
    Lookup,
    *Paginator.__args__,
    *Auth.__args__,
]


def test_every_key_of_the_configuration_is_documented() -> None:
    keys = {field.encode_name for struct in STRUCTS for field in msgspec.structs.fields(struct)}
    bodies = {key for key in keys if key.endswith("_body_path")}
    assert {key for key in keys - bodies if f"`{key}`" not in TEXT and f"`{key}:" not in TEXT} == set()


def test_every_type_of_paginator_and_auth_is_documented() -> None:
    tags = {struct.__struct_config__.tag for struct in STRUCTS} - {None}
    assert {tag for tag in tags if f"| `{tag}` |" not in TEXT} == set()


def test_every_walk_is_documented() -> None:
    assert {walk.name for walk in WALKS if f"**{walk.name}**" not in TEXT} == set()


def test_every_key_of_webhooks_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")
    structs = [webhooks.Webhooks, webhooks.Source, webhooks.Route, *webhooks.Signature.__args__]
    keys = {field.encode_name for struct in structs for field in msgspec.structs.fields(struct)}
    tags = {struct.__struct_config__.tag for struct in structs} - {None}
    assert {key for key in keys | tags if f"`{key}`" not in text} == set()
