"""Runs that end before their input does."""

from __future__ import annotations

import fcntl
import json
import random
import signal
import struct
import termios
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.support.messages import lines, record, schema, state
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    import subprocess

    from tests.support.loading import Loader

RULES = [
    {"type": "created", "stream": "subscriptions", "on": "created"},
    {"type": "passed", "stream": "subscriptions", "enters": "value > 10"},
    {"type": "fell", "stream": "subscriptions", "leaves": "value > 10"},
]


KILLS = 15


def history(keys: int, versions: int) -> list[dict[str, Any]]:
    """Each key's value goes 5, 15, 5, 15, … in an order of keys that differs from version to version."""
    drawn = random.Random(1)
    messages: list[dict[str, Any]] = []
    for number in range(versions):
        for key in drawn.sample(range(keys), keys):
            second = f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"
            messages.append(record(id=key, value=15 if number % 2 else 5, status="x", updated_at=second))
    return messages


def unread(process: subprocess.Popen[str]) -> int:
    """Bytes that are in the process's pipe."""
    assert process.stdin is not None
    return int(struct.unpack("i", fcntl.ioctl(process.stdin, termios.FIONREAD, bytes(4)))[0])


def is_idle(process: subprocess.Popen[str]) -> bool:
    """Whether it does nothing for a while."""
    seen = psutil.Process(process.pid)
    before = seen.cpu_times()
    time.sleep(0.5)
    return bool(seen.cpu_times() == before and seen.status() == psutil.STATUS_SLEEPING)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_tap_is_idle_commits_what_came_with_its_last_state(
    loader: Loader, sent: signal.Signals
) -> None:
    process = loader.start(events=RULES)
    assert process.stdin is not None
    process.stdin.write(lines([schema(), *history(50, 1), state(1), *history(50, 2)[50:60]]))
    process.stdin.flush()
    wait_until(lambda: unread(process) == 0, what="an input that is read")
    wait_until(partial(is_idle, process), what="a target with nothing to do")
    process.send_signal(sent)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert out == "1\n"
    assert loader.query("select count(*) from subscriptions") == [(50,)]
    assert loader.query("select type, count(*) from eventgen.events group by 1 order by 1") == [
        ("created", 50),
        ("passed", 10),
    ]


def test_a_signal_in_mid_load_never_lets_state_out_before_its_rows(loader: Loader) -> None:
    messages = [schema()]
    for number, message in enumerate(history(200, 400)):
        messages += [message, state(number)]
    source = loader.folder / "input.singer"
    source.write_text(lines(messages))
    for delay in (0, 0.03, 0.2):
        process = loader.start_from(source, events=RULES, batch_size_rows=50)
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        out, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert "Traceback" not in said
        states = [json.loads(line) for line in [first, *out.splitlines()]]
        assert states == sorted(states)
        assert states[-1] < len(messages) // 2 - 1
        kept = dict(loader.query("select id, extract(epoch from updated_at)::int from subscriptions"))
        for message in messages[1 : 2 * states[-1] + 2 : 2]:
            found = message["record"]
            assert kept[found["id"]] >= epoch(found["updated_at"])


def epoch(text: str) -> int:
    hours, minutes, seconds = (int(part) for part in text[11:19].split(":"))
    return 1767225600 + hours * 3600 + minutes * 60 + seconds


def test_kill_9_at_random_moments_and_replays_leave_every_row_and_every_event_once(loader: Loader) -> None:
    keys, versions = 100, 300
    told = history(keys, versions)
    drawn = random.Random(9)
    begun = 0
    kills = 0
    while True:
        messages: list[Any] = [schema()]
        for number, message in enumerate(told[begun:], start=begun):
            messages.append(message)
            if number % 100 == 99:
                messages.append(state(number + 1))
        source = loader.folder / "input.singer"
        source.write_text(lines(messages))
        process = loader.start_from(source, events=RULES, batch_size_rows=300)
        head = ""
        if kills < KILLS:
            assert process.stdout is not None
            if drawn.random() < 0.8:  # behind a few of its hundred STATEs: it can't come to its end before
                head = "".join(process.stdout.readline() for _ in range(drawn.randint(1, 3)))
                time.sleep(drawn.uniform(0, 0.05))
            else:
                time.sleep(drawn.uniform(0, 0.4))
            process.kill()
            head += process.stdout.read()
        out, said = process.communicate(timeout=120)
        if states := [int(line) for line in (head + out).split("\n")[:-1]]:
            begun = states[-1]
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, said
        kills += 1
    assert kills >= KILLS // 2
    assert loader.query(
        "select count(*), min(_eventgen_version), max(_eventgen_version), min(value) from subscriptions"
    ) == [(keys, versions, versions, 15)]
    counted = loader.query("select type, count(*), count(distinct id) from eventgen.events group by 1 order by 1")
    assert counted == [
        ("created", keys, keys),
        ("fell", keys * (versions // 2 - 1), keys * (versions // 2 - 1)),
        ("passed", keys * versions // 2, keys * versions // 2),
    ]


def test_a_first_load_that_is_killed_and_resumed_is_still_the_first(loader: Loader) -> None:
    settings: dict[str, Any] = {"events": RULES, "initial_load": "suppress", "batch_size_rows": 10}
    process = loader.start(**settings)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(lines([schema(), *history(20, 1), state(1)]))
    process.stdin.flush()
    assert process.stdout.readline() == "1\n"
    process.kill()
    process.communicate()
    loader.load([schema(), *history(40, 1), state(2)], **settings)
    assert loader.events() == []
    loader.load([schema(), *history(41, 1), state(3)], **settings)
    assert loader.events() == [("created", "40")]
