"""The command `target-eventgen`, as a process."""

from __future__ import annotations

import json
import os
import pty
import random
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import psycopg2
import pytest

from target_eventgen import embedded
from target_eventgen.cli.events import events
from target_eventgen.cli.lazy import LazyCommand
from target_eventgen.cli.main import companions
from target_eventgen.store import catalog as outbox
from tests.support.processes import environment
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from psycopg2.extensions import connection as Connection  # noqa: N812 - a class that its owner spells small

COMMAND = [sys.executable, "-m", "target_eventgen"]


def run(folder: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(**changes),
        input="",
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def refused(finished: subprocess.CompletedProcess[str]) -> str:
    """The one message of a command that failed as it should."""
    assert finished.returncode == 1, finished
    assert "Traceback" not in finished.stderr
    (message,) = [line for line in finished.stderr.splitlines() if line.startswith("Error: ")]
    return message


@pytest.fixture
def writer(database: str) -> Iterator[Connection]:
    """A connection to a database that has an empty outbox."""
    with closing(psycopg2.connect(database)) as connection:
        with connection.cursor() as cursor:
            cursor.execute(outbox.CREATE)
        connection.commit()
        yield connection


def record(connection: Connection, name: str, *, kind: str = "order.paid", stream: str = "orders") -> None:
    """Writes an event without committing it."""
    data = json.dumps({"old": {"id": 1, "value": 9000}, "new": {"id": 1, "value": 11000}, "changed": ["value"]})
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into eventgen.events (id, source, type, subject, time, partitionkey, stream, key, data) "
            "values (%s, 'here', %s, %s, '2026-01-01T00:00:05Z', %s, %s, '{\"id\": 1}', %s)",
            (name, kind, f"{stream}/{name}", f"{stream}/1", stream, data),
        )


def committed(connection: Connection, *names: str, **attributes: str) -> None:
    for name in names:
        record(connection, name, **attributes)
    connection.commit()


def ids(output: str) -> list[str]:
    return [json.loads(line)["id"] for line in output.splitlines()]


class Follower:
    """`events --follow --json` as a process, and the ids that it has printed."""

    def __init__(self, database: str, folder: Path) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "events", "--follow", "--json", "--database-url", database],
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.seen: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.seen.extend(json.loads(line)["id"] for line in self._lines())

    def _lines(self) -> Iterator[bytes]:
        assert self.process.stdout is not None
        yield from self.process.stdout

    def saw(self, count: int, seconds: float = 30) -> list[str]:
        wait_until(
            lambda: len(self.seen) >= count, seconds, what=lambda: f"{count} ids, of which there are {self.seen}"
        )
        return list(self.seen)

    def end(self, by: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        with suppress(ProcessLookupError):
            self.process.send_signal(by)
        status = self.process.wait(30)
        self._reader.join(30)
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            said = stderr.read().decode()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status, said


@pytest.fixture
def follower(database: str, tmp_path: Path) -> Iterator[Follower]:
    following = Follower(database, tmp_path)
    try:
        yield following
    finally:
        if following.process.poll() is None:
            following.end(signal.SIGKILL)


def test_db_up_url_and_down(tmp_path: Path) -> None:
    try:
        message = refused(run(tmp_path, "db", "url"))
        assert "isn't running" in message
        assert "target-eventgen db up" in message
        up = run(tmp_path, "db", "up")
        assert up.returncode == 0
        assert up.stderr == ""
        url = run(tmp_path, "db", "url")
        assert (url.returncode, url.stdout) == (0, up.stdout)
        with closing(psycopg2.connect(url.stdout.strip())):
            pass
        assert run(tmp_path, "db", "down").returncode == 0
        refused(run(tmp_path, "db", "url"))
        again = run(tmp_path, "db", "down")
        assert again.returncode == 0
        assert "was not running" in again.stderr
        assert run(tmp_path, "db", "remove").returncode == 1  # nobody said yes
        assert embedded.exists(tmp_path / ".eventgen" / "postgres")
        assert run(tmp_path, "db", "remove", "--yes").returncode == 0
        assert not embedded.exists(tmp_path / ".eventgen" / "postgres")
    finally:
        embedded.remove(tmp_path / ".eventgen" / "postgres")


def test_events_are_a_table_of_time_type_subject_and_change(database: str, writer: Connection, tmp_path: Path) -> None:
    committed(writer, "a", "b")
    finished = run(tmp_path, "events", "--database-url", database)
    assert finished.returncode == 0
    assert finished.stdout.splitlines() == [
        "TIME                 TYPE        SUBJECT   CHANGE",
        "2026-01-01 00:00:05  order.paid  orders/a  value 9000 → 11000",
        "2026-01-01 00:00:05  order.paid  orders/b  value 9000 → 11000",
    ]


def test_an_output_without_arrows_gets_plain_ones(database: str, writer: Connection, tmp_path: Path) -> None:
    committed(writer, "a")
    finished = run(tmp_path, "events", "--database-url", database, PYTHONIOENCODING="ascii")
    assert finished.returncode == 0
    assert "value 9000 -> 11000" in finished.stdout


def test_in_a_terminal_the_table_keeps_to_its_width(database: str, writer: Connection, tmp_path: Path) -> None:
    committed(writer, "long" * 50)
    master, slave = pty.openpty()
    try:
        subprocess.run(
            [*COMMAND, "events", "--database-url", database],
            cwd=tmp_path,
            env=environment(COLUMNS="72", NO_COLOR="1"),
            stdout=slave,
            timeout=60,
            check=True,
        )
        os.write(slave, b"\0")
        shown = b""
        while not shown.endswith(b"\0"):
            shown += os.read(master, 4096)
    finally:
        os.close(slave)
        os.close(master)
    lines = shown.decode().rstrip("\0").splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) == 72
    assert lines[1].endswith("value 9000 → 11000")


