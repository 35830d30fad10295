"""Relays as processes: killed, raced, stopped, behind a pooler, at the end of a load; and their companion commands."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from target_eventgen.cli.main import companions
from target_eventgen.publishers.protocol import Delivered, Failed
from target_eventgen.store import catalog
from tests.support.loading import Loader
from tests.support.messages import record, schema, state
from tests.support.pgbouncer import bouncer
from tests.support.receiver import Answer
from tests.support.receiver import Receiver as HttpReceiver
from tests.support.relaying import Outbox, Receiver, configuration, in_order, lines_of
from tests.support.waiting import wait_until

RULES = [{"type": "created", "stream": "subscriptions", "on": "created"}]
FILE = {"type": "file", "path": "events.jsonl"}


@pytest.fixture
def outbox(database: str) -> Outbox:
    return Outbox(database)


class Relays:
    """Starts relays in a folder, and ends them with the test."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.output = folder / "events.jsonl"
        self.started: list[subprocess.Popen[str]] = []
        self.configure()

    def configure(self, *publishers: dict[str, Any], **settings: Any) -> None:
        given = publishers or ({"type": "file", "path": str(self.output)},)
        self.configuration = configuration(self.folder, self.url, given, **settings)

    def start(self, *arguments: str, failpoint: str = "") -> subprocess.Popen[str]:
        environment = Loader.environment() | ({"TARGET_EVENTGEN_FAILPOINT": failpoint} if failpoint else {})
        command = [sys.executable, "-m", "target_eventgen", "relay", "--config", str(self.configuration), *arguments]
        process = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.started.append(process)
        return process

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.communicate(timeout=30)


@pytest.fixture
def relays(tmp_path: Path, outbox: Outbox) -> Any:
    found = Relays(tmp_path, outbox.url)
    try:
        yield found
    finally:
        found.end()


def finish(process: subprocess.Popen[str]) -> str:
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return said


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "target_eventgen", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=Loader.environment(),
        timeout=120,
    )


# -- deaths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["after_publish", "before_marked"])
def test_a_relay_killed_between_publishing_and_marking_repeats_with_equal_ids(
    outbox: Outbox, relays: Relays, place: str
) -> None:
    outbox.announce(Receiver().delivery("file"))
    outbox.add(keys=50, each=100)
    gate = relays.folder / "gate"
    killed = relays.start(failpoint=f"{place}:2:{gate}")
    wait_until(gate.exists, what="the failpoint")
    killed.kill()
    killed.wait()
    before = len(lines_of(relays.output))
    finish(relays.start())
    events = lines_of(relays.output)
    assert before > 0
    assert len(events) > 5000
    assert len({event.id for event in events}) == 5000
    in_order(events)
    assert outbox.marks()["pending"] == 0


def test_a_relay_takes_over_at_once_from_one_that_is_killed_in_its_turn(outbox: Outbox, relays: Relays) -> None:
    outbox.announce(Receiver().delivery("file"))
    outbox.add(keys=50, each=20)
    gate = relays.folder / "gate"
    killed = relays.start(failpoint=f"before_marked:1:{gate}")
    wait_until(gate.exists, what="the failpoint")
    other = relays.start()
    time.sleep(1)
    killed.kill()
    finish(other)
    events = lines_of(relays.output)
    assert len({event.id for event in events}) == 1000
    in_order(events)


def test_two_relays_share_a_file_and_deliver_each_event_once(outbox: Outbox, relays: Relays) -> None:
    outbox.announce(Receiver().delivery("file"))
    outbox.add(keys=300, each=40)
    for process in [relays.start(), relays.start()]:
        finish(process)
    events = lines_of(relays.output)
    assert len(events) == len({event.id for event in events}) == 12000
    in_order(events)


def test_sigterm_ends_a_relay_that_follows_with_status_0(outbox: Outbox, relays: Relays) -> None:
    outbox.announce(Receiver().delivery("file"))
    outbox.add(keys=5)
    process = relays.start("--follow")
    wait_until(relays.output.exists, what="the failpoint")
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert "events delivered" in finish(process)
    assert time.monotonic() - began < 20


def test_a_hundred_thousand_events_take_little_memory(outbox: Outbox, relays: Relays) -> None:
    outbox.announce(Receiver().delivery("file"))
    for part in range(10):
        outbox.add(keys=1000, each=10, mark=f"-{part}")
    process = relays.start()
    assert process.stderr is not None
    most = 0
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        most = max([most, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))])
        time.sleep(0.05)
    assert process.returncode == 0, process.stderr.read()
    assert relays.output.read_bytes().count(b"\n") == 100_000
    assert most < 150_000, "kB"


