"""Singer inputs, one a behaviour, each with the rows and events that it leaves behind.

`NAME.singer`, or `NAME.1.singer`, `NAME.2.singer`, … for several runs, beside `NAME.expected.json`:

    settings   of every run; a list gives each run its own
    setup      SQL before the first run
    rows       queries, and what they return
    events     [type, subject, old, new] of each event, in order of recording; the rest of a shorter one is free
    error      parts of the message with which the last run is refused
    states     STATE lines of the last run
"""

from __future__ import annotations

import contextlib
import io
import json
import secrets
import signal
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from target_eventgen.errors import EventgenError
from target_eventgen.target import TargetEventgen
from tests.support.queries import execute, query

if TYPE_CHECKING:
    from collections.abc import Iterator

INPUTS = Path(__file__).parent / "inputs"
NAMES = sorted(path.name.removesuffix(".expected.json") for path in INPUTS.glob("*.expected.json"))
KNOWN = {"settings", "setup", "rows", "events", "error", "states"}
CLEAN = """
do $$ declare name text; begin
  for name in select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' loop
    execute format('drop schema %I cascade', name);
  end loop;
  create schema public;
end $$;
"""


@pytest.fixture(scope="module")
def shared(postgres: str) -> Iterator[str]:
    """The URL of a database that all inputs share, one after the other."""
    name = f"inputs_{secrets.token_hex(4)}"
    execute(postgres, f"create database {name}")
    yield urlsplit(postgres)._replace(path=f"/{name}").geturl()
    execute(postgres, f"drop database {name} with (force)")


def loaded(path: Path, settings: dict[str, Any], database: str) -> list[Any]:
    """Run the target over a file; the STATE lines that came out."""
    config = {"database_url": database, "initial_load": "emit", **settings}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out), path.open() as file:
            TargetEventgen(config=config).listen(file)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def plain(value: Any) -> Any:
    """A value of Postgres's as JSON can hold it."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value if isinstance(value, bool | int | float | str | list | dict) or value is None else str(value)


def test_there_are_as_many_inputs_as_promised() -> None:
    assert len(NAMES) >= 60
    assert {path.name.split(".")[0] for path in INPUTS.glob("*.singer")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_input_leaves_its_rows_and_events(shared: str, name: str) -> None:
    expected: dict[str, Any] = json.loads((INPUTS / f"{name}.expected.json").read_text())
    assert set(expected) <= KNOWN
    query(shared, CLEAN + expected.get("setup", ""))
    inputs = sorted(INPUTS.glob(f"{name}.singer")) + sorted(INPUTS.glob(f"{name}.[0-9].singer"))
    given = expected.get("settings", {})
    settings = given if isinstance(given, list) else [given] * len(inputs)
    states: list[Any] = []
    for number, (path, setting) in enumerate(zip(inputs, settings, strict=True), start=1):
        if number == len(inputs) and "error" in expected:
            with pytest.raises(EventgenError) as refused:
                loaded(path, setting, shared)
            assert [part for part in expected["error"] if part not in str(refused.value)] == [], str(refused.value)
        else:
            states = loaded(path, setting, shared)
    for statement, rows in expected.get("rows", {}).items():
        assert [[plain(value) for value in row] for row in query(shared, statement)] == rows, statement
    if "events" in expected:
        found = query(shared, "select type, subject, data->'old', data->'new' from eventgen.events order by sequence")
        assert len(found) == len(expected["events"]), found
        shown = [list(event)[: len(wanted)] for event, wanted in zip(found, expected["events"], strict=True)]
        assert shown == expected["events"]
        assert query(shared, "select count(*) = count(distinct id) from eventgen.events") == [(True,)]
    if "states" in expected:
        assert states == expected["states"]
