"""Datasette, a JSON API over SQLite files: an extraction's source that others wrote.

Facts found by trying 0.65.5. Tables are listed in the order of their primary key (`rowid` where there is none), the
body's `next` is a token made of the last row's key: a position, so it stays good while rows are inserted and deleted.
With `_sort` the first page is not ordered within ties, so a list sorted by time loses rows; `/shop.json?sql=` takes
any query, and thus a compound cursor. A named parameter that isn't sent counts as the empty text.

The rows are ours: `updated_at` is text in whole seconds, NULL in some rows, and one update in twenty leaves it as it
was: an incremental extraction can't see these, a whole one can. Rows of the present second may still be committed
behind those already read, with smaller ids: hence the `lag`.
"""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from proofs.real_apis.campaign import Campaign, judged, played
from tests.support.environments import environment
from tests.support.ports import free_port
from tests.support.processes import server

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from proofs.real_apis.campaign import Outcome

ORDERS = 1000
LARGEST_TIE = 350
WITHOUT_TIME = 20
SWEPT = ("orders_swept", "orders_by_time_swept")

SCHEMA = """
create table orders (id text primary key, number integer, revision integer, amount real, updated_at text,
  silent integer not null default 0);
create table order_lines (order_id text, line integer, sku text, quantity integer, primary key (order_id, line));
create table notes (body text);
"""

AFTER_THE_CURSOR = """
select id, number, revision, amount, updated_at from orders
where (updated_at, id) > (:updated_at, :id)
order by updated_at, id limit 50
"""


def updated_at(number: int) -> str | None:
    """The time of a seeded order: one tie of 350, ties of four, some without, and times of their own."""
    if number < LARGEST_TIE:
        return "2024-03-01T12:00:00Z"
    if number < LARGEST_TIE + 100:
        return f"2024-03-02T00:00:{(number - LARGEST_TIE) // 4:02d}Z"
    if number >= ORDERS - WITHOUT_TIME:
        return None
    return f"2024-04-{1 + number % 28:02d}T{number % 24:02d}:{number % 60:02d}:{number % 59:02d}Z"


def order_id(number: int) -> str:
    """Ids in another order than times, some with characters that addresses and tokens must escape."""
    return f"{'A/' if number % 50 == 0 else ''}{number * 6007 % 999_983:06d}{',~' if number % 77 == 0 else ''}"


