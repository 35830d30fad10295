"""The settings' JSON Schema, made from their structs."""

from __future__ import annotations

import msgspec

from tap_restextract.config.annotations import Json
from tap_restextract.config.streams import Settings


def json_schema() -> Json:
    """Return the settings' JSON Schema, for singer-sdk's `--about` and for Meltano."""
    _, components = msgspec.json.schema_components([Settings], ref_template="#/$defs/{name}")
    own = components.pop("Settings")
    properties = {name: _without_null(described) for name, described in own["properties"].items()}
    return {"type": "object", "properties": properties, "required": own["required"], "$defs": components}


def _without_null(described: Json) -> Json:
    """Return an optional setting as singer-sdk's users read it: its own type, and no null as its default."""
    shown = {key: value for key, value in described.items() if key != "default" or value is not None}
    members = [member for member in shown.get("anyOf", []) if member != {"type": "null"}]
    if len(members) == 1 and "$ref" not in members[0]:
        return {**{key: value for key, value in shown.items() if key != "anyOf"}, **members[0]}
    if not members:
        return shown
    # singer-sdk reads a variable as JSON only where its setting is an object, without an anyOf with references.
    return {**{key: value for key, value in shown.items() if key != "anyOf"}, "type": "object", "oneOf": members}
