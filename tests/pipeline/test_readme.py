"""What the documents show is there, and works."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from target_eventgen.delivery import configured
from target_eventgen.model.settings import parse
from tests.support.environments import PROJECT
from tests.support.processes import TAP, TARGET

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENTS = sorted(
    path.relative_to(PROJECT).as_posix()
    for path in (*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), *PROJECT.glob("examples/**/*.md"))
)


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (PROJECT / document).read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_to_a_file_leads_to_one(document: str) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", (PROJECT / document).read_text())
    assert [link for link in links if not ((PROJECT / document).parent / link).exists()] == []


def test_the_configuration_in_the_readme_is_one(tmp_path: Path) -> None:
    shown, _ = blocks("README.md", "yaml")
    assert len(shown.splitlines()) <= 12
    project: dict[str, Any] = yaml.safe_load(shown)
    (tap,), (target,) = project["extractors"], project["loaders"]
    (tmp_path / "tap.json").write_text(json.dumps(tap["config"]))
    (tmp_path / "target.json").write_text(json.dumps(target["config"]))
    plan = subprocess.run([TAP, "plan", "--config", tmp_path / "tap.json"], check=True, capture_output=True, text=True)
    assert "/subscriptions" in plan.stdout
    subprocess.run([TARGET, "--config", tmp_path / "target.json"], check=True, input=b"", capture_output=True)


def test_the_publishers_in_the_readme_are_publishers() -> None:
    _, shown = blocks("README.md", "yaml")
    settings = parse(yaml.safe_load(shown))
    assert [route.kind for route in settings.routes] == ["webhook", "kafka"]
    assert configured.faults(settings, {"BILLING_SECRET": "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}) == []


def test_the_rules_in_the_targets_page_are_rules(tmp_path: Path) -> None:
    (shown,) = [block for block in blocks("docs/target.md", "yaml") if block.startswith("events:")]
    configuration = yaml.load(shown, Loader=yaml.BaseLoader)  # `on` is a text to it, as it is to Meltano
    (tmp_path / "target.json").write_text(json.dumps(configuration))
    subprocess.run([TARGET, "--config", tmp_path / "target.json"], check=True, input=b"", capture_output=True)
