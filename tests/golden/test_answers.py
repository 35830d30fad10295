"""What the target's companion commands answer, over one database with a past."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.golden import shop
from tests.golden.api import at
from tests.golden.conftest import Golden
from tests.golden.forking import Programs
from tests.golden.normal import normal
from tests.support.messages import lines
from tests.support.queries import query

AGES = """
update eventgen.events set recorded_at = now() - interval '3 days';
update eventgen.slots set delivered_at = now() - interval '5 hours' where delivered_at is not null;
update eventgen.slots set recent = 0;
update eventgen.dead_letters set died_at = '2021-03-01T00:01:00Z';
"""
"""Makes everything as old as it is in each run, so that no column is wider than in another."""

SECONDS = re.compile(r'(?<=_seconds": )[\d.]+')
COMMANDS = {
    "events.txt": "events",
    "events_of_a_type.txt": "events --type subscription.status --limit 2",
    "events.jsonl": "events --json",
    "status.txt": "status",
    "status.json": "status --json",
    "rules_check.txt": "rules check",
    "rules_try.txt": "rules try --input orders.singer",
    "rules_try.jsonl": "rules try --json --input orders.singer",
    "dead_letters.txt": "dead-letters list",
    "dead_letters.json": "dead-letters list --json",
    "dead_letters_of_nobody.txt": "dead-letters list --publisher archive",
    "describe.json": "events describe --title Shop --document-version 2.0.0",
    "replay_nothing.txt": "events replay",
    "replay.txt": "events replay --type subscription.fell",
    "retry.txt": "dead-letters retry --all",
    "drop_nothing.txt": "dead-letters drop",
    "relay.txt": "relay --publisher archive",
    "forget.txt": "publishers forget --yes hook",
    "forget_a_stranger.txt": "publishers forget --yes somebody",
}


def test_what_the_companions_answer_over_a_database_with_a_past_is_as_it_was(
    programs: Programs, golden: Golden, database: str, tmp_path: Path
) -> None:
    tried = [shop.ORDERS, shop.order(1, 10), shop.order(1, 30), shop.order(1, _sdc_deleted_at=at(20))]
    (tmp_path / "orders.singer").write_text(lines(tried))
    with shop.opened(programs, database, tmp_path) as opened:
        opened.live()
        query(database, AGES)
        said = {f"answers/{name}": str(opened.command(*command.split())) for name, command in COMMANDS.items()}
        archive = (tmp_path / "archive.jsonl").read_text()
    said["answers/archive.jsonl"] = "\n".join(
        sorted(archive.splitlines(), key=lambda line: json.loads(line)["sequence"])
    )
    normals = {name: normal(text, folder=tmp_path, database=database) for name, text in said.items()}
    golden.check_all({name: SECONDS.sub('"<seconds>"', text) for name, text in normals.items()})


@pytest.mark.parametrize(("identity", "file"), [(0, "event_ids.txt"), (1, "event_ids_with_table.txt")])
def test_the_ids_of_events_are_as_they_were(
    programs: Programs, golden: Golden, database: str, tmp_path: Path, *, identity: int, file: str
) -> None:
    with shop.opened(programs, database, tmp_path) as opened:
        opened.load([shop.SUBSCRIPTIONS, shop.ORDERS, shop.VISITS])
        opened.query(f"update eventgen.streams set identity = {identity}")  # 0 of a table that earlier code made
        opened.load(shop.FIRST, hard_delete=False)
        opened.load(shop.TOLD, hard_delete=False)
        events = [json.loads(line) for line in opened.command("events", "--json").out.splitlines()]
    golden.check(file, "\n".join(f"{each['id']} {each['type']} {each['subject']}" for each in events))


def test_what_commands_answer_where_there_is_no_database_is_as_it_was(
    programs: Programs, golden: Golden, tmp_path: Path
) -> None:
    commands = ["db url", "db down", "db remove --yes", "events", "status"]
    said = {command: programs.run("target-eventgen", *command.split(), folder=tmp_path) for command in commands}
    text = "\n".join(f"$ target-eventgen {command}\n{each}" for command, each in said.items())
    golden.check("answers/nowhere.txt", normal(text, folder=tmp_path))


def test_what_commands_answer_of_an_empty_database_is_as_it_was(
    programs: Programs, golden: Golden, database: str, tmp_path: Path
) -> None:
    (tmp_path / "empty.json").write_text(json.dumps({"database_url": database, "events": []}))
    commands = ["events", "status", "status --json", "dead-letters list", "rules check", "events describe", "relay"]
    arguments = ["--config", "empty.json"]
    said = {each: programs.run("target-eventgen", *each.split(), *arguments, folder=tmp_path) for each in commands}
    text = "\n".join(f"$ target-eventgen {command}\n{each}" for command, each in said.items())
    golden.check("answers/empty.txt", normal(text, folder=tmp_path, database=database))
