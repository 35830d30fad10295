"""`target-eventgen rules apply`: a rule's events of the rows that satisfy it already."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import click

from target_eventgen.cli import configuration, options, printing, rehearsal, singer_target
from target_eventgen.delivery.before_commit import Publication
from target_eventgen.delivery.configured import configured_publishers
from target_eventgen.errors import RuleError, SettingsError
from target_eventgen.model import rules, settings, trace
from target_eventgen.model.rules import Rule
from target_eventgen.model.spelling import nearest
from target_eventgen.store.application import Application
from target_eventgen.store.connection import Connection


@click.command("apply")
@click.argument("rule", metavar="TYPE")
@click.option("--stream", help="The rule's stream, where rules of several streams have the type.")
@click.option("--dry-run", is_flag=True, help="Count, and record nothing.")
@click.option(
    "--catalog",
    type=click.Path(path_type=Path),
    help="The tap's catalog, by which events have the record's time, and the stream's columns alone.",
)
@options.CONFIG
@options.DATABASE
def apply_rule(  # noqa: PLR0913  one argument an option
    rule: str,
    *,
    stream: str | None,
    dry_run: bool,
    catalog: Path | None,
    config: tuple[Path, ...],
    database_url: str | None,
) -> None:
    """Record an event of a rule for each row that satisfies it now, as if the row had just been created.

    A row with an event of that type is left out: so a repetition, and one after a kill, records what is missing. The
    events have "applied": true in their data. Loads must know the rule already.
    """
    given = singer_target.settings(config)
    parsed = settings.parse(given)
    chosen = _chosen(parsed.rules, rule, stream)
    if parsed.backfill:
        raise SettingsError(["backfill is on, so loads record no events; apply rules once it is off"])
    dsn = configuration.database(database_url, config)
    described = None if catalog is None else rehearsal.tables(given, dsn, configuration.read(catalog))[chosen.stream]
    with (
        contextlib.closing(
            Connection(
                dsn,
                lock_timeout=parsed.lock_timeout,
                statement_timeout=parsed.statement_timeout,
                reconnect_seconds=parsed.reconnect_seconds,
            )
        ) as connection,
        contextlib.ExitStack() as opened,
    ):
        application = Application.of(
            connection,
            chosen,
            source=parsed.source_in(connection.database),
            described=described,
            trace=trace.from_environment(os.environ, parsed.trace_field),
            emits_first_load=parsed.emit_first_load,
            place=parsed.place_of(chosen.stream),
        )
        if dry_run:
            satisfying, unreported, example = application.count()
            such_as = "" if example is None else f", such as {chosen.stream}/{example}"
            click.echo(
                f"{satisfying:,} rows satisfy it; would record {printing.counted(unreported, chosen.type)}{such_as}"
            )
            return
        publication = None
        if parsed.delivery == "before_commit":
            publishers = configured_publishers(parsed, os.environ)
            publication = opened.enter_context(contextlib.closing(Publication(publishers, parsed.max_lock_seconds)))
        recorded, waiting = application.report(parsed.batch_size_rows, publication)
    click.echo(f"recorded {printing.counted(recorded, chosen.type)}")
    if waiting:
        click.echo(f"{waiting:,} more wait for held events of their keys: see `target-eventgen events held`", err=True)


def _chosen(known: tuple[Rule, ...], type_: str, stream: str | None) -> Rule:
    """Return the rule of a type, and of a stream, where that is needed.

    Raises:
        RuleError: there is none, there are several, or none of its form can be applied.
    """
    found = [rule for rule in known if rule.type == type_ and stream in {None, rule.stream}]
    if not found:
        of_stream = "" if stream is None else f' on the stream "{stream}"'
        raise RuleError(f'no rule has the type "{type_}"{of_stream}{nearest(type_, {rule.type for rule in known})}')
    if len({rule.stream for rule in found}) > 1:
        streams = ", ".join(sorted(rule.stream for rule in found))
        raise RuleError(f'rules of several streams have the type "{type_}"; choose one with --stream: {streams}')
    if len(found) > 1:
        raise RuleError(
            f'{len(found)} rules of the stream "{found[0].stream}" have the type "{type_}", so which of them reported a row '
            "can't be told; give each a type of its own"
        )
    if fault := rules.application_fault(found[0]):
        raise RuleError(fault)
    return found[0]
