"""CONTRIBUTING's map names the rooms that there are."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.pure

PROJECT = Path(__file__).parents[1]
TEXT = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PACKAGES = ("tap_restextract", "target_eventgen")


def paths() -> list[str]:
    """Every folder/file that the map and the paths through it name."""
    the_map = TEXT.split("## Words")[0]
    blocks = re.findall(r"^    .*$", the_map, re.MULTILINE)
    return [*re.findall(r"`([a-z_]+(?:/[a-z_]+)+)`", the_map), *re.findall(r"[a-z_]+(?:/[a-z_]+)+", " ".join(blocks))]


@pytest.mark.parametrize("path", sorted(set(paths())))
def test_a_file_that_the_map_names_is_there(path: str) -> None:
    places = [PROJECT / package / path for package in PACKAGES]
    assert any(place.is_dir() or place.with_suffix(".py").is_file() for place in places)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_folder_of_a_package_is_a_layer_in_the_map_and_in_the_contract(package: str) -> None:
    rows = re.findall(r"^\| (.*) \|$", TEXT.split("### Three paths")[0], re.MULTILINE)
    column = 2 * PACKAGES.index(package)
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row.split(" | ")[column])}
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [each["layers"] for each in contracts if each.get("containers") == [package]]
    assert named - {package} == {name for layer in layers for name in layer.split(" : ")} - {"__main__"}
    rooms = {
        path.stem for path in (PROJECT / package).iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert rooms - {"__init__", "__main__"} == named - {package}


def test_no_file_stands_twice_on_one_of_the_three_paths() -> None:
    for block in re.findall(r"(?:^    .*\n)+", TEXT, re.MULTILINE)[:3]:
        files = re.findall(r"[a-z_]+(?:/[a-z_]+)+", block)
        assert len(files) == len(set(files))