def test_json_is_one_cloudevent_a_line(database: str, writer: Connection, tmp_path: Path) -> None:
    committed(writer, "a", "b")
    finished = run(tmp_path, "events", "--json", "--database-url", database, PYTHONIOENCODING="ascii")
    lines = [json.loads(line) for line in finished.stdout.splitlines()]
    assert lines[0] == {
        "specversion": "1.0",
        "id": "a",
        "source": "here",
        "type": "order.paid",
        "subject": "orders/a",
        "time": "2026-01-01T00:00:05.000000Z",
        "datacontenttype": "application/json",
        "partitionkey": "orders/1",
        "sequence": "0000000000000000001",
        "data": {"old": {"id": 1, "value": 9000}, "new": {"id": 1, "value": 11000}, "changed": ["value"]},
    }
    assert lines[1]["id"] == "b"


def test_events_are_chosen_by_type_stream_and_number(database: str, writer: Connection, tmp_path: Path) -> None:
    committed(writer, "a", "b", "c")
    committed(writer, "d", kind="order.canceled")
    committed(writer, "e", stream="refunds")

    def chosen(*arguments: str) -> list[str]:
        return ids(run(tmp_path, "events", "--json", "--database-url", database, *arguments).stdout)

    assert chosen() == ["a", "b", "c", "d", "e"]
    assert chosen("--limit", "2") == ["d", "e"]
    assert chosen("--limit", "0") == []
    assert chosen("--type", "order.canceled") == ["d"]
    assert chosen("--type", "order.canceled", "--type", "order.paid", "--stream", "orders") == ["a", "b", "c", "d"]
    assert chosen("--stream", "refunds") == ["e"]
    assert chosen("--type", "order.paid", "--limit", "2") == ["c", "e"]
    assert chosen("--type", "*.canceled", "--stream", "or*") == ["d"]
    assert chosen("--type", "order_paid") == []
    assert chosen("--type", "*", "--stream", "*s") == ["a", "b", "c", "d", "e"]


def test_what_no_event_fits_is_answered_with_what_there_is(database: str, writer: Connection, tmp_path: Path) -> None:
    committed(writer, "a", "b")
    committed(writer, "c", kind="order.canceled")
    finished = run(tmp_path, "events", "--database-url", database, "--type", "order.piad")
    assert (finished.returncode, finished.stdout) == (0, "")
    assert finished.stderr == (
        'No event fits; there are 2 of order.paid (stream "orders"), 1 of order.canceled (stream "orders")\n'
    )


def test_a_database_without_events_says_so(database: str, tmp_path: Path) -> None:
    finished = run(tmp_path, "events", "--database-url", database)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "No events.\n")


