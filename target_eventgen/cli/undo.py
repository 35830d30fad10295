"""`target-eventgen undo`: a run taken back."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from target_eventgen.cli import configuration, options, printing, singer_target
from target_eventgen.delivery.before_commit import Publication
from target_eventgen.delivery.configured import configured_publishers
from target_eventgen.errors import EventgenError
from target_eventgen.model import settings, trace
from target_eventgen.store.connection import Connection
from target_eventgen.store.undo import Undo


@click.command()
@click.argument("run", type=int, required=False)
@click.option("--dry-run", is_flag=True, help="Say what would be restored, and write nothing.")
@click.option("--silent", is_flag=True, help="Record no events.")
@options.CONFIG
@options.DATABASE
def undo(run: int | None, *, dry_run: bool, silent: bool, config: tuple[Path, ...], database_url: str | None) -> None:
    """Restore the rows that a run has changed, where nothing newer has come; without RUN, list the runs.

    Rows that were changed since are named and left as they are, with exit status 1. What is restored is a transition
    like any: its events are recorded, with "undone": true in their data. Only runs with the setting undo_days have
    kept what they replaced.
    """
    parsed = settings.parse(singer_target.settings(config))
    dsn = configuration.database(database_url, config)
    with contextlib.ExitStack() as opened:
        connection = opened.enter_context(
            contextlib.closing(
                Connection(
                    dsn,
                    lock_timeout=parsed.lock_timeout,
                    statement_timeout=parsed.statement_timeout,
                    reconnect_seconds=parsed.reconnect_seconds,
                )
            )
        )
        publication = None
        if parsed.delivery == "before_commit" and not (silent or dry_run):
            publishers = configured_publishers(parsed, os.environ)
            publication = opened.enter_context(contextlib.closing(Publication(publishers, parsed.max_lock_seconds)))
        undoing = Undo(
            connection,
            () if silent or parsed.backfill else parsed.rules,
            parsed.source_in(connection.database),
            hard=parsed.hard_delete or parsed.overwrites,
            emits_first_load=parsed.emit_first_load,
            trace=trace.from_environment(os.environ, parsed.trace_field),
            before_commit=publication,
            place=parsed.place_of,
        )
        if run is None:
            _print_runs(undoing)
        else:
            _take_back(undoing, run, writes=not dry_run)


def _print_runs(undoing: Undo) -> None:
    for run in undoing.runs():
        click.echo(f"{run.number}  {run.began}  {run.rows:,} rows  {run.streams}")


def _take_back(undoing: Undo, run: int, *, writes: bool) -> None:
    """Take a run back, and say what became of it.

    Raises:
        EventgenError: nothing of the run is known, or some rows are refused.
    """
    restored: Counter[str] = Counter()
    deleted: Counter[str] = Counter()
    events: Counter[str] = Counter()
    refused = waiting = 0
    for stream, undone in undoing.take_back(run, writes=writes):
        restored[stream] += undone.restored
        deleted[stream] += undone.deleted
        events.update(undone.events)
        refused += len(undone.refused)
        waiting += undone.waiting
        for key, reason in undone.refused:
            click.echo(f"refused {stream}/{key}: {reason}")
    would = "" if writes else "would be "
    for stream in sorted(restored):
        click.echo(f"{stream}: {restored[stream]:,} rows {would}restored, {deleted[stream]:,} {would}deleted again")
    for type_, number in sorted(events.items()):
        click.echo(f"{'recorded' if writes else 'would record'} {printing.counted(number, type_)}")
    if waiting:
        more = "more wait" if writes else "more would wait"
        click.echo(f"{waiting:,} {more} for held events of their keys: see `target-eventgen events held`", err=True)
    if not restored:
        raise EventgenError(
            f"Of the run {run} nothing is kept: it changed no row, it is undone, its undo_days are over, or it ran without "
            "undo_days. `target-eventgen undo` lists the runs that can be undone."
        )
    if refused:
        raise EventgenError(
            f"{refused:,} rows of the run {run} are left as they are, for the reasons above.{_first(undoing.runs_since(run))}"
        )


def _first(later: Sequence[int]) -> str:
    """Return which runs to undo first, where later ones, given the last one first, have changed rows of a run."""
    if not later:
        return ""
    order = ", then ".join(map(str, later))
    return f" Later runs have changed rows of it; to restore these rows, too, undo {order}, and then this one again."
