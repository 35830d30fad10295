#!/usr/bin/env python3
"""What `make demo` runs: an API, its backfill, things that happen, a second run, and the events that tell them.

Everything is real: the API, both plugins and the shell pipe between them are processes, and Postgres is the embedded
one of this project. The demo may be repeated: it keeps its files in `.eventgen/demo`, which it empties first, and its
table in the schema `demo`, which it drops first, together with the events of its own earlier runs. Nothing else in the
database is touched.

It ends with status 1 and the place of the logs where a step fails, and where the events told differ in any way from
what happened.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import psycopg2

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
BIN = Path(sys.executable).parent
TAP, TARGET = BIN / "tap-restextract", BIN / "target-eventgen"
FOLDER = PROJECT / ".eventgen" / "demo"
SCHEMA = "demo"
SOURCE = "/examples/subscriptions"
WIDTH = 118

Row = dict[str, Any]
Told = tuple[str, int, str, str]
"""An event in short: type, subscription, and the row before and after as JSON."""


class StepError(Exception):
    """A step failed; the text says which, and where to read why."""


class Loaded(NamedTuple):
    """What one run of the pipe did."""

    records: int
    seconds: float


def say(line: str = "") -> None:
    """Print a line for the reader, at once."""
    print(line, flush=True)


def configure(url: str) -> None:
    """Write both plugins' configuration into the demo's folder."""
    tap = json.loads((HERE / "tap.json").read_text()) | {"base_url": url}
    target = json.loads((HERE / "target.json").read_text()) | {"default_target_schema": SCHEMA, "source": SOURCE}
    (FOLDER / "tap.json").write_text(json.dumps(tap, indent=2))
    (FOLDER / "target.json").write_text(json.dumps(target, indent=2))


@contextmanager
def serving() -> Iterator[str]:
    """Start the API on a free port, and yield its address.

    The API ends with the demo, even with a killed one, since its input closes.
    """
    command: list[str | Path] = [
        sys.executable,
        HERE / "api.py",
        "--database",
        FOLDER / "subscriptions.db",
        "--port",
        "0",
    ]
    with (FOLDER / "api.log").open("wb") as log:
        api = subprocess.Popen(
            [*command, "--until-stdin-closes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )
    assert api.stdin
    assert api.stdout
    try:
        line = api.stdout.readline()
        if not line:
            raise StepError("the API doesn't start; see .eventgen/demo/api.log")
        yield json.loads(line)["url"]
    finally:
        api.stdin.close()
        try:
            api.wait(5)
        except subprocess.TimeoutExpired:
            api.kill()
            api.wait()
        api.stdout.close()


def command_output(*command: str | Path) -> str:
    """Return what a command prints.

    Raises:
        StepError: the command failed; with its message.
    """
    finished = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise StepError(f"{Path(command[0]).name} {command[1]} failed: {finished.stderr.strip()}")
    return finished.stdout


def fresh_database() -> str:
    """Start the embedded Postgres without anything of an earlier demo, and return its URL."""
    url = command_output(TARGET, "db", "up").strip().splitlines()[-1]
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("set client_min_messages = warning")
        cursor.execute(f"drop schema if exists {SCHEMA} cascade")
        cursor.execute("select to_regclass('eventgen.events') is not null")
        if cursor.fetchone() == (True,):
            cursor.execute("delete from eventgen.events where source = %s", (SOURCE,))
            cursor.execute("delete from eventgen.streams where table_schema = %s", (SCHEMA,))
    return url


def run(name: str) -> Loaded:
    """One run of `tap-restextract | target-eventgen`, from the STATE that the run before it left.

    The messages between them are kept in NAME.singer and the STATEs that the target let out in NAME.states.

    Raises:
        StepError: one of them failed; with the last line of its log.
    """
    state = FOLDER / "state.json"
    tap = [str(TAP), "--config", "tap.json", *(["--state", "state.json"] if state.exists() else [])]
    target = [str(TARGET), "--config", str(FOLDER / "target.json")]
    pipe = (
        f"{{ {shlex.join(tap)} 2>{name}.tap.log; echo $? >{name}.tap.exit; }} | tee {name}.singer | "
        f"(cd {shlex.quote(str(PROJECT))} && exec {shlex.join(target)}) >{name}.states 2>{name}.target.log"
    )
    begun = time.monotonic()
    shell = subprocess.Popen(["/bin/sh", "-c", pipe], cwd=FOLDER, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        failed = shell.wait()
    except BaseException:
        os.killpg(shell.pid, signal.SIGTERM)
        shell.wait()
        raise
    # The target first: a tap whose reader fails can't but fail too.
    for plugin, status in (("target", failed), ("tap", int((FOLDER / f"{name}.tap.exit").read_text()))):
        if status:
            log = FOLDER / f"{name}.{plugin}.log"
            last = log.read_text().strip().splitlines()[-1:] or ["(its log is empty)"]
            raise StepError(f"the {plugin} ended with status {status}: {last[0]}\nits log: {log}")
    states = (FOLDER / f"{name}.states").read_text().strip().splitlines()
    if not states:
        raise StepError(f"the target let out no STATE; see {FOLDER / name}.target.log")
    state.write_text(states[-1])
    with (FOLDER / f"{name}.singer").open() as messages:
        records = sum(json.loads(line)["type"] == "RECORD" for line in messages)
    return Loaded(records, time.monotonic() - begun)


def count(url: str, text: str) -> int:
    """Return the number that a query returns."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(text)
        row = cursor.fetchone()
        assert row
        return int(row[0])