def test_the_database_is_found_as_the_target_finds_it(database: str, writer: Connection, tmp_path: Path) -> None:
    committed(writer, "a")
    (tmp_path / "config.json").write_text(json.dumps({"database_url": database, "events": []}))
    assert ids(run(tmp_path, "events", "--json", "--config", "config.json").stdout) == ["a"]
    assert ids(run(tmp_path, "events", "--json", TARGET_EVENTGEN_DATABASE_URL=database).stdout) == ["a"]
    parts = psycopg2.extensions.parse_dsn(database)
    settings = {"host": "host", "port": "port", "user": "user", "password": "password", "dbname": "database"}
    in_environment = {
        f"TARGET_EVENTGEN_{setting.upper()}": parts[name] for name, setting in settings.items() if name in parts
    }
    assert ids(run(tmp_path, "events", "--json", **in_environment).stdout) == ["a"]
    down = {"TARGET_EVENTGEN_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
    assert ids(run(tmp_path, "events", "--json", "--config", "config.json", **down).stdout) == ["a"]
    assert ids(run(tmp_path, "events", "--json", "--database-url", database, **down).stdout) == ["a"]


def test_without_a_database_url_the_events_are_those_of_the_embedded_postgres(tmp_path: Path) -> None:
    folder = tmp_path / ".eventgen" / "postgres"
    try:
        with closing(psycopg2.connect(embedded.up(folder))) as connection:
            with connection.cursor() as cursor:
                cursor.execute(outbox.CREATE)
            committed(connection, "a")
        embedded.down(folder)
        assert ids(run(tmp_path, "events", "--json").stdout) == ["a"]
        assert embedded.url(folder) is not None
    finally:
        embedded.remove(folder)


def test_in_a_folder_without_a_database_events_says_so_and_makes_none(tmp_path: Path) -> None:
    message = refused(run(tmp_path, "events"))
    assert "There are no events here" in message
    assert "--database-url" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://someone:S3cret@127.0.0.1:1/nothing", "Connection refused"),
        ("postgresql://someone:S3cret/with/slashes@127.0.0.1/nothing", "is not a Postgres URL"),
        ("S3cret", "is not a Postgres URL"),
    ],
)
def test_a_database_that_does_not_answer_is_reported_without_its_password(tmp_path: Path, url: str, told: str) -> None:
    message = refused(run(tmp_path, "events", "--database-url", url))
    assert told in message
    assert "database_url" in message
    assert "S3cret" not in message


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "can't be read"), ("{", "is not JSON"), ("[]", "is not a JSON object")],
)
@pytest.mark.parametrize("arguments", [[], ["events"]], ids=["target", "events"])
def test_a_configuration_file_that_is_not_one_is_reported(
    tmp_path: Path, content: str | None, told: str, arguments: list[str]
) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    message = refused(run(tmp_path, *arguments, "--config", "config.json"))
    assert told in message
    assert "config.json" in message


def test_the_targets_own_errors_are_one_message_whatever_the_log_level(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"batch_size_rows": "many", "no_such_setting": 1}))
    finished = run(tmp_path, "--config", "config.json", LOGLEVEL="CRITICAL")
    assert "no_such_setting" in refused(finished)
    assert len(finished.stderr.splitlines()) == 1


def test_a_command_that_does_not_exist_is_reported_with_exit_status_2(tmp_path: Path) -> None:
    finished = run(tmp_path, "db", "upp")
    assert finished.returncode == 2
    assert "No such command 'upp'" in finished.stderr


@pytest.mark.parametrize(("mistyped", "meant"), [("undoo", "undo"), ("dead-leters", "dead-letters")])
def test_a_mistyped_companion_is_answered_by_the_nearest_one(tmp_path: Path, mistyped: str, meant: str) -> None:
    finished = run(tmp_path, mistyped, "--config", "config.json")
    assert finished.returncode == 2
    assert f"No such command '{mistyped}'. Did you mean '{meant}'?" in finished.stderr


def test_the_help_of_the_target_names_its_companions(tmp_path: Path) -> None:
    finished = run(tmp_path, "--help")
    assert finished.returncode == 0
    assert "--config" in finished.stdout
    assert {*re.findall(r"^    ([a-z-]+)  ", finished.stdout, re.MULTILINE)} == {*companions.commands}


