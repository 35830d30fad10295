"""What grows: a large table, many rules, many columns, many streams, large records, many versions of one key.

The large table is filled in the database: our target loads the records once, so that the table has its columns, and SQL
copies them under further ids. Every round loads later versions of the same subscriptions into each table.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from benchmarks import inputs, peers
from benchmarks.peers import Contender
from benchmarks.run import Results, Server, api, loaded, scratch, singer_lines, tapped

COPIES: Final = 50
"""How many times as large the large table is."""

TABLE: Final = "ours.subscriptions"
SMALL: Final = "target-eventgen, {rows:,} rows"
SPREAD: Final = "target-eventgen, {rows:,} rows, keys spread over all"
RULES: Final = "target-eventgen, {rules} rules"
GROWTH: Final = "update in tables that grow"
RULING: Final = "update by rules that grow"
ONCE: Final = "odd shapes, measured once"


@dataclass(frozen=True)
class Odd:
    """An input that is unlike others: its shape, records of each stream, and the size of its pages."""

    name: str
    shape: str
    records: int
    page: int = 1000


def odd_inputs(records: int) -> tuple[Odd, ...]:
    """Each, in proportion to the records of the other rooms."""
    return (
        Odd("300 columns", "wide", records // 10),
        Odd("50 streams", "streams", records // 50),
        Odd("records of 1 MB", "large", max(2, records // 1000), 10),
        Odd("versions of one key", "versions", 5 * records),
    )


def grown(results: Results, records: int, rounds: int, postgres: Server) -> None:
    """Update as many rows of a table of them alone and of one of fifty times as many; by ten rules and by a hundred."""
    target = peers.OUR_TARGET
    tables = {"small": records, "large": COPIES * records}
    ruled = {"ten": inputs.RULES, "hundred": inputs.MANY_RULES}
    with scratch() as folder:
        first = singer_lines(folder, "plain", records)
        for database in (*tables, *ruled):
            postgres.fresh(database)
            loaded(target, GROWTH, postgres, folder, database, first)
        print(f"a table of {tables['large']:,} rows is filled", flush=True)
        _fill(postgres, "large", records)
        growing = {
            "small": replace(target, name=SMALL.format(rows=records)),
            "large": replace(target, name=SMALL.format(rows=tables["large"])),
        }
        spread = replace(target, name=SPREAD.format(rows=tables["large"]))
        for turn in range(rounds):
            near = singer_lines(folder, f"changed-{turn + 1}", records)
            far = singer_lines(folder, f"spread-{turn + 1}", records)
            for database, of in growing.items():
                results.take(turn, of, GROWTH, loaded, postgres, folder, database, near, tables[database])
            results.take(turn, spread, GROWTH, loaded, postgres, folder, "large", far, tables["large"])
            for database, rules in ruled.items():
                of = Contender(RULES.format(rules=len(rules)), None, peers.our_target(rules), peer=False)
                results.take(turn, of, RULING, loaded, postgres, folder, database, near)
            near.path.unlink()
            far.path.unlink()
        for database in (*tables, *ruled):
            postgres.execute(f"drop database {database}")


def _fill(postgres: Server, database: str, records: int) -> None:
    """Copy the table's rows under further ids."""
    ((names,),) = postgres.execute(
        "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute "
        f"where attrelid = '{TABLE}'::regclass and attnum > 0 and not attisdropped and attname <> 'id'",
        database,
    )
    postgres.execute(
        f"insert into {TABLE} (id, {names}) select id + copy * {records}, {names} "
        f"from generate_series(1, {COPIES - 1}) copy cross join (select * from {TABLE} order by id limit {records}) first",
        database,
    )
    postgres.execute(f"vacuum analyze {TABLE}", database)


def odd(results: Results, records: int, postgres: Server) -> None:
    """Each odd input through the tap, where an API has such lists, and through the target."""
    with scratch() as folder:
        for each in odd_inputs(records):
            shape = inputs.SHAPES[each.shape]
            lines = singer_lines(folder, each.shape, each.records)
            if each.shape != "versions":
                tap = Contender(f"tap-restextract, {each.name}", None, peers.our_tap("tokens", shape=shape), peer=False)
                megabytes = lines.path.stat().st_size / 1e6
                with api(each.records, each.shape) as address:
                    url = f"{address}/{each.page}/0/tokens"
                    results.take(0, tap, ONCE, tapped, folder, url, lines.count, megabytes)
            target = replace(peers.OUR_TARGET, name=f"target-eventgen, {each.name}")
            rows = 1 if each.shape == "versions" else None
            postgres.fresh("bench")
            results.take(0, target, ONCE, loaded, postgres, folder, "bench", lines, rows)
            lines.path.unlink()
