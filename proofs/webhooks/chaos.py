"""The chaos run: `python -m proofs.webhooks 2000 [--queue redis] [--seed 7]` (`make webhooks N=2000`).

A history of versions of a few hundred things is known. Senders deliver a signed notification of each, out of order,
some twice, some never; two receivers and the queue are killed meanwhile, again and again, and started again. A sender
tries again until it is told 2xx, as webhooks' senders do. Then: everything that was answered 2xx is in the queue. The
queue is drained into a target that is killed on the way, and one run polls the API. Then the table is the truth; the
events are the edges of the versions that were accepted, one by one from the first to the last, each once; and what
polling counts as missed are the things whose last version was never sent.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from typing_extensions import Self

from tap_restextract.webhooks.queues.locations import open_queue
from target_eventgen import embedded
from tests.support.api import Asked, Reply, serving
from tests.support.kafka import KafkaCluster
from tests.support.processes import TAP, TARGET, ended, environment, written
from tests.support.queries import execute, rows
from tests.support.receiving import Serving, configuration, event, posted, signed
from tests.support.servers import Nats, Redis, Server
from tests.support.waiting import wait_until

LIMIT = 100
SENDERS = 8
IN_FLIGHT = 60
"""Notifications that may go on beyond the point at which something is to be killed."""

PATIENCE = 120.0

NOTICED = {
    "a receiver": "no answer",
    "the queue": "503",
    "both receivers": "no answer",
    "the queue and a receiver": "503",
}
"""The answer by which senders notice that something is gone."""

UNNOTICED = 3.0
"""Seconds until a killed server is started though no sender has noticed: a queue's client may outlast its absence."""


