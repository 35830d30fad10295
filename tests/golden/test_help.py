"""The help of every command, and what `--about` says of the settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.golden.conftest import Golden
from tests.golden.forking import Programs
from tests.golden.normal import without_versions

pytestmark = pytest.mark.in_process

ROOTS = {
    "tap-restextract": ["plan", "webhooks"],
    "target-eventgen": ["db", "events", "rules", "relay", "undo", "status", "dead-letters", "publishers"],
}
"""The companion commands, which no help of their program lists; those below them are found in theirs."""

COMMANDS = re.compile(r"^Commands:\n((?:  .*\n|\n)+)", re.MULTILINE)


def commands(programs: Programs, folder: Path, program: str, *path: str) -> Iterator[tuple[str, str]]:
    """Every command from this one down, with its help."""
    said = programs.run(program, *path, "--help", folder=folder)
    assert said.code == 0, said
    yield " ".join((program, *path)), said.out
    if listed := COMMANDS.search(said.out):
        for name in re.findall(r"^  (\S+)", listed[1], re.MULTILINE):
            yield from commands(programs, folder, program, *path, name)


@pytest.mark.parametrize("program", ROOTS)
def test_the_help_of_every_command_is_as_it_was(
    program: str, programs: Programs, golden: Golden, tmp_path: Path
) -> None:
    found = [(program, programs.run(program, "--help", folder=tmp_path).out)]
    for root in ROOTS[program]:
        found += commands(programs, tmp_path, program, root)
    golden.check(f"help/{program}.txt", "\n".join(f"$ {command} --help\n{text}" for command, text in found))


def test_every_companion_of_the_target_is_among_those_with_a_golden_help() -> None:
    from target_eventgen.cli.main import companions  # noqa: PLC0415  the one name of the package that this needs

    assert sorted(companions.commands) == sorted(ROOTS["target-eventgen"])


@pytest.mark.parametrize("program", ROOTS)
def test_what_about_says_of_the_settings_is_as_it_was(
    program: str, programs: Programs, golden: Golden, tmp_path: Path
) -> None:
    said = programs.run(program, "--about", "--format=json", folder=tmp_path)
    assert said.code == 0, said
    golden.check(f"help/{program}.about.json", without_versions(said.out))


@pytest.mark.parametrize("program", ROOTS)
def test_the_version_is_printed_as_it_was(program: str, programs: Programs, golden: Golden, tmp_path: Path) -> None:
    golden.check(
        f"help/{program}.version.txt", without_versions(str(programs.run(program, "--version", folder=tmp_path)))
    )
