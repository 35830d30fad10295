"""An API that others wrote, extracted while it changes, by a tap that is killed and goes on from the last STATE.

A seed decides what is written, how often the tap is killed, behind which line of its output, and whether what it wrote
beyond that line still counts, as it does where a target reads a pipe to its end. Then the writes end, and a last run
must leave nothing missing, nothing stale, and no deletion untold.
"""

from __future__ import annotations

import json
import random
import subprocess
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from proofs.real_apis.judge import judge, undeleted
from tests.support.processes import TAP, ended
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

Row = dict[str, Any]


class Mutating(threading.Thread):
    """Writes to an API, a hundred times a second, until told to stop."""

    def __init__(self, mutations: Generator[None]) -> None:
        super().__init__(daemon=True)
        self.mutations, self.stopping, self.count = mutations, threading.Event(), 0

    def run(self) -> None:
        with closing(self.mutations):
            while not self.stopping.wait(0.01):
                next(self.mutations)
                self.count += 1


LEAST_KILLS: Final = 2
LEAST_DELETIONS: Final = 11
"""That each stream must have told of: a schedule goes on until it has."""

MOST_RUNS: Final = 20
"""That a schedule may go on for."""


@contextmanager
def mutating(mutations: Generator[None]) -> Iterator[Mutating]:
    """Writes while the block runs, and ends with it."""
    writer = Mutating(mutations)
    writer.start()
    try:
        yield writer
    finally:
        writer.stopping.set()
        writer.join()


class Campaign:
    """Runs of one configuration, each from the last STATE that came of those before."""

    def __init__(self, folder: Path, configuration: dict[str, Any], seed: int) -> None:
        self.folder, self.chance = folder, random.Random(seed)
        self.kills, self.records = 0, dict[str, list[Row]]()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tap.json").write_text(json.dumps(configuration))

    def run(self, lines: int | None = None) -> int:
        """Run to the end, or kill the tap (SIGKILL) behind so many lines; returns how many records came out.

        Raises:
            AssertionError: where the tap fails by itself.
        """
        state = self.folder / "state.json"
        command: list[str | Path] = [TAP, "--config", self.folder / "tap.json"]
        command += ["--state", state] if state.exists() else []
        before = self.count
        with (self.folder / "tap.log").open("wb") as log:
            tap = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=self.folder)
        try:
            assert tap.stdout is not None
            taken = 0
            for line in tap.stdout:
                if lines is not None and taken >= lines and tap.poll() is None:
                    tap.kill()
                    self.kills, lines = self.kills + 1, None
                    if self.chance.random() < 0.5:
                        break
                if line.endswith(b"\n"):
                    self._take(line)
                    taken += 1
            code = tap.wait(60)
        finally:
            ended(tap)
        assert code in {0, -9}, (self.folder / "tap.log").read_text()[-4000:]
        return self.count - before

    @property
    def count(self) -> int:
        """The records of all runs."""
        return sum(map(len, self.records.values()))

    @property
    def deletions(self) -> int:
        """Those that the stream has told of that told of the fewest."""
        told = [sum(1 for record in each if record.get("_sdc_deleted_at")) for each in self.records.values()]
        return min(told, default=0)

    def _take(self, line: bytes) -> None:
        message = json.loads(line)
        if message["type"] == "RECORD":
            self.records.setdefault(message["stream"], []).append(message["record"])
        elif message["type"] == "STATE":
            (self.folder / "state.json").write_text(json.dumps(message["value"]))


class Outcome(NamedTuple):
    """What came of one seed and stream."""

    writes: int
    kills: int
    records: int
    deletions: int
    missing: int
    stale: int
    undeleted: int

    @property
    def is_clean(self) -> bool:
        """Whether all that is there came out as it is, and all that is gone as gone."""
        return not (self.missing or self.stale or self.undeleted)


def played(campaign: Campaign, mutations: Generator[None], most_lines: int) -> int:
    """Kill the tap several times while the API changes, let it end, and once more when all is quiet; the writes."""
    with mutating(mutations) as writer:
        for _ in range(campaign.chance.randrange(3, 7)):
            campaign.run(campaign.chance.randrange(1, most_lines))
        while campaign.kills < LEAST_KILLS:  # runs may have ended before so many lines; a first line comes of each
            campaign.run(1)
        campaign.run()
        for _ in range(MOST_RUNS):  # what was deleted before a run had brought it is told by none
            if campaign.deletions >= LEAST_DELETIONS:
                break
            before = writer.count
            wait_until(lambda: writer.count >= before + 50 or not writer.is_alive(), what="writes")  # noqa: B023  it is waited for at once
            campaign.run()
    time.sleep(1.2)  # more than the interval of a sweep
    campaign.run()
    return writer.count


def judged(campaign: Campaign, writes: int, truth: Sequence[Row], stream: str) -> Outcome:
    """The stream's outcome against the rows that are there."""
    records = campaign.records.get(stream, [])
    verdict = judge(truth, records, ["id"])
    gone = sum(1 for record in records if record.get("_sdc_deleted_at"))
    left = undeleted(truth, records, ["id"])
    return Outcome(writes, campaign.kills, len(records), gone, len(verdict.missing), len(verdict.stale), len(left))
