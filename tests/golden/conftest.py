"""Golden files: what the programs show to a user, as it was when somebody last agreed to it.

A test makes the text anew and compares it with its file below `files`. `python -m pytest tests/golden --write-golden`
writes the files instead; what it changed is then read as any other change is, in the diff.

`files/state_0_1_0` is no such file: it is what version 0.1.0 wrote (see `earlier`), and nothing writes it again.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.golden.forking import Programs, forking

FILES = Path(__file__).parent / "files"
REMEDY = "If users are meant to see this, write the files anew: python -m pytest tests/golden --write-golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-golden", action="store_true", help="write the golden files anew instead of comparing")


class Golden:
    """The files, to compare with or to write."""

    def __init__(self, *, writes: bool) -> None:
        self._writes = writes

    def check(self, name: str, now: str) -> None:
        """Fail with a diff where the text is not what the file says."""
        self.check_all({name: now})

    def check_all(self, texts: Mapping[str, str]) -> None:
        """Likewise, for several files at once."""
        faults = [line for name, now in texts.items() for line in self._faults(name, now.rstrip("\n") + "\n")]
        if faults:
            pytest.fail("\n".join([*faults, "", REMEDY]), pytrace=False)

    def _faults(self, name: str, now: str) -> Iterator[str]:
        path = FILES / name
        if self._writes:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(now, encoding="utf-8")
            return
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        yield from difflib.unified_diff(
            before.splitlines(), now.splitlines(), f"{name} as it was", f"{name} now", lineterm=""
        )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(writes=bool(request.config.getoption("--write-golden", default=False)))


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    with forking(tmp_path_factory.mktemp("programs")) as running:
        yield running