def test_a_relay_works_through_pgbouncer_in_transaction_mode(outbox: Outbox) -> None:
    receiver = Receiver()
    with bouncer(outbox.url, "auth_type = any\n") as parts:
        pooled = Outbox(parts._replace(netloc=f"postgres@{parts.netloc}", query="sslmode=disable").geturl())
        pooled.announce(receiver.delivery())
        outbox.add(keys=20, each=5)
        pooled.drain(receiver.delivery(workers=1))
        assert len(receiver.ids) == len(set(receiver.ids)) == 100
        with pooled.following(receiver.delivery(workers=1)):
            outbox.add(mark="later")
            wait_until(lambda: len(receiver.got) > 100, what="what was recorded later")
    in_order(receiver.got)


# -- at the end of a load ---------------------------------------------------------------------------------------------


def rows(count: int, value: int = 1) -> list[dict[str, Any]]:
    return [record(id=n, value=value, status="", updated_at=f"2026-01-01T00:00:0{value}Z") for n in range(count)]


def test_a_load_delivers_what_it_wrote_once_its_state_has_left(loader: Loader) -> None:
    done = loader.run([schema(), *rows(20), state(1)], events=RULES, publishers=[FILE])
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    events = lines_of(loader.folder / "events.jsonl")
    assert sorted(event.id for event in events) == sorted(id_ for (id_,) in loader.events("id"))
    assert len(events) == 20


@pytest.mark.parametrize(("choice", "status"), [("warn", 0), ("fail", 1)])
def test_a_delivery_that_fails_is_a_warning_or_an_error_and_the_next_run_delivers(
    loader: Loader, choice: str, status: int
) -> None:
    (loader.folder / "events.jsonl").mkdir()
    settings: dict[str, Any] = {"events": RULES, "publishers": [FILE], "delivery_timeout": 0}
    done = loader.run([schema(), *rows(3), state(1)], on_delivery_failure=choice, **settings)
    assert (done.returncode, done.stdout) == (status, "1\n"), done.stderr
    assert "3 events are left for later" in done.stderr
    assert "Is a directory" in done.stderr
    assert "Traceback" not in done.stderr
    (loader.folder / "events.jsonl").rmdir()
    assert loader.run([], **settings).returncode == 0
    assert len(lines_of(loader.folder / "events.jsonl")) == 3


@pytest.mark.parametrize(("choice", "status"), [("warn", 0), ("fail", 1)])
def test_dead_letters_are_a_warning_or_an_error_of_a_load_and_of_a_relay(
    loader: Loader, choice: str, status: int
) -> None:
    with HttpReceiver() as receiver:
        receiver.answer = lambda _: Answer(400)
        hook = {"type": "webhook", "url": receiver.url, "allow_private_addresses": True}
        settings: dict[str, Any] = {"events": RULES, "publishers": [hook], "on_delivery_failure": choice}
        done = loader.run([schema(), *rows(3), state(1)], **settings)
        assert command(loader.folder, "dead-letters", "retry", "--all", "--config", "config.json").returncode == 0
        relayed = command(loader.folder, "relay", "--config", "config.json")
    assert (done.returncode, done.stdout) == (status, "1\n"), done.stderr
    assert relayed.returncode == status, relayed.stderr
    for said in (done.stderr, relayed.stderr):
        assert 'the publisher "webhook": 3 events became dead letters, first of the key subscriptions/' in said
        assert "the receiver answered 400; `target-eventgen dead-letters list --publisher webhook`" in said
        assert "Traceback" not in said


