"""The tap as a process of its own, as a shell or Meltano would start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

TAP = Path(sys.executable).parent / "tap-restextract"
OPENED = "always::ResourceWarning"
"""PYTHONWARNINGS by which a program reports each file, socket and connection that it opened and didn't close."""


class Run(NamedTuple):
    """What a run left behind."""

    code: int
    out: str
    err: str

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The Singer messages; every line must be a whole one."""
        return [json.loads(line) for line in self.out.split("\n") if line]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records alone."""
        return [message["record"] for message in self.messages if message["type"] == "RECORD"]

    @property
    def states(self) -> list[dict[str, Any]]:
        """The values of the STATE messages."""
        return [message["value"] for message in self.messages if message["type"] == "STATE"]

    @property
    def told(self) -> list[str]:
        """The lines of stderr that are meant for a person, without the log's."""
        return [line for line in self.err.splitlines() if line.startswith("tap-restextract: ")]


def environment(**more: str) -> dict[str, str]:
    """This process's environment without proxies and without settings of the tap's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith("TAP_RESTEXTRACT_")
    }
    return {**kept, "PYTHONWARNINGS": OPENED, **more}


def written(folder: Path, name: str, content: object) -> Path:
    """A file in the folder: text as it is, all else as JSON."""
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def tap(
    folder: Path,
    config: Mapping[str, Any] | str | None,
    *arguments: str | Path,
    state: object = None,
    catalog: object = None,
    env: Mapping[str, str] | None = None,
) -> Run:
    """Run the tap in the folder until it ends."""
    command: list[str | Path] = [TAP, *arguments]
    if config is not None:
        command += ["--config", written(folder, "config.json", config)]
    if state is not None:
        command += ["--state", written(folder, "state.json", state)]
    if catalog is not None:
        command += ["--catalog", written(folder, "catalog.json", catalog)]
    done = subprocess.run(
        command, cwd=folder, env=environment(**(env or {})), capture_output=True, text=True, timeout=60, check=False
    )
    assert "ResourceWarning" not in done.stderr, done.stderr
    return Run(done.returncode, done.stdout, done.stderr)