def test_the_companions_do_not_load_the_target() -> None:
    script = (
        "import sys, target_eventgen.cli.main; print(sorted(m for m in sys.modules if m.startswith('target_eventgen')))"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "target_eventgen.cli" in finished.stdout
    assert "target_eventgen.target'" not in finished.stdout


@pytest.mark.parametrize("command", ["status", "relay", "rules", "publishers"])
def test_help_loads_nothing_that_connects(command: str) -> None:
    script = (
        "import sys, click; before = set(sys.modules); from target_eventgen.cli.main import companions;"
        f"companions.main(['{command}', '--help'], standalone_mode=False);"
        "print({'psycopg2', 'msgspec', 'ssl', 'subprocess'} & (set(sys.modules) - before))"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines()[-1] == "set()"


def test_following_shows_old_and_new_events_and_ends_at_ctrl_c_without_a_word(
    writer: Connection, follower: Follower
) -> None:
    committed(writer, "a")
    assert follower.saw(1) == ["a"]
    committed(writer, "b")
    assert follower.saw(2) == ["a", "b"]
    assert follower.end() == (0, "")


def test_following_begins_before_anything_was_loaded(database: str, follower: Follower) -> None:
    time.sleep(1)
    with closing(psycopg2.connect(database)) as connection:
        with connection.cursor() as cursor:
            cursor.execute(outbox.CREATE)
        committed(connection, "a")
    assert follower.saw(1) == ["a"]


def test_following_skips_no_transaction_that_commits_late(
    database: str, writer: Connection, follower: Follower
) -> None:
    committed(writer, "first")
    assert follower.saw(1) == ["first"]
    with closing(psycopg2.connect(database)) as late:
        record(late, "late")  # has the smaller sequence number
        committed(writer, "early")
        with pytest.raises(AssertionError):  # no event is shown before an older one is final
            follower.saw(2, seconds=2)
        late.commit()
    assert follower.saw(3) == ["first", "late", "early"]
    committed(writer, "last")
    assert follower.saw(4) == ["first", "late", "early", "last"]


def test_following_shows_each_event_of_many_writers_once_and_no_rolled_back_one(
    database: str, writer: Connection, follower: Follower
) -> None:
    writer.commit()
    kept: list[str] = []

    def write(number: int) -> None:
        dice = random.Random(number)
        with closing(psycopg2.connect(database)) as connection:
            for turn in range(15):
                names = [f"{number}-{turn}-{event}" for event in range(dice.randint(1, 4))]
                for name in names:
                    record(connection, name)
                    time.sleep(dice.random() * 0.1)
                if dice.random() < 0.2:
                    connection.rollback()
                else:
                    connection.commit()
                    kept.extend(names)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(follower.saw(len(kept))) == sorted(kept)
    committed(writer, "end")
    assert sorted(follower.saw(len(kept) + 1)) == sorted([*kept, "end"])


def test_following_has_no_snapshot_open_while_it_waits(writer: Connection, follower: Follower) -> None:
    committed(writer, "a")
    follower.saw(1)
    with writer.cursor() as cursor:
        for _ in range(10):
            cursor.execute(
                "select count(*) from pg_stat_activity where application_name = 'target-eventgen events' "
                "and datname = current_database() and state like 'idle in transaction%'"
            )
            if cursor.fetchone() == (0,):
                return
            writer.commit()
            time.sleep(0.1)
    pytest.fail("the follower keeps its transaction open")


def test_a_follower_whose_database_goes_away_ends_with_a_message(
    database: str, postgres: str, writer: Connection, follower: Follower
) -> None:
    committed(writer, "a")
    follower.saw(1)
    with closing(psycopg2.connect(postgres)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'target-eventgen events' "
            "and datname = %s",
            (psycopg2.extensions.parse_dsn(database)["dbname"],),
        )
    assert follower.process.wait(30) == 1
    _, said = follower.end()
    assert said.startswith("Error: the events: the connection to Postgres at ")
    assert "Traceback" not in said


def test_a_reader_that_goes_away_is_not_an_error(database: str, writer: Connection, tmp_path: Path) -> None:
    with writer.cursor() as cursor:
        cursor.execute(
            "insert into eventgen.events (id, source, type, subject, partitionkey, stream, key, data) "
            "select i::text, 'here', 't', 's', 'p', 'orders', '{}', '{\"new\": {}}' from generate_series(1, 20000) i"
        )
    writer.commit()
    for form in ("", "--json"):
        command = f"'{sys.executable}' -m target_eventgen events {form} --database-url '{database}' | head -n 1"
        finished = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60, check=True
        )
        assert finished.stdout
        assert finished.stderr == ""


@pytest.mark.parametrize(
    ("shell", "told"),
    [
        ("<&-", "standard input is closed"),
        ("--input good.singer >&-", "standard output is closed"),
        ("events >&-", "standard output is closed"),
        ("--input good.singer >/dev/full", "standard output (No space left on device)"),
        ("events >/dev/full", "No space left on device"),
    ],
)
def test_a_stream_that_is_closed_or_full_is_one_message(
    database: str, writer: Connection, tmp_path: Path, shell: str, told: str
) -> None:
    record(writer, "a")
    writer.commit()
    (tmp_path / "good.singer").write_text('{"type": "STATE", "value": 1}\n', encoding="utf-8")
    finished = subprocess.run(
        ["sh", "-c", f'exec "$@" {shell}', "sh", *COMMAND],
        cwd=tmp_path,
        env=environment(TARGET_EVENTGEN_DATABASE_URL=database),
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    finished.stdout = ""
    assert told in refused(finished)


def test_ctrl_c_before_anything_has_begun_prints_no_traceback() -> None:
    script = (
        "import os, signal, sys; from target_eventgen.cli import main as cli;"
        "cli._target = lambda: os.kill(os.getpid(), signal.SIGINT); sys.argv = ['x']; cli.main()"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr) == (130, "")


def test_a_list_of_companions_says_of_each_what_its_own_help_says() -> None:
    listed = [*companions.commands.values(), *events.commands.values()]
    lazy = [command for command in listed if isinstance(command, LazyCommand)]
    assert len(lazy) == 13
    for command in lazy:
        assert command.load().name == command.name
        assert command.load().get_short_help_str(60) == command.get_short_help_str(60)