@dataclass
class Story:
    """What is known beforehand.

    Attributes:
        base: each thing before.
        versions: each thing's later versions, oldest first, as notifications.
        unsent: (id, place among its versions) of those never sent.
    """

    base: dict[int, dict[str, Any]]
    versions: dict[int, list[dict[str, Any]]]
    unsent: set[tuple[int, int]]

    @classmethod
    def told(cls, count: int, dice: random.Random) -> Story:
        """A story of so many versions."""
        keys = max(2, count // 6)
        base = {key: event(key, key % 3000, value=dice.randrange(2 * LIMIT))["data"] for key in range(keys)}
        versions: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for number in range(count):
            key = dice.randrange(keys)
            made = event(key, 3000 + number % 590, value=dice.randrange(2 * LIMIT))
            minute, second = divmod(number, 60)
            at = f"2026-02-{1 + minute // 1440:02}T{minute // 60 % 24:02}:{minute % 60:02}:{second:02}Z"
            made["timestamp"] = made["data"]["updated_at"] = at
            versions[key].append(made)
        places = [(key, place) for key, told in versions.items() for place in range(len(told))]
        return cls(base, dict(versions), {each for each in places if dice.random() < 0.05})

    @property
    def truth(self) -> dict[int, dict[str, Any]]:
        """Each thing at the end."""
        return self.base | {key: told[-1]["data"] for key, told in self.versions.items()}

    @property
    def missed(self) -> int:
        """How many things' last version was never sent."""
        return sum((key, len(told) - 1) in self.unsent for key, told in self.versions.items())

    def deliveries(self, dice: random.Random) -> list[tuple[str, bytes]]:
        """(id, body) of what is sent: out of order, some twice."""
        sent = []
        for key, told in self.versions.items():
            for place, made in enumerate(told):
                if (key, place) not in self.unsent:
                    sent += [(f"msg_{key}_{place}", json.dumps(made).encode())] * (1 + (dice.random() < 0.15))
        dice.shuffle(sent)
        return sent


@dataclass
class Found:
    """What a run showed."""

    deliveries: int = 0
    tries: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    lost: int = 0
    stored: int = 0
    drains: int = 0
    rows_wrong: int = 0
    accepted: int = 0
    broken_chains: int = 0
    events_wrong: int = 0
    never_sent: int = 0
    expected_missed: int = 0
    missed: int = -1

    @property
    def faults(self) -> dict[str, int]:
        """Every number that must be zero."""
        return {
            "lost": self.lost,
            "rows wrong": self.rows_wrong,
            "chains broken": self.broken_chains,
            "events wrong": self.events_wrong,
            "miscounted": abs(self.missed - self.expected_missed),
        }


class Delivering:
    """Senders, and how far they may go before something is killed."""

    def __init__(self, deliveries: list[tuple[str, bytes]], receivers: list[Serving], seed: int) -> None:
        self._left = iter(deliveries)
        self._lock = threading.Lock()
        self._receivers = receivers
        self.tries: Counter[str] = Counter()
        self.answered: set[bytes] = set()
        self.begun = 0
        self.most = 0
        self.faults: list[str] = []
        self._threads = [threading.Thread(target=self._send, args=(random.Random(seed + n),)) for n in range(SENDERS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        for thread in self._threads:
            thread.join()
        assert not self.faults, self.faults

    def until(self, count: int, more: int) -> None:
        """Let so many and some more go; return once that many are on their way."""
        self.most = count + more
        begun = f"{count} deliveries on their way"
        wait_until(lambda: self.begun >= count or self.faults, PATIENCE, what=begun, every=0.001)

    def until_noticed(self, answer: str, seen: int) -> None:
        """Let more go, a few at a time, until the answer was given more often than that, or senders don't mind."""
        until = time.monotonic() + UNNOTICED
        while self.tries[answer] <= seen and time.monotonic() < until:
            self.most = max(self.most, self.begun)
            time.sleep(0.02)

    def _send(self, dice: random.Random) -> None:
        while True:
            with self._lock:
                taken = next(self._left, None)
                self.begun += taken is not None
            if taken is None:
                return
            while self.begun > self.most:
                time.sleep(0.001)
            until = time.monotonic() + PATIENCE
            while (said := self._try(*taken, dice)) != "200":
                if time.monotonic() > until or said.startswith("4"):
                    self.faults.append(f"{taken[0]} is answered {said}")
                    return
                time.sleep(dice.uniform(0.02, 0.2))

    def _try(self, name: str, body: bytes, dice: random.Random) -> str:
        receiver = dice.choice(self._receivers)
        try:
            said = str(posted(f"{receiver.url}/billing", body, signed(body, name)).status)
        except (urllib.error.URLError, HTTPException, OSError):
            said = "no answer"
        with self._lock:
            self.tries[said] += 1
            if said == "200":
                self.answered.add(body)
        return said


class PostgresServer:
    """A Postgres of the run's own, as the queue's server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = ""

    def __enter__(self) -> Self:
        self.url = embedded.up(self._folder)
        return self

    def __exit__(self, *_: object) -> None:
        embedded.remove(self._folder)

    def kill(self) -> None:
        """SIGKILL to the postmaster and each of its processes."""
        (row,) = rows(self.url, "select pg_read_file('postmaster.pid', 0, 12) as pid")
        os.kill(int(row["pid"].split()[0]), signal.SIGKILL)

    def start(self) -> None:
        """Again, on the same port."""
        faults: list[Exception] = []

        def up() -> str | None:
            try:
                return embedded.up(self._folder)
            except Exception as fault:  # noqa: BLE001  whatever stands in the way may go
                faults.append(fault)
                return None

        again = wait_until(up, PATIENCE, what=lambda: f"a Postgres that starts: {faults[-1]}", every=0.2)
        assert again == self.url, "the port was taken meanwhile"


class KafkaServers(KafkaCluster):
    """Three brokers that forget nothing when all of them go, as the disks of real ones don't."""

    def kill(self) -> None:
        """Every connection is closed, and none is taken."""
        for broker in self.brokers:
            self.down(broker)

    def start(self) -> None:
        """Again, on the same ports."""
        for broker in self.brokers:
            self.up(broker)


@contextmanager
def server(kind: str, folder: Path) -> Iterator[tuple[str, PostgresServer | KafkaServers | Server]]:
    """The queue's address and server."""
    if kind == "kafka":
        with KafkaServers() as cluster:
            yield f"kafka://{','.join(cluster.servers)}", cluster
        return
    if kind == "postgres":
        with PostgresServer(folder / "queue") as running:
            yield running.url, running
        return
    with {"redis": Redis, "nats": Nats}[kind]() as other:
        yield f"{kind}://127.0.0.1:{other.port}", other


def piped(folder: Path, tap: list[str | Path], target: Path, kill_after: float | None) -> str:
    """`tap --state … | target >> states`, killed after that time where one is given; the tap's log."""
    states, log = folder / "states.jsonl", folder / f"{uuid.uuid4().hex}.log"
    lines = [line for line in (states.read_text() if states.exists() else "").split("\n")[:-1] if line]
    state: list[str | Path] = ["--state", written(folder, "state.json", lines[-1])] if lines else []
    with states.open("ab") as out, log.open("wb") as told:
        first = subprocess.Popen(
            [*tap, *state], cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=told
        )
        assert first.stdout is not None
        with first.stdout as stdout:
            second = subprocess.Popen([TARGET, "--config", target], cwd=folder, stdin=stdout, stdout=out, stderr=told)
    try:
        if kill_after is not None:
            time.sleep(kill_after)
            second.kill()
            first.kill()
        codes = (first.wait(PATIENCE), second.wait(PATIENCE))
    finally:
        ended(first)
        ended(second)
    assert kill_after is not None or codes == (0, 0), log.read_text()[-3000:]
    return log.read_text()


def rounds_of(count: int) -> list[str]:
    """What is killed, in its order."""
    turns = ["a receiver", "the queue", "a receiver", "both receivers", "the queue and a receiver"]
    return [turns[place % len(turns)] for place in range(max(3, min(20, count // 200)))]


def chaos(count: int, kind: str, seed: int, database: str, folder: Path) -> Found:
    """One run.

    Args:
        count: versions in the history.
        kind: of the queue.
        seed: of the story and its deliveries.
        database: an empty one, for the target.
        folder: for files.
    """
    dice = random.Random(seed)
    story, found = Story.told(count, dice), Found()
    deliveries = story.deliveries(dice)
    found.deliveries, found.never_sent, found.expected_missed = len(deliveries), len(story.unsent), story.missed
    listed: dict[int, dict[str, Any]] = dict(story.base)

    def answer(asked: Asked) -> Reply:
        since = asked.params.get("since", "")
        rows = [thing for thing in listed.values() if thing["updated_at"] >= since]
        return Reply(sorted(rows, key=lambda thing: (thing["updated_at"], thing["id"])))

    with ExitStack() as stack:
        api = stack.enter_context(serving(answer))
        url, running = stack.enter_context(server(kind, folder))
        polled: dict[str, Any] = {
            "path": "/things",
            "base_url": api.url,
            "params": {"since": "{cursor.updated_at}"},
            "incremental": {"cursor_path": "updated_at", "filter": "inclusive"},
            "hash_cache": str(folder / "hashes.db"),
        }
        config = configuration(url, **polled)
        rules = [
            {"type": "updated", "stream": "things", "on": "updated"},
            {"type": "passed", "stream": "things", "enters": f"value > {LIMIT}"},
            {"type": "fell", "stream": "things", "leaves": f"value > {LIMIT}"},
        ]
        tap_at = written(folder, "tap.json", config)
        target = written(folder, "target.json", {"database_url": database, "events": rules, "batch_size_rows": 150})
        run: list[str | Path] = [TAP, "--config", tap_at]
        piped(folder, run, target, None)
        listed.update(story.truth)

        receivers = []
        for _ in range(2):
            receivers.append(Serving(folder, config))
            stack.callback(receivers[-1].kill)
        delivering = Delivering(deliveries, receivers, seed)
        _disturb(delivering, receivers, running, found, dice)
        found.tries, found.answered = delivering.tries, len(delivering.answered)
        with closing(open_queue(url)) as queue:
            stored, behind = [], None
            while entries := queue.read("things", behind):
                stored += [entry.body.encode() for entry in entries]
                behind = entries[-1].position
        found.stored, found.lost = len(stored), len(delivering.answered - set(stored))

        drain: list[str | Path] = [TAP, "webhooks", "drain", "--config", tap_at]
        for _ in range(3 if count >= 1000 else 1):
            piped(folder, drain, target, dice.uniform(0.8, 3.0))
            found.drains += 1
        piped(folder, drain, target, None)
        log = piped(folder, run, target, None)
        said = re.search(r"polling found (\d+) records that webhooks missed", log)
        found.missed = int(said[1]) if said else -1
        _judge(story, database, found)
    return found


def _disturb(
    delivering: Delivering,
    receivers: list[Serving],
    running: PostgresServer | KafkaServers | Server,
    found: Found,
    dice: random.Random,
) -> None:
    """Let the senders go, and kill what they talk to on the way."""
    turns = rounds_of(found.deliveries)
    delivering.start()
    for place, turn in enumerate(turns):
        delivering.until(found.deliveries * (place + 1) // (len(turns) + 2), IN_FLIGHT)
        time.sleep(dice.uniform(0, 0.05))
        victims = receivers if turn == "both receivers" else [dice.choice(receivers)] if "receiver" in turn else []
        found.kills[turn] += 1
        seen = delivering.tries[NOTICED[turn]]
        back: list[Callable[[], object]] = []
        if "queue" in turn:
            running.kill()
            back.append(running.start)
        for victim in victims:
            victim.kill()
            back.append(victim.start)
        time.sleep(dice.uniform(0.1, 0.5))
        delivering.until_noticed(NOTICED[turn], seen)
        for start in back:
            start()
    delivering.until(0, found.deliveries)
    delivering.finish()


def _judge(story: Story, database: str, found: Found) -> None:
    """Compare rows and events with the story."""
    at = """to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"""
    loaded = {row["id"]: row for row in rows(database, f"select id, value::int, {at} as at from things")}
    found.rows_wrong = len(loaded.keys() ^ story.truth.keys()) + sum(
        (loaded[key]["value"], loaded[key]["at"]) != (thing["value"], thing["updated_at"])
        for key, thing in story.truth.items()
        if key in loaded
    )
    events = rows(database, "select type, id, key, data from eventgen.events order by sequence")
    assert len({each["id"] for each in events}) == len(events)
    chains: dict[int, list[tuple[Any, Any]]] = defaultdict(list)
    edges: Counter[tuple[int, str, str]] = Counter()
    for each in events:
        key, new, old = each["key"]["id"], each["data"]["new"], each["data"]["old"]
        if each["type"] == "updated":
            chains[key].append((old, new))
        else:
            edges[key, each["type"], _at(new)] += 1
    expected: Counter[tuple[int, str, str]] = Counter()
    for key, thing in story.base.items():
        known = {told["data"]["updated_at"]: told["data"]["value"] for told in story.versions.get(key, [])}
        before = (thing["updated_at"], thing["value"])
        whole = True
        for old, new in chains[key]:
            after = (_at(new), int(new["value"]))
            whole = whole and (_at(old), int(old["value"])) == before and known.get(after[0]) == after[1]
            whole = whole and after[0] > before[0]
            was, now = before[1] > LIMIT, after[1] > LIMIT
            if was != now:
                expected[key, "passed" if now else "fell", after[0]] += 1
            before = after
        end = story.truth[key]
        found.broken_chains += not (whole and before == (end["updated_at"], end["value"]))
        found.accepted += len(chains[key])
    found.events_wrong = sum(((edges - expected) + (expected - edges)).values())


def _at(row: dict[str, Any]) -> str:
    """An instant as the story writes it."""
    return f"{str(row['updated_at'])[:19].replace(' ', 'T')}Z"


def shown(found: Found) -> str:
    """What a run showed, as a table."""
    rows = {
        "deliveries, some doubled": found.deliveries,
        "versions never sent": found.never_sent,
        "tries, by their answer": ", ".join(f"{said} {number}" for said, number in sorted(found.tries.items())),
        "kills": ", ".join(f"{what} {number}" for what, number in sorted(found.kills.items())),
        "notifications answered 2xx": found.answered,
        "stored, with their repeats": found.stored,
        "drains that were killed": found.drains,
        "versions accepted": found.accepted,
        "missed, by polling / by the story": f"{found.missed} / {found.expected_missed}",
        **{f"**{what}**": number for what, number in found.faults.items()},
    }
    return "\n".join(["| | |", "|---|---:|", *(f"| {what} | {number} |" for what, number in rows.items())])


def main() -> int:
    """Print the table of a run; 1 where a number isn't zero that must be."""
    parser = argparse.ArgumentParser(prog="make webhooks")
    parser.add_argument("count", nargs="?", type=int, default=2000)
    parser.add_argument("--queue", choices=["postgres", "redis", "nats", "kafka"], default="postgres")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="webhooks-", dir="/tmp") as path:
        folder = Path(path)
        folder.chmod(0o755)
        try:
            server_url = embedded.up(folder / "target")
            execute(server_url, "create database loaded")
            began = time.monotonic()
            found = chaos(given.count, given.queue, given.seed, server_url.replace("/postgres?", "/loaded?"), folder)
        finally:
            embedded.remove(folder / "target")
    out = sys.stdout.write
    out(f"{given.count:,} versions, queue {given.queue}, seed {given.seed}, {time.monotonic() - began:.0f} s\n\n")
    out(shown(found) + "\n")
    return int(any(found.faults.values()))
