"""Virtual environments of the programs that our plugins are tested with, made once and kept in the project's `.cache`.

A stamp file is written when all is in an environment; one without it was interrupted and is made anew. Makers exclude
each other by a lock file, so two test sessions at once are safe.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT = Path(__file__).parents[2]
CACHE = PROJECT / ".cache"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Only one process at a time works on what has this name in the cache."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def made(name: str, recipe: str, make: Callable[[Path], None]) -> Path:
    """The folder of this name in the cache, made by `make` unless it stands there, whole and from the same recipe."""
    folder = CACHE / name
    stamp = folder / ".made"
    wanted = hashlib.sha256(f"{PYTHON} {folder} {recipe}".encode()).hexdigest()
    with exclusive(name):
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            stamp.write_text(wanted)
    return folder


def environment(name: str, *requirements: str, alone: str | None = None) -> Path:
    """The `bin` folder of a virtual environment with these requirements and nothing of ours.

    `alone` is installed without what it asks for: a package that pins libraries which its requirements replace.
    """

    def make(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip: list[str | Path] = [
            folder / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        for more in (requirements, ("--no-deps", alone) if alone else ()):
            if more:
                finished = subprocess.run([*pip, *more], check=False, capture_output=True, text=True)
                assert finished.returncode == 0, finished.stderr[-4000:]

    return made(f"{name}-py{PYTHON}", " ".join((*requirements, alone or "")).rstrip(), make) / "bin"
