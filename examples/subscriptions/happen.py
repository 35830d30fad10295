#!/usr/bin/env python3
"""Makes things happen to the subscriptions while the API serves them, and says what did.

    python happen.py --database subscriptions.db [--passed 5] [--canceled 4] … [--seed 1] [--json]

| what     | the change                                   | the events that it should cause                     |
|----------|----------------------------------------------|-----------------------------------------------------|
| passed   | value rises above 10 000                     | subscription.passed_10000                           |
| canceled | status becomes canceled                      | subscription.canceled                               |
| created  | a new subscription                           | subscription.created, and passed_10000 for the big  |
| replanned| plan and quantity change                     | subscription.replanned                              |
| touched  | value changes and stays up to or above 10 000| none: a change is no event                          |

A subscription is chosen for passed, canceled, created or replanned once in its life, so that what an extraction sees
of it does not depend on the moment it looks: each event is due exactly once.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import store

if TYPE_CHECKING:
    import sqlite3

Row = dict[str, Any]
Happening = dict[str, Any]
"""{"what": …, "id": …, "events": [type, …], "old": row or None, "new": row}"""

LIMIT = 10_000
KINDS = {"passed": 5, "canceled": 4, "created": 3, "replanned": 2, "touched": 9}


def changed(what: str, old: Row, chance: random.Random) -> Row:
    """Return the columns that a happening gives to an existing subscription."""
    if what == "passed":
        return {"value": round(LIMIT + chance.randint(1, 4000) + chance.randint(0, 99) / 100, 2)}
    if what == "canceled":
        return {"status": "canceled"}
    if what == "replanned":
        others = [plan for plan in store.PLANS if plan != old["plan_id"]]
        return {"plan_id": chance.choice(others), "quantity": old["quantity"] + chance.randint(1, 5)}
    if old["value"] > LIMIT:
        return {"value": old["value"] + 100}  # above and stays above
    return {"value": float(LIMIT) if old["value"] < LIMIT else LIMIT - 1.0}  # up to 10 000, but not past it


def created(number: int, chance: random.Random, now: str) -> Row:
    """Return a new subscription; every third is above 10 000 from its first day."""
    value = LIMIT + chance.randint(1, 900) if number % 3 == 0 else chance.randint(300, LIMIT)
    return {
        "id": number,
        "customer": f"newcomer-{number}",
        "plan_id": chance.choice(store.PLANS),
        "quantity": chance.randint(1, 9),
        "value": float(value),
        "status": "active",
        "created_at": now,
        "updated_at": now,
    }


def candidates(connection: sqlite3.Connection, what: str) -> list[int]:
    """Return the ids that a happening may choose from, in order."""
    fitting = "value < :limit" if what == "passed" else "true"
    text = f"""
        select id from subscriptions
        where status <> 'canceled' and {fitting} and id not in (select id from happenings) order by id
    """  # noqa: S608 one of two constants
    return [row["id"] for row in connection.execute(text, {"limit": LIMIT})]


def insert(connection: sqlite3.Connection, row: Row) -> None:
    """One row more."""
    marks = ", ".join("?" * len(store.COLUMNS))
    values = [row[column] for column in store.COLUMNS]
    connection.execute(f"insert into subscriptions values ({marks})", values)  # noqa: S608 question marks


def update(connection: sqlite3.Connection, number: int, columns: Row) -> None:
    """Other values for some columns of a row."""
    assignments = ", ".join(f"{column} = ?" for column in columns)
    connection.execute(f"update subscriptions set {assignments} where id = ?", [*columns.values(), number])  # noqa: S608 own names


def happen(connection: sqlite3.Connection, what: str, chance: random.Random) -> Happening:
    """One happening in a transaction of its own; the write lock comes first, so that times are in commit order."""
    connection.execute("begin immediate")
    now = store.next_time(connection)
    events = {"passed": ["subscription.passed_10000"], "touched": []}.get(what, [f"subscription.{what}"])
    if what == "created":
        number = connection.execute("select max(id) + 1 from subscriptions").fetchone()[0]
        old, new = None, created(number, chance, now)
        insert(connection, new)
        if new["value"] > LIMIT:
            events = [*events, "subscription.passed_10000"]
    else:
        number = chance.choice(candidates(connection, what))
        old = dict(connection.execute("select * from subscriptions where id = ?", (number,)).fetchone())
        columns = changed(what, old, chance) | {"updated_at": now}
        new = old | columns
        update(connection, number, columns)
    if what != "touched":
        connection.execute("insert into happenings values (?, ?)", (number, what))
    connection.execute("commit")
    return {"what": what, "id": number, "events": events, "old": old, "new": new}


def round_of_happenings(file: Path, counts: dict[str, int], chance: random.Random) -> list[Happening]:
    """All that the counts ask for, in a random order."""
    whats = [what for what, count in counts.items() for _ in range(count)]
    chance.shuffle(whats)
    with closing(store.connect(file)) as connection:
        return [happen(connection, what, chance) for what in whats]


def main() -> None:
    """Print each happening on a line of its own as soon as it has happened."""
    parser = argparse.ArgumentParser(description="Makes things happen to the example's subscriptions.")
    parser.add_argument("--database", type=Path, required=True, help="the API's SQLite file")
    for what, count in KINDS.items():
        parser.add_argument(f"--{what}", type=int, default=count, metavar="N", help=f"how many; default {count}")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same choices")
    parser.add_argument("--rounds", type=int, default=1, help="how often; default 1")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds after each round")
    parser.add_argument("--json", action="store_true", help="one JSON document a line")
    arguments = parser.parse_args()
    if not arguments.database.exists():
        parser.error(f"there is no {arguments.database}: start api.py with it first")

    chance = random.Random(arguments.seed)  # noqa: S311 repeatable choices, no cryptography
    counts = {what: getattr(arguments, what) for what in KINDS}
    for _ in range(arguments.rounds):
        for happening in round_of_happenings(arguments.database, counts, chance):
            told = (
                json.dumps(happening) if arguments.json else f"{happening['what']:<10} subscription {happening['id']}"
            )
            print(told, flush=True)
        time.sleep(arguments.pause)


if __name__ == "__main__":
    main()
