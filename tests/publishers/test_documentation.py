"""What docs/publishers.md says of settings is what there is."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import msgspec
import pytest
import yaml

from target_eventgen.publishers import KINDS, open_publisher

pytestmark = pytest.mark.pure

PAGE = (Path(__file__).parents[2] / "docs" / "publishers.md").read_text()
TITLES = {"redis": "Redis Streams", "nats": "NATS JetStream", "rabbitmq": "RabbitMQ", "kafka": "Kafka"}


def rows(title: str) -> dict[str, str]:
    """The settings of a section's table, each with what stands for its default."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    found: dict[str, str] = {}
    for names, default in re.findall(r"^\| (`[^|]*`) \| ([^|]*) \|", section, re.MULTILINE):
        each = re.findall(r"`([^`]*)`", names)
        values = default.replace("`", "").split(", ") if len(each) > 1 and ", " in default else [default] * len(each)
        found.update(zip(each, values, strict=True))
    return found


@pytest.mark.parametrize("kind", TITLES)
def test_every_setting_is_described_with_its_default_and_no_other(kind: str) -> None:
    fields = {
        field.encode_name: field for field in msgspec.structs.fields(importlib.import_module(KINDS[kind]).Settings)
    }
    said = rows("Settings of all four") | rows(TITLES[kind])
    assert set(said) == set(fields)
    for name, field in fields.items():
        default = said[name].strip().strip("`")
        if field.required:
            assert default == "required", name
        elif isinstance(field.default, bool):
            assert default == str(field.default).lower(), name
        elif isinstance(field.default, int | float):
            assert float(default) == field.default, name
        elif isinstance(field.default, str) and field.default:
            assert default == field.default, name


def test_the_examples_are_usable_once_their_secrets_are_there() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    for entry in yaml.safe_load(example)["publishers"]:
        own = {key: value for key, value in entry.items() if key not in {"type", "streams"}}
        given = {key: "secret" if isinstance(value, dict) else value for key, value in own.items()}
        open_publisher("example", entry["type"], given).close()