def demand(holds: bool, what: str) -> None:  # noqa: FBT001 it reads as a sentence
    """Fails loudly where something doesn't hold."""
    if not holds:
        raise StepError(f"{what}\nlogs: {FOLDER}")


def brief(row: Row | None) -> str:
    """Return a subscription as comparable text: the columns that happenings change."""
    if row is None:
        return "none"
    return json.dumps([row["plan_id"], row["quantity"], float(row["value"]), row["status"]])


def due(happenings: list[Row]) -> Counter[Told]:
    """Return the events that the happenings should cause, each with its row before the first and after the last."""
    before: dict[int, Row | None] = {}
    after: dict[int, Row] = {}
    for happening in happenings:
        before.setdefault(happening["id"], happening["old"])
        after[happening["id"]] = happening["new"]
    return Counter(
        (event, happening["id"], brief(before[happening["id"]]), brief(after[happening["id"]]))
        for happening in happenings
        for event in happening["events"]
    )


def told() -> Counter[Told]:
    """Return the events that target-eventgen recorded."""
    lines = command_output(TARGET, "events", "--json").splitlines()
    events = [event for line in lines if (event := json.loads(line))["source"] == SOURCE]
    return Counter(
        (
            event["type"],
            (event["data"]["new"] or event["data"]["old"])["id"],
            brief(event["data"]["old"]),
            brief(event["data"]["new"]),
        )
        for event in events
    )


def show_events() -> None:
    """Return the table of `target-eventgen events`, which fits itself into a terminal; elsewhere its lines are cut."""
    command = (TARGET, "events", "--stream", "subscriptions")
    if sys.stdout.isatty():
        subprocess.run(command, cwd=PROJECT, check=True)
        return
    for line in command_output(*command).splitlines():
        say(line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…")


def demo() -> None:
    """Run the whole demo."""
    say("An API, extracted without holes; its changes, told once.")
    say()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    with serving() as url:
        configure(url)
        database = fresh_database()
        say(f"1  The API     1,000 subscriptions at {url}")
        say("               350 of them share one updated_at; a page holds 100")
        say()

        first = run("first")
        rows = count(database, f"select count(*) from {SCHEMA}.subscriptions")  # noqa: S608 constant
        demand(rows == 1000 == first.records, f"1,000 records were due, {first.records} came and {rows} are stored")
        demand(not told(), "a first load should tell no events")
        say("2  Backfill    tap-restextract | target-eventgen")
        say(f"               1,000 records, 1,000 rows in Postgres, no event: {first.seconds:.1f} s")
        say()

        lines = command_output(sys.executable, HERE / "happen.py", "--database", FOLDER / "subscriptions.db", "--json")
        happenings = [json.loads(line) for line in lines.splitlines()]
        kinds = Counter(happening["what"] for happening in happenings)
        changed = len({happening["id"] for happening in happenings})
        say("3  Meanwhile   things happen in the API")
        say(f"               {kinds['passed']} values pass 10,000, {kinds['canceled']} subscriptions are canceled,")
        say(f"               {kinds['created']} are created, {kinds['replanned']} change their plan,")
        say(f"               {kinds['touched']} change in a way that means nothing")
        say()

        second = run("second")
        demand(second.records == changed, f"{changed} subscriptions changed, but {second.records} records came")
        say("4  Second run  tap-restextract --state … | target-eventgen")
        say(f"               {second.records} records, only what changed: {second.seconds:.1f} s")
        say()

        expected, found = due(happenings), told()
        say("5  Events")
        say()
        show_events()
        say()
        demand(found == expected, f"missing: {list(expected - found)}\nnot due: {list(found - expected)}")
        say(f"   {sum(found.values())} events: exactly what happened, each once.")


def where_next() -> None:
    """Print what a reader may try now."""
    target = TARGET.relative_to(PROJECT) if TARGET.is_relative_to(PROJECT) else TARGET
    tap = TAP.relative_to(PROJECT) if TAP.is_relative_to(PROJECT) else TAP
    folder = FOLDER.relative_to(PROJECT)
    say()
    say("Where to look next")
    say(f"  the events        {target} events --json")
    say(f'  the rows          psql "$({target} db url)" -c "table {SCHEMA}.subscriptions limit 5"')
    say(f"  how it is read    {tap} plan --config {folder}/tap.json")
    say(f"  what was said     {folder}/second.singer, and the STATE after it in {folder}/state.json")
    say(f"  the configuration {folder}/tap.json, {folder}/target.json; as meltano.yml in the README")
    say(f"  stop Postgres     {target} db down")


def stop(*_: object) -> NoReturn:
    """SIGTERM ends the demo as Ctrl-C does: with its processes."""
    raise KeyboardInterrupt


def main() -> int:
    """Return the exit status: 0, 1 where a step failed, 130 where it was interrupted."""
    signal.signal(signal.SIGTERM, stop)
    try:
        demo()
    except StepError as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe demo was interrupted; its processes are ended.", file=sys.stderr)
        return 130
    where_next()
    return 0


if __name__ == "__main__":
    sys.exit(main())
