"""SIGTERM and SIGINT at any moment; and what singer-sdk's own targets do in the same places."""

from __future__ import annotations

import inspect
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, redirect_stdout
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import psycopg2
import pytest
from singer_sdk import BatchSink, Target

from target_eventgen import failpoints
from target_eventgen.intake.reader import LineReader, _line_blocks, _lines
from target_eventgen.store import catalog
from tests.support import messages
from tests.support.loading import Loader
from tests.support.messages import lines, record, schema, state
from tests.support.queries import waits_for_a_lock
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType

RULES = [
    {"type": "created", "stream": "subscriptions", "on": "created"},
    {"type": "updated", "stream": "subscriptions", "on": "updated"},
]


version = partial(messages.version, 1)


def sending(loader: Loader, messages: list[dict[str, Any]], **settings: Any) -> subprocess.Popen[str]:
    """A run whose input stays open."""
    process = loader.start(events=RULES, batch_size_rows=1, **settings)
    assert process.stdin is not None
    process.stdin.write(lines(messages))
    process.stdin.flush()
    return process


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit status and STATE lines, the input still open; what both say fits into a pipe."""
    try:
        process.wait(60)
    finally:
        process.kill()  # of no effect on one that has ended
        out, said = process.communicate()
    assert "Traceback" not in said
    return process.returncode, out


def insist(process: subprocess.Popen[str]) -> None:
    """Send SIGTERM until it is heard: on a busy machine the first signal may be heard late, and the second with it."""

    def has_ended() -> bool:
        process.send_signal(signal.SIGTERM)
        return process.poll() is not None

    wait_until(has_ended, what="the end of the process", every=0.2)


# -- the first signal -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    [
        failpoints.AFTER_STAGING,
        failpoints.AFTER_LOCK,
        failpoints.AFTER_EVENTS,
        failpoints.BEFORE_COMMIT,
        failpoints.BEFORE_STATE,
        failpoints.STATE_HALF_WRITTEN,
    ],
)
def test_a_signal_in_the_middle_of_a_checkpoint_ends_the_run_with_it_whole(
    loader: Loader, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader.load([schema(), version(1, 1)], events=RULES)
    gate = loader.folder / "gate"
    with monkeypatch.context() as context:
        environment = {**os.environ, "TARGET_EVENTGEN_FAILPOINT": f"{place}:1:{gate}"}
        context.setattr(Loader, "environment", staticmethod(lambda: environment))
        process = sending(loader, [schema(), version(2, 2), state(2), version(3, 3)])
    wait_until(gate.exists, what="the failpoint")
    process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    gate.unlink()
    assert ended(process) == (0, "2\n")
    # What came after the last STATE is committed too: the next run finds it, and tells it not again.
    assert loader.query("select value from subscriptions") in ([(2,)], [(3,)])
    assert [kind for kind, _ in loader.events()][:2] == ["created", "updated"]
    loader.load([schema(), version(3, 3), state(3)], events=RULES)
    assert [kind for kind, _ in loader.events()] == ["created", "updated", "updated"]


def test_a_signal_before_any_line_of_the_readers_loop_ends_the_input() -> None:
    """The handler runs between two lines of Python; wherever that is, no further line of input is waited for."""
    code = LineReader._process_lines.__code__
    begun = inspect.getsourcelines(LineReader._process_lines)[1]
    moments = 0
    for moment in range(1000):
        reader = LineReader()
        left = moment

        def trace(frame: FrameType, event: str, _: Any, reader: LineReader = reader) -> Any:
            nonlocal left
            if frame.f_code is not code:
                return None
            if event == "line" and frame.f_lineno > begun:
                if left == 0:
                    left = -1
                    reader.interrupt()
                elif left > 0:
                    left -= 1
            return trace

        def source(reader: LineReader = reader) -> Iterator[str]:
            for number in range(3):
                assert not reader.interrupted, "a read after the signal"
                yield json.dumps(state(number)) + "\n"

        sys.settrace(trace)
        try:
            reader.process_lines(source(), {"STATE": lambda _: None})  # type: ignore[arg-type]  # only iterated over
        finally:
            sys.settrace(None)
        if left >= 0:
            break
        moments += 1
    assert moments > 20


# -- an open pipe without input ---------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
@pytest.mark.parametrize("behind", [[], [version(4, 4)]], ids=["a STATE", "a record behind it"])
def test_a_silent_pipe_delays_nothing(loader: Loader, behind: list[dict[str, Any]]) -> None:
    process = loader.start(events=RULES, checkpoint_seconds=1)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(lines([schema(), version(1, 1), state(1), *behind]))
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == 1
        assert loader.query("select value from subscriptions") == [(4 if behind else 1,)]
        process.stdin.write(lines([version(5, 5), state(5)]))
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == 5
        assert loader.query("select value from subscriptions") == [(5,)]
        process.send_signal(signal.SIGTERM)
    finally:
        status, out = ended(process)
    assert (status, out) == (0, "")


@pytest.mark.timeout(120)
def test_what_goes_wrong_with_a_commit_ends_a_run_whose_pipe_is_silent(loader: Loader) -> None:
    loader.load([schema(), version(1, 1)], events=RULES)
    loader.query("alter table subscriptions add check (value < 2)")
    process = sending(loader, [schema(), version(2, 2), state(2)], checkpoint_seconds=0.2)
    try:
        assert process.wait(60) == 1
    finally:
        _, out = ended(process)
    assert out == ""


@pytest.mark.parametrize("size", [1, 7, 300_000])
def test_a_pipe_is_cut_into_its_lines_however_it_is_written(size: int) -> None:
    wanted = [b"{}\n", b"\n", b'{"a":\r 1}\r\n', b"x" * 200_000 + b"\n", b"{}\n", b"no end"]
    text = b"".join(wanted)
    if size == 1:
        text = text.replace(b"x" * 200_000, b"x" * 200)
        wanted[3] = b"x" * 200 + b"\n"
    receiver, sender = os.pipe()

    def write() -> None:
        with os.fdopen(sender, "wb", buffering=0) as pipe:
            for start in range(0, len(text), size):
                piece = text[start : start + size]
                while piece:
                    piece = piece[pipe.write(piece) :]

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(receiver, "rb") as pipe:
        assert [line for run in _line_blocks(pipe, 60) for line in _lines(run)] == wanted
    writer.join()


def test_what_may_be_a_state_or_a_schema_is_a_run_of_its_own(tmp_path: Path) -> None:
    sign, other = b'{"type": "STATE", "value": 1}\n', b'{"type": "SCHEMA"}\n'
    wanted = [other, b"{}\n" * 3, sign, sign, other, b"x" * 200_000 + b"\n", sign, b"{}\n", other, b'{}\n{"a": 1}']
    path = tmp_path / "lines"
    path.write_bytes(b"".join(wanted))
    with path.open("rb") as source:
        assert list(_line_blocks(source, 60)) == wanted


# -- the second signal ------------------------------------------------------------------------------------------------


def test_a_second_signal_ends_a_run_that_waits_for_a_lock_at_once(loader: Loader) -> None:
    loader.load([schema(), version(1, 1), state(1)], events=RULES)
    with closing(psycopg2.connect(loader.database)) as holder, holder.cursor() as cursor:
        cursor.execute("select from subscriptions for update")
        process = sending(loader, [schema(), version(2, 2), state(2)])
        wait_until(lambda: waits_for_a_lock(loader.database), what="a wait for a lock")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)  # the same wish, of the runner
        time.sleep(1.2)
        assert process.poll() is None
        insist(process)
        assert ended(process) == (-signal.SIGTERM, "")
    wait_until(lambda: not waits_for_a_lock(loader.database), what="an end of the wait for a lock")
    assert loader.query("select value from subscriptions") == [(1,)]
    assert loader.events() == [("created", "1")]


def test_a_second_signal_ends_a_run_whose_schema_waits_for_a_lock(loader: Loader) -> None:
    loader.load([schema("other", version=None), state(1)])
    with closing(psycopg2.connect(loader.database)) as holder, holder.cursor() as cursor:
        cursor.execute(catalog.LOCK_TABLES)
        process = sending(loader, [schema()])
        wait_until(lambda: waits_for_a_lock(loader.database), what="a wait for a lock")
        process.send_signal(signal.SIGTERM)
        time.sleep(1.2)
        assert process.poll() is None
        insist(process)
        assert ended(process) == (-signal.SIGTERM, "")
    assert loader.query("select to_regclass('subscriptions')") == [(None,)]


# -- what singer-sdk's own targets do ---------------------------------------------------------------------------------


class PlainSink(BatchSink):
    """Stores the last version of each key as soon as a batch is full, as a target of the SDK does."""

    stored: ClassVar[dict[int, Any]] = {}
    raised: ClassVar[list[int]] = []
    max_size = 2

    def process_batch(self, context: dict[str, Any]) -> None:
        if self.raised:
            signal.raise_signal(self.raised.pop())
        for found in context.get("records", ()):
            self.stored[found["id"]] = found["value"]


class PlainTarget(Target):
    """A target as the SDK makes them."""

    name = "target-plain"
    config_jsonschema: ClassVar[dict[str, Any]] = {"properties": {}}
    default_sink_class = PlainSink


@pytest.fixture
def plain() -> Iterator[PlainTarget]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    PlainSink.stored.clear()
    yield PlainTarget(config={"add_record_metadata": False})
    PlainSink.raised.clear()
    for number, handler in handlers.items():
        signal.signal(number, handler)


def counter(value: int) -> dict[str, Any]:
    return record("counters", id=1, value=value)


PROPERTIES = {"id": {"type": "integer"}, "value": {"type": "integer"}}
SCHEMA_CHANGES = [
    schema("counters", PROPERTIES, version=None),
    counter(1),
    schema("counters", {**PROPERTIES, "more": {"type": "string"}}, version=None),
    counter(2),
    counter(3),
]


def test_the_sdk_stores_what_came_before_a_new_schema_after_what_came_after_it(plain: PlainTarget) -> None:
    plain.listen(io.StringIO(lines(SCHEMA_CHANGES)))
    assert PlainSink.stored == {1: 1}


def test_what_came_before_a_new_schema_is_stored_before_what_comes_after_it(loader: Loader) -> None:
    rules = [{"type": "updated", "stream": "counters", "on": "updated"}]
    loader.load(SCHEMA_CHANGES, events=rules, batch_size_rows=2)
    assert loader.query("select value from counters") == [(3,)]
    assert loader.events("data->'old'->'value', data->'new'->'value'") == [(1, 2), (2, 3)]


SIGNALLED = [schema("counters", PROPERTIES, version=None), counter(1), state(1), counter(2), state(2)]


def test_the_sdk_lets_state_out_for_a_batch_that_a_signal_interrupts(plain: PlainTarget) -> None:
    PlainSink.raised.append(signal.SIGTERM)
    out = io.StringIO()
    with redirect_stdout(out), pytest.raises(SystemExit):
        plain.listen(io.StringIO(lines(SIGNALLED)))
    assert out.getvalue() == "1\n"
    assert PlainSink.stored == {}


def test_state_leaves_only_for_what_is_committed_where_a_signal_interrupts_a_batch(loader: Loader) -> None:
    def send(name: str) -> None:
        if name == failpoints.AFTER_LOCK:
            failpoints.action = None
            os.kill(os.getpid(), signal.SIGTERM)

    failpoints.action = send
    try:
        states = loader.load(
            SIGNALLED, batch_size_rows=1, events=[{"type": "c", "stream": "counters", "on": "created"}]
        )
    finally:
        failpoints.action = None
    stored = loader.query("select value from counters")
    assert (states, stored) in [([1], [(1,)]), ([1], [(2,)]), ([1, 2], [(2,)])]
