"""Events on their way from the outbox to a receiver, by two relays, while everything goes wrong that can.

A round is a list of troubles: some of the relays' (killed outright and started anew, frozen so that both hold the same
events), some of the broker's, some of the network's. With each comes a part of the events, so that there is something
to be delivered. When all is quiet again, the relays are waited for; then what arrived is held against the outbox.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from target_eventgen.delivery import registration
from target_eventgen.model.routes import Route
from tests.support.delivering import firsts
from tests.support.relaying import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.rigs import Arrived, Rig

KEYS = 50
QUIET_SECONDS = 180
"""Seconds for which nothing gets through, after all troubles, before what is left counts as lost."""

OF_RELAYS = ("kill", "stall")


@dataclass(frozen=True)
class Verdict:
    """What became of the events of one campaign.

    Attributes:
        name: of the receiver.
        events: recorded.
        lost: that never arrived.
        foreign: that arrived with an id that was never recorded.
        disordered: keys of which an event was seen before one that is earlier.
        repeated: arrivals of what had arrived already.
        dead: letters.
        troubles: how many there were.
        seconds: that all took.
    """

    name: str
    events: int
    lost: int
    foreign: int
    disordered: int
    repeated: int
    dead: int
    troubles: int
    seconds: float

    def is_right(self, *, deduplicates: bool) -> bool:
        """Whether nothing was lost, invented, overtaken, given up, or repeated where the broker drops repetitions."""
        return not (self.lost or self.foreign or self.disordered or self.dead or (deduplicates and self.repeated))


def judge(
    name: str, recorded: list[Arrived], found: list[Arrived], *, dead: int, troubles: int, seconds: float
) -> Verdict:
    """Hold what arrived against what was recorded, both in their order."""
    ids, arrived = {one.id for one in recorded}, {one.id for one in found}
    was, came = firsts(recorded), firsts(found)
    overtaken = [key for key, numbers in came.items() if numbers != [n for n in was.get(key, []) if n in set(numbers)]]
    return Verdict(
        name,
        len(recorded),
        len(ids - arrived),
        len(arrived - ids),
        len(overtaken),
        len(found) - len(arrived),
        dead,
        troubles,
        seconds,
    )


@dataclass
class Campaign:
    """Two relays between an outbox and a rig."""

    rig: Rig
    url: str
    folder: Path
    relays: list[subprocess.Popen[bytes]] = field(default_factory=list)
    parts: int = 0

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.url)
        self.configuration = self.folder / "relay.json"
        publisher = {"name": "receiver", "type": self.rig.kind, **self.rig.settings()}
        self.configuration.write_text(json.dumps({"database_url": self.url, "events": [], "publishers": [publisher]}))
        registration.announce(self.url, [Route("receiver", self.rig.kind, None, None, {})])

    def start(self) -> None:
        """Start one relay more."""
        command = [sys.executable, "-m", "target_eventgen", "relay", "--follow", "--config", str(self.configuration)]
        with (self.folder / "relays.log").open("ab") as log:
            self.relays.append(subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log))

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Two relays, for as long as it lasts."""
        self.start()
        self.start()
        try:
            yield
        finally:
            for relay in self.relays:
                relay.kill()
                relay.wait()

    def record(self, count: int) -> None:
        """Record about so many events, some of each key."""
        self.parts += 1
        self.outbox.add(keys=KEYS, each=max(1, count // KEYS), mark=f"-{self.parts}")

    def suffer(self, trouble: str, count: int) -> None:
        """Record events, and let the trouble come while they are on their way."""
        work: Callable[[int], None] = getattr(self, f"_{trouble}")
        work(count)

    def _kill(self, count: int) -> None:
        self.record(count)
        time.sleep(0.1)
        victim = self.relays.pop(0)
        victim.kill()
        victim.wait()
        self.start()

    def _stall(self, count: int) -> None:
        self.record(count)
        time.sleep(0.05)
        os.kill(self.relays[0].pid, signal.SIGSTOP)
        time.sleep(1.5)
        os.kill(self.relays[0].pid, signal.SIGCONT)

    def _crash(self, count: int) -> None:
        self.record(count)
        time.sleep(0.05)
        self.rig.crash()
        time.sleep(0.3)
        self.rig.recover()

    def _freeze(self, count: int) -> None:
        self.record(count)
        time.sleep(0.05)
        self.rig.freeze()
        time.sleep(2.5)
        self.rig.thaw()

    def _elect(self, count: int) -> None:
        for _ in range(5):
            self.record(count // 5)
            self.rig.elect()
            time.sleep(0.1)

    def _cut(self, count: int) -> None:
        for _ in range(10):
            self.record(count // 10)
            time.sleep(self.rig.pause)
            self.rig.proxy.cut()

    def _down(self, count: int) -> None:
        self.record(count)
        time.sleep(0.05)
        self.rig.proxy.down()
        time.sleep(1)
        self.rig.proxy.up()

    def _lose(self, count: int) -> None:
        for further in range(5):
            lost = self.rig.proxy.lose(self.rig.greetings + further % 2)
            self.record(count // 5)
            assert lost.wait(QUIET_SECONDS), "no answer came that could be lost"

    def _hold(self, count: int) -> None:
        self.rig.proxy.hold()
        self.record(count)
        time.sleep(3)
        self.rig.proxy.release()

    def _slow(self, count: int) -> None:
        self.rig.proxy.delay = 0.05
        self.record(count)
        time.sleep(1)
        self.rig.proxy.delay = 0.0

    def quiet(self) -> int:
        """Wait until nothing is left to be delivered; return the number of dead letters."""
        until, fewest = time.monotonic() + QUIET_SECONDS, -1
        while True:
            marks = self.outbox.marks()
            left = sum(marks[table] for table in ("pending", "blocked", "waiting"))
            if not left or time.monotonic() > until:
                return marks["dead_letters"]  # what isn't delivered by now counts as lost
            if left < fewest or fewest < 0:
                until, fewest = time.monotonic() + QUIET_SECONDS, left
            time.sleep(0.1)


def run(rig: Rig, url: str, folder: Path, events: int, rounds: int = 1) -> Verdict:
    """Let a rig suffer each of its troubles, so many times, and judge what arrived.

    Args:
        rig: entered.
        url: of an empty database.
        folder: for the configuration and the log of the relays.
        events: about how many, in all.
        rounds: how often each trouble comes.
    """
    began = time.monotonic()
    campaign = Campaign(rig, url, folder)
    troubles = [trouble for _ in range(rounds) for trouble in (*OF_RELAYS, *rig.troubles, "kill")]
    with campaign.running():
        for trouble in troubles:
            campaign.suffer(trouble, events // len(troubles))
        dead = campaign.quiet()
        # A frozen broker, or a held answer, may let a late repetition through after the last acknowledgement.
        time.sleep(0.5)
        found = list(rig.received())
    rows = campaign.outbox.query("select id, partitionkey, sequence from eventgen.events order by sequence")
    recorded = [type(found[0])(id_, key, sequence) for id_, key, sequence in rows] if found else []
    assert recorded, (folder / "relays.log").read_text()[-3000:]
    return judge(rig.name, recorded, found, dead=dead, troubles=len(troubles), seconds=time.monotonic() - began)


def table(verdicts: list[Verdict]) -> str:
    """One line a receiver."""
    head = ("receiver", "events", "troubles", "lost", "foreign ids", "keys out of order", "dead", "repeated", "seconds")
    rows = [
        (v.name, v.events, v.troubles, v.lost, v.foreign, v.disordered, v.dead, v.repeated, round(v.seconds))
        for v in verdicts
    ]
    return columns([head, *rows])


def columns(rows: list[tuple[object, ...]]) -> str:
    """Rows as lines, the first column to the left."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    )
