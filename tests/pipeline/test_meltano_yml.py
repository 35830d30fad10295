"""meltano.yml says of each plugin what the plugin says of itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.environments import PROJECT
from tests.support.example import EXAMPLE
from tests.support.processes import TAP, TARGET

PLUGINS = {
    "tap-restextract": ("extractors", TAP),
    "target-eventgen": ("loaders", TARGET),
}
WITHOUT_A_NAME_IN_MELTANO = {"validate-records"}
KINDS = {
    # Meltano's `decimal` would crash its writing of the configuration; a number in YAML keeps its fraction anyway.
    "number": "integer",
    "integer": "integer",
    "boolean": "boolean",
    "array": "array",
    "object": "object",
}


def project() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((PROJECT / "meltano.yml").read_text())
    return loaded


def plugin(name: str) -> dict[str, Any]:
    (found,) = (entry for entry in project()["plugins"][PLUGINS[name][0]] if entry["name"] == name)
    return dict(found)


def about(name: str) -> dict[str, Any]:
    command: list[str | Path] = [PLUGINS[name][1], "--about", "--format", "json"]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    told: dict[str, Any] = json.loads(finished.stdout)
    return told


def settings_of(name: str) -> dict[str, dict[str, Any]]:
    """The settings of a plugin, each of those below `ssh_tunnel` on its own, as Meltano has them."""
    found: dict[str, dict[str, Any]] = dict(about(name)["settings"]["properties"])
    below = found.pop("ssh_tunnel", {}).get("properties", {})
    return {**found, **{f"ssh_tunnel.{each}": schema for each, schema in below.items()}}


def kind(schema: dict[str, Any]) -> str:
    """The kind that Meltano should show for a setting of this JSON Schema."""
    if schema.get("enum"):
        return "options"
    types = schema.get("type") or ([] if "anyOf" not in schema else "object")
    (one,) = {each for each in ([types] if isinstance(types, str) else types) if each != "null"}
    return KINDS.get(one, "string")


@pytest.mark.parametrize("name", PLUGINS)
def test_every_setting_of_a_plugin_is_in_meltano_yml_and_no_other(name: str) -> None:
    listed = [setting["name"] for setting in plugin(name)["settings"]]
    assert sorted(listed) == sorted(settings_of(name))


@pytest.mark.parametrize("name", PLUGINS)
def test_each_setting_has_its_kind_a_label_a_description_and_secrets_are_hidden(name: str) -> None:
    settings = settings_of(name)
    for setting in plugin(name)["settings"]:
        schema = settings[setting["name"]]
        assert setting["kind"] == kind(schema), setting["name"]
        assert setting["label"]
        assert setting["description"]
        assert setting.get("sensitive", False) == schema.get("secret", False), setting["name"]
        choices = [option["value"] for option in setting.get("options", [])]
        assert sorted(choices) == sorted(each for each in schema.get("enum", []) if each is not None), setting["name"]


@pytest.mark.parametrize("name", PLUGINS)
def test_capabilities_and_group_validation_fit_the_plugin(name: str) -> None:
    told = about(name)
    listed = plugin(name)
    assert sorted(listed["capabilities"]) == sorted(set(told["capabilities"]) - WITHOUT_A_NAME_IN_MELTANO)
    required = set(told["settings"].get("required", []))
    known = set(told["settings"]["properties"])
    for group in listed["settings_group_validation"]:
        assert required <= set(group) <= known


def test_the_configuration_in_meltano_yml_is_that_of_the_example() -> None:
    assert plugin("tap-restextract")["config"] == json.loads((EXAMPLE / "tap.json").read_text())
    assert plugin("target-eventgen")["config"] == json.loads((EXAMPLE / "target.json").read_text())
