"""`target-eventgen events describe`: the event types as an AsyncAPI document."""

from __future__ import annotations

import json
from pathlib import Path

import click

from target_eventgen.cli import asyncapi, configuration, options, rehearsal, singer_target
from target_eventgen.model import settings


@click.command()
@click.option("--catalog", type=click.Path(path_type=Path), help="The tap's catalog; without it, the live tables.")
@click.option("--title", default="Events of target-eventgen", show_default=True, help="Of the document.")
@click.option("--document-version", default="1.0.0", show_default=True, help="Of the document, as you count it.")
@options.CONFIG
@options.DATABASE
def describe(
    catalog: Path | None, title: str, document_version: str, config: tuple[Path, ...], database_url: str | None
) -> None:
    """Print an AsyncAPI 3 document of the event types, with the JSON Schema of each, as JSON."""
    given = singer_target.settings(config)
    dsn = None if catalog is not None else configuration.database(database_url, config)
    tables = rehearsal.tables(given, dsn, None if catalog is None else configuration.read(catalog))
    if catalog is None:
        for stream, table in tables.items():
            click.echo(f'note: the stream "{stream}" is described by its table {table.title}', err=True)
    document = asyncapi.document(settings.parse(given).rules, tables, title=title, version=document_version)
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