class Shop(NamedTuple):
    """A running Datasette and the file that it serves."""

    url: str
    file: Path

    def rows(self, text: str) -> list[dict[str, Any]]:
        """Rows straight from the file."""
        with closing(sqlite3.connect(self.file, timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(text)]

    def mutations(self, seed: int) -> Generator[None]:
        """Writes without end: updates, inserts, deletes, and updates that leave `updated_at` as it was."""
        chance = random.Random(seed)
        ids = [row["id"] for row in self.rows("select id from orders order by id")]
        with closing(sqlite3.connect(self.file, timeout=30, isolation_level=None)) as connection:
            while True:
                kind, revision = chance.random(), chance.getrandbits(40)
                now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
                if kind < 0.6:
                    text = "update orders set revision = ?, updated_at = ?, silent = 0 where id = ?"
                    connection.execute(text, (revision, now, chance.choice(ids)))
                elif kind < 0.8:
                    ids.append(f"new-{revision:012x}")
                    connection.execute("insert into orders values (?, ?, 0, 1.5, ?, 0)", (ids[-1], revision % 999, now))
                elif kind < 0.95:
                    connection.execute("delete from orders where id = ?", (ids.pop(chance.randrange(len(ids))),))
                else:
                    chosen = chance.choice(ids)
                    text = "update orders set revision = ?, silent = 1 where id = ?"
                    connection.execute(text, (revision, chosen))
                if chance.random() < 0.1:
                    connection.execute("insert into notes (body) values (?)", (f"note {revision}",))
                yield


def seed(file: Path) -> None:
    """A fresh file with orders, their lines, and notes. `silent` marks rows whose last change moved no time."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.executescript(SCHEMA)
        orders = [(order_id(n), n, 0, n / 7, updated_at(n), 0) for n in range(ORDERS)]
        connection.executemany("insert into orders values (?, ?, ?, ?, ?, ?)", orders)
        lines = [(order_id(n % 500), n // 500, f"S{n}", n % 5) for n in range(2 * ORDERS)]
        connection.executemany("insert into order_lines values (?, ?, ?, ?)", lines)
        connection.executemany("insert into notes values (?)", [(f"note {n}",) for n in range(150)])
        connection.commit()


@contextmanager
def running(folder: Path) -> Iterator[Shop]:
    """A Datasette of its own over a fresh file."""
    binaries = environment("datasette", "datasette==0.65.5", "setuptools<81")
    file, port = folder / "shop.db", free_port()
    seed(file)
    address = f"http://127.0.0.1:{port}"
    command: list[str | Path] = [binaries / "datasette", "serve", file, "--host", "127.0.0.1", "--port", str(port)]
    with server(command, f"{address}/-/versions.json", folder / "datasette.log"):
        yield Shop(address, file)


def _properties(**types: str) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"type": [kind, "null"]} for name, kind in types.items()}}


def tap_configuration(shop: Shop) -> dict[str, Any]:
    """The facts above, in the tap's words: three tables as wholes, and the orders again by their time.

    And twice more against a hash cache: as a whole, and by their time with a sweep a second.
    """
    order = _properties(id="string", number="integer", revision="integer", amount="number", updated_at="string")
    whole: dict[str, Any] = {
        "paginator": {"type": "cursor", "cursor_path": "next", "cursor_param": "_next", "stable": True},
        "params": {"_shape": "objects", "_size": 50},
    }
    by_time: dict[str, Any] = {
        "path": "/shop.json",
        "primary_key": ["id"],
        "incremental": {
            "cursor_path": "updated_at",
            "tie_breaker": "id",
            "order": "asc",
            "filter": "compound",
            "lag": "2s",
        },
        "params": {
            "_shape": "objects",
            "sql": AFTER_THE_CURSOR,
            "updated_at": "{cursor.updated_at}",
            "id": "{cursor.id}",
        },
    }
    return {
        "base_url": shop.url,
        "records": "rows",
        "streams": [
            {"name": "orders", "path": "/shop/orders.json", "primary_key": ["id"], "schema": order, **whole},
            {
                "name": "order_lines",
                "path": "/shop/order_lines.json",
                "primary_key": ["order_id", "line"],
                "schema": _properties(order_id="string", line="integer", sku="string", quantity="integer"),
                **whole,
            },
            {
                "name": "notes",
                "path": "/shop/notes.json",
                "primary_key": ["rowid"],
                "schema": _properties(rowid="integer", body="string"),
                **whole,
            },
            {"name": "orders_by_time", "schema": order, **by_time},
            {
                "name": "orders_swept",
                "path": "/shop/orders.json",
                "primary_key": ["id"],
                "sweep": True,
                "fixed_order": True,
                "schema": order,
                **whole,
            },
            {
                "name": "orders_by_time_swept",
                "schema": order,
                "sweep_every": "1s",
                "lookup": {
                    "path": "/shop.json",
                    "params": {"_shape": "objects", "sql": "select id from orders where id = :id", "id": "{key.id}"},
                    "records": "rows",
                },
                **by_time,
            },
        ],
    }


def campaign(folder: Path, seed: int) -> dict[str, Outcome]:
    """A seed's schedule against a file of its own, by stream: those that STATE and the hash cache carry."""
    folder.mkdir()
    with running(folder) as shop:
        configuration = tap_configuration(shop)
        configuration["streams"] = [stream for stream in configuration["streams"] if stream["name"] in SWEPT]
        extraction = Campaign(folder, configuration, seed)
        writes = played(extraction, shop.mutations(seed), most_lines=2000)
        orders = shop.rows("select id, number, revision, amount, updated_at from orders")
    timed = [row for row in orders if row["updated_at"]]
    return {
        "orders_swept": judged(extraction, writes, orders, "orders_swept"),
        "orders_by_time_swept": judged(extraction, writes, timed, "orders_by_time_swept"),
    }