def test_sigterm_ends_a_load_that_delivers_after_the_call_and_the_next_goes_on(loader: Loader) -> None:
    settings: dict[str, Any] = {"events": RULES, "publishers": [{**FILE, "workers": 1}]}
    assert loader.run([schema(), *rows(2500), state(1)], **settings, delivery="relay").returncode == 0
    gate = loader.folder / "gate"
    process = subprocess.Popen(
        loader.command(**settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=loader.folder,
        env=Loader.environment() | {"TARGET_EVENTGEN_FAILPOINT": f"after_publish:1:{gate}"},
    )
    try:
        wait_until(gate.exists, what="the failpoint")
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        gate.unlink()
        finish(process)
    finally:
        process.kill()
    left = loader.query("select count(*) from eventgen.pending")[0][0]
    assert 0 < left < 2500
    assert len(lines_of(loader.folder / "events.jsonl")) == 2500 - left
    assert loader.run([], **settings).returncode == 0
    assert len(lines_of(loader.folder / "events.jsonl")) == 2500


def test_a_load_leaves_delivery_to_the_relay_where_the_setting_says_so(loader: Loader) -> None:
    done = loader.run([schema(), *rows(3), state(1)], events=RULES, publishers=[FILE], delivery="relay")
    assert done.returncode == 0, done.stderr
    assert not (loader.folder / "events.jsonl").exists()
    assert loader.query("select count(*) from eventgen.pending") == [(3,)]


def test_a_load_never_mixes_events_into_its_state(loader: Loader) -> None:
    done = loader.run([schema(), *rows(3), state(1)], events=RULES, publishers=[{"type": "stdout"}])
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    told = command(loader.folder, "relay", "--config", "config.json")
    assert (told.returncode, len(told.stdout.splitlines())) == (0, 3), told.stderr


def test_a_load_is_refused_with_all_faults_of_its_publishers_at_once(loader: Loader) -> None:
    publishers = [
        {"type": "file", "pth": "x", "rotate_bytes": "many"},
        {"type": "fiel", "name": "b"},
        {"type": "stdout", "name": "c", "secret": {"env": "NO_SUCH"}},
    ]
    said = loader.refused([], publishers=publishers)
    for fault in (
        'the publisher "file" has no setting "pth" (did you mean "path"?)',
        'the publisher "file", rotate_bytes: Expected `int`, got `str`',
        'the publisher "file" lacks the setting "path"',
        'there is no type "fiel" (did you mean "file"?)',
        'the environment has no variable "NO_SUCH"',
    ):
        assert fault in said


# -- companions -------------------------------------------------------------------------------------------------------


def letters(outbox: Outbox, answers: Sequence[str], **route: Any) -> None:
    """Have events of these ids refused for good."""
    receiver = Receiver(
        answer=lambda event: Failed("it is torn", permanent=True) if event.id in answers else Delivered()
    )
    outbox.announce(receiver.delivery("file", **route))
    outbox.add(keys=3, each=3)
    outbox.drain(receiver.delivery("file", **route))


def test_dead_letters_are_listed_and_a_retried_one_comes_before_what_waited(outbox: Outbox, relays: Relays) -> None:
    letters(outbox, ["orders-1-1", "orders-2-2"])
    at = ["--database-url", outbox.url]
    listed = command(relays.folder, "dead-letters", "list", *at)
    assert listed.returncode == 0, listed.stderr
    # Keys are delivered side by side, so either may have died first.
    assert sorted(line.split()[2:6] for line in listed.stdout.splitlines()[1:]) == [
        ["file", "changed", "orders/1", "1"],
        ["file", "changed", "orders/2", "1"],
    ]
    assert "it is torn" in listed.stdout
    told = map(json.loads, command(relays.folder, "dead-letters", "list", "--json", *at).stdout.splitlines())
    first, _ = sorted(told, key=lambda letter: str(letter["id"]))
    assert (first["id"], first["publisher"], first["reason"]) == ("orders-1-1", "file", "it is torn")
    assert command(relays.folder, "dead-letters", "retry", *at).returncode == 2
    retried = command(relays.folder, "dead-letters", "retry", str(first["letter"]), *at)
    assert (retried.returncode, retried.stderr) == (0, "1 dead letters are due again\n")
    finish(relays.start())
    assert [event.id for event in lines_of(relays.output)] == ["orders-1-1", "orders-1-2", "orders-1-3"]
    assert outbox.marks() == {"pending": 0, "blocked": 1, "waiting": 1, "dead_letters": 1}


def test_a_dropped_dead_letter_lets_its_key_go_without_it(outbox: Outbox, relays: Relays) -> None:
    letters(outbox, ["orders-1-1", "orders-2-2"])
    dropped = command(relays.folder, "dead-letters", "drop", "--type", "ch*", "--database-url", outbox.url)
    assert (dropped.returncode, dropped.stderr) == (0, "2 dead letters are dropped\n")
    finish(relays.start())
    assert sorted(event.id for event in lines_of(relays.output)) == ["orders-1-2", "orders-1-3", "orders-2-3"]
    assert outbox.marks() == {"pending": 0, "blocked": 0, "waiting": 0, "dead_letters": 0}


def test_dead_letters_that_are_not_there_are_named_beside_those_that_are(outbox: Outbox, relays: Relays) -> None:
    at = ["--database-url", outbox.url]
    said = command(relays.folder, "dead-letters", "retry", "--all", *at)
    assert (said.returncode, said.stderr) == (0, "No dead letters.\n")
    letters(outbox, ["orders-1-1", "orders-2-2"])
    there = 'There are 2 of changed (publisher "file")\n'
    for action in ("list", "retry", "drop"):
        said = command(relays.folder, "dead-letters", action, "--type", "chnaged", *at)
        assert (said.returncode, said.stderr) == (0, f"No dead letter fits. {there}")
    said = command(relays.folder, "dead-letters", "drop", "98", "99", *at)
    assert (said.returncode, said.stderr) == (1, f"Error: No dead letter that fits has the number 98, 99. {there}")
    ((first,), _) = outbox.query("select letter from eventgen.dead_letters order by 1")
    said = command(relays.folder, "dead-letters", "drop", "99", str(first), *at)
    assert said.returncode == 1
    assert said.stderr.startswith("1 dead letters are dropped\nError: No dead letter that fits has the number 99.")
    assert outbox.marks()["dead_letters"] == 1


def test_a_retried_dead_letter_that_dies_again_is_one_letter_again(outbox: Outbox, relays: Relays) -> None:
    letters(outbox, ["orders-1-1"], waits=False)
    assert command(relays.folder, "dead-letters", "retry", "--all", "--database-url", outbox.url).returncode == 0
    outbox.drain(Receiver(answer=lambda _: Failed("still torn", permanent=True)).delivery("file", waits=False))
    assert outbox.query("select id, reason from eventgen.dead_letters") == [("orders-1-1", "still torn")]


@pytest.mark.parametrize(
    ("choice", "replayed"),
    [
        (["--id", "orders-1-1", "--id", "orders-2-2"], ["orders-1-1", "orders-2-2"]),
        (["--type", "paid*"], ["users-1-1"]),
        (["--stream", "users"], ["users-1-1"]),
        (["--key", "2"], ["orders-2-1", "orders-2-2"]),
        (["--key", "1", "--stream", "ord*"], ["orders-1-1", "orders-1-2"]),
        (["--since", "2026-02-01"], ["orders-1-1", "orders-1-2", "orders-2-1", "orders-2-2"]),
        (["--until", "2026-02-01T00:00Z"], ["users-1-1"]),
        (["--all"], ["orders-1-1", "orders-1-2", "orders-2-1", "orders-2-2", "users-1-1"]),
    ],
)
def test_events_are_replayed_by_id_type_stream_key_and_time_with_their_ids(
    outbox: Outbox, choice: list[str], replayed: list[str]
) -> None:
    receiver, other = Receiver(), Receiver()
    outbox.announce(receiver.delivery("one"), other.delivery("two"))
    outbox.add(keys=2, each=2)
    outbox.add(stream="users", type_="paid.late")
    outbox.query("update eventgen.events set recorded_at = '2026-01-01Z' where stream = 'users'")
    outbox.drain(receiver.delivery("one"), other.delivery("two"))
    receiver.got.clear()
    other.got.clear()
    arguments = ["events", "replay", *choice, "--publisher", "one", "--database-url", outbox.url]
    said = CliRunner().invoke(companions, arguments)
    assert (said.exit_code, said.stderr) == (0, f"one: {len(replayed)} events are to be delivered again\n")
    outbox.drain(receiver.delivery("one"), other.delivery("two"))
    assert sorted(receiver.ids) == replayed
    assert other.ids == []
    in_order(receiver.got)


def test_a_replay_of_no_instant_says_how_to_write_one(outbox: Outbox, tmp_path: Path) -> None:
    outbox.announce(Receiver().delivery())
    said = command(tmp_path, "events", "replay", "--since", "soon", "--database-url", outbox.url)
    assert said.returncode == 1
    assert "write instants like" in said.stderr
    assert "Traceback" not in said.stderr


def test_a_replay_of_what_is_not_there_says_what_is(outbox: Outbox, tmp_path: Path) -> None:
    def replayed(*choice: str) -> tuple[int, str]:
        said = command(tmp_path, "events", "replay", *choice, "--database-url", outbox.url)
        return said.returncode, said.stderr

    assert replayed("--all") == (0, "No events.\n")
    with outbox.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(catalog.CREATE)
    outbox.add(keys=2)
    assert replayed("--all") == (1, "Error: No publisher is known to the database, so nothing is delivered again.\n")
    outbox.announce(Receiver().delivery("one"))
    assert replayed("--type", "chnaged") == (0, 'No event fits; there are 2 of changed (stream "orders")\n')
    assert replayed("--id", "x") == (1, "Error: No recorded event that fits has the id x.\n")
    assert replayed("--id", "orders-1-1", "--id", "x") == (
        1,
        "one: 0 events are to be delivered again\nError: No recorded event that fits has the id x.\n",
    )
    assert replayed("--type", "chnaged", "--publisher", "noe")[0] == 1


def test_a_replay_leaves_what_is_undelivered_or_dead_as_it_is(outbox: Outbox, relays: Relays) -> None:
    letters(outbox, ["orders-1-1"])
    marks = outbox.marks()
    said = command(relays.folder, "events", "replay", "--key", "1", "--database-url", outbox.url)
    assert (said.returncode, said.stderr) == (0, "file: 0 events are to be delivered again\n")
    assert outbox.marks() == marks


def test_status_counts_backlog_dead_letters_and_deliveries_by_publisher_and_type(
    outbox: Outbox, tmp_path: Path
) -> None:
    at = ["--database-url", outbox.url]
    assert "No publishers are known" in command(tmp_path, "status", *at).stdout
    letters(outbox, ["orders-1-2"])
    outbox.announce(Receiver().delivery("late", from_beginning=False))
    outbox.add(type_="paid", mark="p")
    outbox.query("update eventgen.events set recorded_at = recorded_at - interval '1 hour' where id = 'orders-1-3'")
    told = json.loads(command(tmp_path, "status", "--json", *at).stdout)
    file, late = told["publishers"]
    assert {name: file[name] for name in ("publisher", "due", "waiting", "retrying", "dead_letters", "delivered")} == {
        "publisher": "file",
        "due": 1,
        "waiting": 1,
        "retrying": 0,
        "dead_letters": 1,
        "delivered": 7,
    }
    assert 3600 <= file["oldest_seconds"] < 3700
    assert 0 < file["per_second"] <= 7 / 60
    assert file["last_failure"] == "it is torn"
    assert (late["publisher"], late["backlog"], late["delivered"], late["idle_seconds"]) == ("late", 1, 0, None)
    assert [(each["type"], each["recorded"], each["undelivered"]) for each in told["events"]] == [
        ("changed", 9, {"file": 1}),
        ("paid", 1, {"file": 1, "late": 1}),
    ]
    shown = command(tmp_path, "status", *at).stdout
    assert shown.splitlines()[0].split()[:4] == ["PUBLISHER", "BACKLOG", "OLDEST", "RETRYING"]
    assert "60 min" in shown


def test_a_forgotten_publisher_blocks_nothing_any_more(outbox: Outbox, tmp_path: Path) -> None:
    letters(outbox, ["orders-1-1"])
    at = ["--database-url", outbox.url]
    unknown = command(tmp_path, "publishers", "forget", "flie", "--yes", *at)
    assert unknown.returncode == 1
    assert '(did you mean "file"?)' in unknown.stderr
    assert command(tmp_path, "publishers", "forget", "file", "--yes", *at).returncode == 0
    assert outbox.marks() == {"pending": 0, "blocked": 0, "waiting": 0, "dead_letters": 0}
    outbox.add(mark="later")
    assert outbox.marks()["pending"] == 0


def test_a_relay_without_publishers_or_with_an_unknown_one_says_so(relays: Relays) -> None:
    unknown = command(relays.folder, "relay", "--config", str(relays.configuration), "--publisher", "flie")
    assert unknown.returncode == 1
    assert 'there is no publisher "flie" (did you mean "file"?)' in unknown.stderr
    relays.configuration = configuration(relays.folder, relays.url, [])
    nothing = command(relays.folder, "relay", "--config", str(relays.configuration))
    assert nothing.returncode == 1
    assert "no publishers are configured" in nothing.stderr


def test_a_database_that_is_not_there_is_one_message_without_its_password(outbox: Outbox, relays: Relays) -> None:
    parts = urlsplit(outbox.url)
    nowhere = parts._replace(netloc=f"{parts.username}:sesame@127.0.0.1:1").geturl()
    relays.url = nowhere
    relays.configure(reconnect_seconds=0)
    done = command(relays.folder, "relay", "--config", str(relays.configuration))
    assert done.returncode == 1
    assert "can't connect to Postgres at 127.0.0.1:1" in done.stderr
    assert "sesame" not in done.stderr
    assert "Traceback" not in done.stderr
