"""Both programs' commands, each run in a process that is forked from one which has imported everything already.

`python -m tests.golden.forking` reads one command a line on stdin, as JSON, and answers with its exit status. A
command is started by its module's name, as `python -m tap_restextract` is, so nothing in here knows how the packages
are laid out.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.processes import environment

ROOT = Path(__file__).parents[2]
PROGRAMS = {"tap-restextract": "tap_restextract", "target-eventgen": "target_eventgen"}


class Said(NamedTuple):
    """What a command wrote, and its exit status."""

    code: int
    out: str
    err: str

    def __str__(self) -> str:
        """Return it as a golden file has it."""
        parts = [
            self.out,
            f"stderr:\n{self.err}" if self.err else "",
            f"exit status {self.code}\n" if self.code else "",
        ]
        return "".join(parts)


class Programs:
    """Runs commands of both programs."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._folder = folder

    def run(self, program: str, *arguments: str | Path, folder: Path, given: str = "", **env: str) -> Said:
        """Run a command in a folder, with this input and these variables besides."""
        files = {name: self._folder / name for name in ("in", "out", "err")}
        files["in"].write_text(given, encoding="utf-8")
        command = {
            "module": PROGRAMS[program],
            "arguments": [program, *map(str, arguments)],
            "folder": str(folder),
            "environment": {"COLUMNS": "80", "LINES": "24", **env},
            "files": {name: str(file) for name, file in files.items()},
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return Said(code, *(files[name].read_text(encoding="utf-8") for name in ("out", "err")))


@contextmanager
def forking(folder: Path) -> Iterator[Programs]:
    """The process that forks, while the block runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.golden.forking"],
        cwd=ROOT,
        env=environment(PYTHONUTF8="1", NO_COLOR="1", TZ="UTC"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            yield Programs(process, folder)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)


def _imported() -> None:
    """Import all that the programs may, so that no command has to."""
    for package in map(importlib.import_module, PROGRAMS.values()):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                with contextlib.suppress(ImportError):
                    importlib.import_module(module.name)


def _become(command: Mapping[str, Any]) -> None:
    """Run a command in this process, which is a child."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, (name, flag) in enumerate((("in", os.O_RDONLY), ("out", flags), ("err", flags))):
        opened = os.open(command["files"][name], flag, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False, buffering=1)
    for name in ("stdin", "stdout", "stderr"):
        setattr(sys, f"__{name}__", getattr(sys, name))
    os.environ.update(command["environment"])
    os.chdir(command["folder"])
    sys.argv = command["arguments"]
    code: object = 0
    try:
        runpy.run_module(command["module"], run_name="__main__")
    except SystemExit as error:
        code = error.code or 0
    except BaseException:  # noqa: BLE001  as the interpreter tells it
        traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    atexit._run_exitfuncs()
    os._exit(
        code if isinstance(code, int) else 1
    )  # taking apart all that was imported would cost more than most commands


def _main() -> None:
    _imported()
    gc.freeze()  # so that a child's collector copies none of it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201  the answer


if __name__ == "__main__":
    _main()
