"""A backfill of a long list by the tap as a process: what it takes in memory, STATE and requests."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from proofs.backfill.api import Shape, stamp
from tests.support.ports import free_port
from tests.support.processes import TAP, ended, server

if TYPE_CHECKING:
    from collections.abc import Mapping


MOST_MEMORY: Final = 120 * 1024  # KiB
MOST_STATE: Final = 64 * 1024  # bytes
API: Final = Path(__file__).with_name("api.py")
WALKS: Final[Mapping[str, dict[str, Any]]] = {
    "compound keyset": {
        "path": "/keyset",
        "incremental": {"cursor_path": "updated_at", "tie_breaker": "id", "order": "asc", "filter": "compound"},
        "params": {"since": "{cursor.updated_at}", "after": "{cursor.id}"},
    },
    "stable tokens": {
        "path": "/tokens",
        "incremental": {"cursor_path": "updated_at", "order": "asc", "filter": "inclusive"},
        "params": {"since": "{cursor.updated_at}"},
        "paginator": {"type": "cursor", "cursor_path": "next", "cursor_param": "token", "stable": True},
    },
}


class Backfill(NamedTuple):
    """One run's figures.

    Attributes:
        records: that came out.
        distinct: of them, by id.
        memory: the tap's peak resident memory, KiB.
        state: the longest STATE line, bytes.
        requests: that the API answered.
        least: requests that such a list can't be read with fewer than.
        seconds: from start to end.
        last: the last STATE.
    """

    records: int
    distinct: int
    memory: int
    state: int
    requests: int
    least: int
    seconds: float
    last: Any


class Emitted(msgspec.Struct):
    """What is looked at of a record."""

    id: int
    updated_at: str


class Message(msgspec.Struct):
    """A RECORD line."""

    record: Emitted


def backfill(walk: str, shape: Shape, folder: Path, state: object = None) -> Backfill:
    """A run against a list of this shape, from a STATE if one is given.

    Raises:
        AssertionError: where the tap fails, or a record isn't the list's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command: list[str | Path] = [sys.executable, API, str(port), *map(str, shape)]
    with server(command, f"{url}/asked", folder / "api.log"):
        begun = time.monotonic()
        found = _extracted(folder, _configuration(url, walk), shape, state)
        seconds = time.monotonic() - begun
        with urllib.request.urlopen(f"{url}/asked") as answer:
            asked = int(answer.read())
    return Backfill(found.records, sum(found.seen), found.memory, found.state, asked, least(shape), seconds, found.last)


def least(shape: Shape) -> int:
    """As many pages as the list fills."""
    return math.ceil(shape.records / shape.page)


class _Extracted(NamedTuple):
    records: int
    seen: bytearray
    memory: int
    state: int
    last: Any


def _extracted(folder: Path, configuration: dict[str, Any], shape: Shape, state: object) -> _Extracted:
    (folder / "tap.json").write_text(json.dumps(configuration))
    command: list[str | Path] = [TAP, "--config", folder / "tap.json"]
    if state is not None:
        (folder / "state.json").write_text(json.dumps(state))
        command += ["--state", folder / "state.json"]
    decoder = msgspec.json.Decoder(Message)
    records, seen, longest, last = 0, bytearray(shape.records), 0, b"null"
    with (folder / "tap.log").open("wb") as log:
        tap = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=folder)
    peak = Peak(tap.pid)
    peak.start()
    try:
        assert tap.stdout is not None
        for line in tap.stdout:
            if line.startswith(b'{"type":"RECORD"'):
                record = decoder.decode(line).record
                assert record.updated_at == stamp(shape, record.id - 1)
                records, seen[record.id - 1] = records + 1, 1
            elif line.startswith(b'{"type":"STATE"'):
                longest, last = max(longest, len(line)), line
        assert tap.wait(60) == 0, (folder / "tap.log").read_text()[-4000:]
    finally:
        ended(tap)
        peak.join()
    told = json.loads(last)
    return _Extracted(records, seen, peak.kibibytes, longest, None if told is None else told["value"])


class Peak(threading.Thread):
    """Reads a process's peak resident memory, as the kernel counts it, until it has ended."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.status, self.kibibytes = Path(f"/proc/{pid}/status"), 0

    def run(self) -> None:
        with suppress(OSError, StopIteration):
            while True:
                line = next(line for line in self.status.read_text().splitlines() if line.startswith("VmHWM:"))
                self.kibibytes = int(line.split()[1])
                time.sleep(0.01)


def _configuration(url: str, walk: str) -> dict[str, Any]:
    names: dict[str, dict[str, Any]] = {
        "id": {"type": "integer"},
        "updated_at": {"type": "string", "format": "date-time"},
        "created_at": {"type": "string", "format": "date-time"},
        "quantity": {"type": "integer"},
        "value": {"type": "number"},
        **{name: {"type": "string"} for name in ("customer", "plan_id", "status", "note")},
    }
    stream = {"name": "subscriptions", "records": "data", "primary_key": ["id"], **WALKS[walk]}
    return {"base_url": url, "streams": [{**stream, "schema": {"type": "object", "properties": names}}]}
