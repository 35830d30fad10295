"""The command `target-eventgen`: the Singer target, and its companions `db` and `events`.

The companions load neither the target nor the SDK's command line. An error that a person must act on is one message on
stderr and exit status 1, whatever the log level; anything else is a fault of this program and keeps its traceback.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import json
import os
import shutil
import signal
import sys
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from target_eventgen import embedded
from target_eventgen.errors import DeliveryError, EventgenError, OutputError, SettingsError
from target_eventgen.model.rules import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from target_eventgen.delivery.redelivery import LettersChosen
    from target_eventgen.model.recorded import Recorded

END_OF_LIFE = r"Python [\d.]+ (reached|will reach) its end of life"
"""Warnings of packages below this one about the interpreter: README says which ones are supported, and until when."""

FOLLOW_SECONDS = 0.5
"""How long `events --follow` waits between two looks."""

_ROWS_AT_ONCE = 200
_PLACE = ("database_url", "host", "port", "user", "password", "database")  # the settings that say where Postgres is


def main() -> None:
    """What the console script runs."""
    warnings.filterwarnings("ignore", END_OF_LIFE, FutureWarning)
    with _told():
        if sys.stdout is None:
            raise OutputError("standard output is closed, and STATE and all answers go there; leave it open")
        if sys.argv[1:2] and sys.argv[1] in companions.commands:
            companions.main(prog_name="target-eventgen")
        else:
            _target()


@click.group()
def companions() -> None:
    """Singer target that loads Postgres and records events; these are its companion commands."""


@companions.group()
def db() -> None:
    """The embedded Postgres in this folder (.eventgen/postgres), used when no database_url is given."""


@db.command()
def up() -> None:
    """Start it, make it first if need be, and print its URL."""
    click.echo(embedded.up())


@db.command()
def down() -> None:
    """Stop it. The data stay."""
    stopped = embedded.down()
    click.echo("The embedded Postgres is stopped." if stopped else "The embedded Postgres was not running.", err=True)


@db.command()
def url() -> None:
    """Print its URL if it is running; exit status 1 if it isn't."""
    if (found := embedded.url()) is None:
        raise EventgenError(
            f"The embedded Postgres in {embedded.default_folder()} isn't running. "
            "Start it with `target-eventgen db up`, in the project's folder."
        )
    click.echo(found)


@db.command()
@click.confirmation_option(prompt="Delete the embedded Postgres of this folder with all that it holds?")
def remove() -> None:
    """Stop it and delete all its data."""
    removed = embedded.remove()
    click.echo("The embedded Postgres is removed." if removed else "There was no embedded Postgres here.", err=True)


@companions.group(invoke_without_command=True)
@click.option("--follow", "-f", is_flag=True, help="Go on with the events to come, until Ctrl-C.")
@click.option("--type", "types", multiple=True, help="Only events of this type; repeatable.")
@click.option("--stream", "streams", multiple=True, help="Only events of this stream; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="CloudEvents 1.0, one JSON object a line.")
@click.option("--limit", "-n", type=click.IntRange(min=0), help="Only the newest so many that are there now.")
@click.option("--config", type=click.Path(path_type=Path), multiple=True, help="The target's configuration file.")
@click.option("--database-url", help="The database, instead of the configuration's.")
@click.pass_context
def events(  # noqa: PLR0913 - one argument an option
    context: click.Context,
    *,
    follow: bool,
    types: tuple[str, ...],
    streams: tuple[str, ...],
    as_json: bool,
    limit: int | None,
    config: tuple[Path, ...],
    database_url: str | None,
) -> None:
    """Print the recorded events, oldest first.

    A long transaction that still writes in the database holds newer events back from --follow until it ends, so that
    none is skipped.
    """
    if context.invoked_subcommand is not None:
        return
    from target_eventgen.delivery.outbox import Outbox, Selection  # noqa: PLC0415 - the target's start must not pay for it

    selection = Selection(types or None, streams or None, limit)
    show = _json_lines if as_json else _table
    with contextlib.closing(Outbox(_database(database_url, config))) as outbox:
        if follow:
            with contextlib.suppress(KeyboardInterrupt):
                show(_patiently(outbox.follow(selection)))
        elif not show(outbox.newest(selection)):
            click.echo("No events.", err=True)


_CONFIG = click.option(
    "--config", type=click.Path(path_type=Path), multiple=True, help="The target's configuration file."
)
_DATABASE = click.option("--database-url", help="The Postgres to ask, instead of the configuration's.")


@events.command()
@click.option("--catalog", type=click.Path(path_type=Path), help="The tap's catalog; without it, the live tables.")
@click.option("--title", default="Events of target-eventgen", show_default=True, help="Of the document.")
@click.option("--document-version", default="1.0.0", show_default=True, help="Of the document, as you count it.")
@_CONFIG
@_DATABASE
def describe(
    catalog: Path | None, title: str, document_version: str, config: tuple[Path, ...], database_url: str | None
) -> None:
    """Print an AsyncAPI 3 document of the event types, with the JSON Schema of each, as JSON."""
    from target_eventgen.cli import asyncapi, rehearsal  # noqa: PLC0415 - the other companions must not pay for it
    from target_eventgen.model import settings  # noqa: PLC0415 - the other companions must not pay for it

    given = _with_environment(config)
    dsn = None if catalog is not None else _database(database_url, config)
    found = rehearsal.tables(given, dsn, None if catalog is None else _read(catalog))
    described = asyncapi.document(settings.parse(given).rules, found, title=title, version=document_version)
    click.echo(json.dumps(described, indent=2, ensure_ascii=False))


@companions.group()
def rules() -> None:
    """The event rules of the configuration: check them, or try them on an input."""


@rules.command("check")
@click.option("--catalog", type=click.Path(path_type=Path), help="The tap's catalog; without it, the live tables.")
@_CONFIG
@_DATABASE
def check_rules(catalog: Path | None, config: tuple[Path, ...], database_url: str | None) -> None:
    """Say of each rule whether its stream and Postgres can follow it; exit status 1 if one can't be. Changes nothing."""
    from target_eventgen.cli import rehearsal  # noqa: PLC0415 - the other companions must not pay for it
    from target_eventgen.model import rules as rules_  # noqa: PLC0415 - likewise

    given = _with_environment(config)
    described = None if catalog is None else _read(catalog)
    checked = faulty = 0
    for rule, fault in rehearsal.check(given, _anywhere(database_url, config), described):
        checked += 1
        faulty += fault is not None
        click.echo(f"{'ok   ' if fault is None else 'FAULT'}  {rule.type}: {fault or f'{rule.place}, {rule.stream}'}")
        if fault is None and (remark := rules_.remark(rule)) is not None:
            click.echo(f"note   {rule.type}: {remark}")
    if not checked:
        click.echo(
            'There are no rules: the setting "events" is missing or empty, so a load records no event.', err=True
        )
    if faulty:
        raise EventgenError(f"{faulty} of the rules can't be followed as they are; correct them as said above.")


@rules.command("try")
@click.option(
    "--input", "source", type=click.File(encoding="utf-8"), required=True, help="Singer messages; - is stdin."
)
@click.option("--json", "as_json", is_flag=True, help="CloudEvents 1.0, one JSON object a line.")
@_CONFIG
@_DATABASE
def try_rules(source: IO[str], *, as_json: bool, config: tuple[Path, ...], database_url: str | None) -> None:
    """Load an input into a throw-away database, print the events that its rules record, and remove it again.

    The user must be allowed to make a database. Tables begin empty, so a first version of each row is a creation.
    """
    from target_eventgen.cli import rehearsal  # noqa: PLC0415 - the other companions must not pay for it
    from target_eventgen.delivery.outbox import Outbox, Selection  # noqa: PLC0415 - likewise

    given = _with_environment(config)
    with (
        rehearsal.rehearsed(given, _anywhere(database_url, config), source) as dsn,
        contextlib.closing(Outbox(dsn)) as outbox,
    ):
        if not (_json_lines if as_json else _table)(outbox.newest(Selection())):
            click.echo("No events.", err=True)


@companions.command()
@click.option("--follow", "-f", is_flag=True, help="Go on with the events to come, until Ctrl-C or SIGTERM.")
@click.option("--publisher", "names", multiple=True, help="Only to this publisher; repeatable.")
@click.option("--verbose", "-v", is_flag=True, help="Say more.")
@click.option("--metrics-port", type=click.IntRange(0, 65535), help="Serve Prometheus metrics here; 0: any free port.")
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="The address to serve them at.")
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of the log."
)
@_CONFIG
@_DATABASE
def relay(  # noqa: PLR0913 - one argument an option
    *,
    follow: bool,
    names: tuple[str, ...],
    verbose: bool,
    metrics_port: int | None,
    metrics_host: str,
    log_format: str,
    config: tuple[Path, ...],
    database_url: str | None,
) -> None:
    """Deliver recorded events to the configured publishers; exit status 1 where some had to be left for later.

    Any number of relays may run at once, on any number of machines: they share the work by key.
    """
    from target_eventgen.delivery import relay as relay_  # noqa: PLC0415 - the other companions must not pay for it
    from target_eventgen.model import settings  # noqa: PLC0415 - likewise
    from target_eventgen.observe import relay_observers  # noqa: PLC0415 - likewise

    given = settings.parse(_with_environment(config))
    wanted = [each for each in relay_.wanted(given, os.environ) if not names or each.route.name in names]
    known = [route.name for route in given.routes]
    if unknown := [name for name in names if name not in known]:
        raise SettingsError([f'there is no publisher "{unknown[0]}"{nearest(unknown[0], known)}'])
    if not wanted:
        raise SettingsError(
            ["no publishers are configured: add some to `publishers`, such as {type: file, path: events.jsonl}"]
        )
    dsn = _database(database_url, config)
    wishes = relay_observers.Wishes(log_format, verbose=verbose, follows=follow, port=metrics_port, host=metrics_host)
    with relay_observers.watched(dsn, [each.route.name for each in wanted], wishes) as observer:
        carrier = relay_.Relay(
            dsn,
            wanted,
            patience=given.delivery_timeout,
            reconnect_seconds=given.reconnect_seconds,
            retention_days=given.retention_days,
            observer=observer,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stopping(carrier.stop))
        results = carrier.run(follow=follow)
    for result in results:
        click.echo(f"{result}.", err=True)
    if left := [result.complaint for result in results if result.left]:
        raise DeliveryError("; ".join(left))


@companions.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@_CONFIG
@_DATABASE
def status(*, as_json: bool, config: tuple[Path, ...], database_url: str | None) -> None:
    """Say how far delivery has come, by publisher and by event type."""
    from target_eventgen.delivery import status as status_  # noqa: PLC0415 - the other companions must not pay for it

    found = status_.read(_database(database_url, config))
    click.echo(json.dumps(status_.document(found), indent=2) if as_json else status_.text(found))


@events.command()
@click.option("--id", "ids", multiple=True, help="Only the event of this id; repeatable.")
@click.option(
    "--type", "types", multiple=True, help="Only events of this type; * stands for any characters; repeatable."
)
@click.option("--stream", "streams", multiple=True, help="Only events of this stream; likewise.")
@click.option("--key", "keys", multiple=True, help="Only events whose partitionkey is this; repeatable.")
@click.option("--since", help="Only events that were recorded at this instant or later, such as 2026-01-31T12:00Z.")
@click.option("--until", help="Only events that were recorded before this instant.")
@click.option("--all", "everything", is_flag=True, help="All events; needed where nothing else is given.")
@click.option("--publisher", "publishers", multiple=True, help="Only to this publisher; repeatable.")
@_CONFIG
@_DATABASE
def replay(  # noqa: PLR0913 - one argument an option
    *,
    ids: tuple[str, ...],
    types: tuple[str, ...],
    streams: tuple[str, ...],
    keys: tuple[str, ...],
    since: str | None,
    until: str | None,
    everything: bool,
    publishers: tuple[str, ...],
    config: tuple[Path, ...],
    database_url: str | None,
) -> None:
    """Have recorded events delivered again, with the same ids, to the publishers whose events they are.

    A relay delivers them. Those that are undelivered, or dead letters, are left as they are.
    """
    from target_eventgen.delivery import deliveries, redelivery  # noqa: PLC0415 - the other companions must not pay for it
    from target_eventgen.model import routes  # noqa: PLC0415 - the other companions must not pay for it

    chosen = deliveries.Chosen(
        ids or None, routes.patterns(types or None), routes.patterns(streams or None), keys or None, since, until
    )
    if chosen == deliveries.Chosen() and not everything:
        raise click.UsageError("Say which events to replay, such as --type order.paid --since 2026-01-31, or --all.")
    for name, number in redelivery.replay(_database(database_url, config), chosen, publishers).items():
        click.echo(f"{name}: {number} events are to be delivered again", err=True)


@companions.group("dead-letters")
def dead_letters() -> None:
    """Events that a receiver refused for good, or that have failed too often."""


_LETTERS = click.argument("letters", type=int, nargs=-1)
_OF_PUBLISHER = click.option("--publisher", help="Only those of this publisher.")
_OF_TYPES = click.option(
    "--type", "types", multiple=True, help="Only of this type; * stands for any characters; repeatable."
)
_ALL = click.option("--all", "everything", is_flag=True, help="All; needed where nothing else is given.")


@dead_letters.command("list")
@_LETTERS
@_OF_PUBLISHER
@_OF_TYPES
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@_CONFIG
@_DATABASE
def list_letters(  # noqa: PLR0913 - one argument an option
    *,
    letters: tuple[int, ...],
    publisher: str | None,
    types: tuple[str, ...],
    as_json: bool,
    config: tuple[Path, ...],
    database_url: str | None,
) -> None:
    """Print them, oldest first: number, when, publisher, type, subject, attempts, reason."""
    from target_eventgen.delivery import redelivery, status  # noqa: PLC0415 - the other companions must not pay for it

    found = redelivery.letters(_database(database_url, config), _chosen_letters(letters, publisher, types))
    if as_json:
        sys.stdout.writelines(json.dumps(asdict(letter), ensure_ascii=False) + "\n" for letter in found)
    elif found:
        rows = [
            (str(one.letter), one.died_at, one.publisher, one.type, one.subject, str(one.attempts), one.reason)
            for one in found
        ]
        header = ("LETTER", "DIED", "PUBLISHER", "TYPE", "SUBJECT", "ATTEMPTS", "REASON")
        click.echo("\n".join(status.columns([header, *rows])))
    else:
        click.echo("No dead letters.", err=True)


@dead_letters.command("retry")
@_LETTERS
@_OF_PUBLISHER
@_OF_TYPES
@_ALL
@_CONFIG
@_DATABASE
def retry_letters(  # noqa: PLR0913 - one argument an option
    *,
    letters: tuple[int, ...],
    publisher: str | None,
    types: tuple[str, ...],
    everything: bool,
    config: tuple[Path, ...],
    database_url: str | None,
) -> None:
    """Have them delivered after all, and what waits behind them; a relay does it."""
    from target_eventgen.delivery import redelivery  # noqa: PLC0415 - the other companions must not pay for it

    chosen = _chosen_letters(letters, publisher, types, everything=everything)
    click.echo(f"{redelivery.retry(_database(database_url, config), chosen)} dead letters are due again", err=True)


@dead_letters.command("drop")
@_LETTERS
@_OF_PUBLISHER
@_OF_TYPES
@_ALL
@_CONFIG
@_DATABASE
def drop_letters(  # noqa: PLR0913 - one argument an option
    *,
    letters: tuple[int, ...],
    publisher: str | None,
    types: tuple[str, ...],
    everything: bool,
    config: tuple[Path, ...],
    database_url: str | None,
) -> None:
    """Give them up, so that what waits behind them is delivered. The events stay in the outbox."""
    from target_eventgen.delivery import redelivery  # noqa: PLC0415 - the other companions must not pay for it

    chosen = _chosen_letters(letters, publisher, types, everything=everything)
    click.echo(f"{redelivery.drop(_database(database_url, config), chosen)} dead letters are dropped", err=True)


def _chosen_letters(
    letters: tuple[int, ...], publisher: str | None, types: tuple[str, ...], *, everything: bool = True
) -> LettersChosen:
    from target_eventgen.delivery import redelivery  # noqa: PLC0415 - the other companions must not pay for it
    from target_eventgen.model import routes  # noqa: PLC0415 - the other companions must not pay for it

    if not (letters or publisher or types or everything):
        raise click.UsageError("Say which dead letters: their numbers, --publisher, --type, or --all.")
    return redelivery.LettersChosen(letters or None, publisher, routes.patterns(types or None))


@companions.group()
def publishers() -> None:
    """The publishers that the database knows."""


@publishers.command()
@click.argument("name")
@click.confirmation_option(prompt="Forget the publisher with all that is undelivered to it, and its dead letters?")
@_CONFIG
@_DATABASE
def forget(name: str, config: tuple[Path, ...], database_url: str | None) -> None:
    """Forget one that is not configured any more, so that nothing is kept for it."""
    from target_eventgen.delivery import registration  # noqa: PLC0415 - the other companions must not pay for it

    registration.forget(_database(database_url, config), name)
    click.echo(f"The publisher {name} is forgotten.", err=True)


def _stopping(stop: Callable[[], None]) -> Callable[[int, Any], None]:
    """A handler of signals that ends at the next safe point, and the second time at once."""

    def handle(number: int, _: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop()

    return handle


def _anywhere(database_url: str | None, config: tuple[Path, ...]) -> str:
    """A Postgres that may be asked: the one that the target loads, else this folder's embedded one, made if need be."""
    try:
        return _database(database_url, config)
    except EventgenError:
        if embedded.exists() or isinstance(sys.exc_info()[1], SettingsError):
            raise
        return embedded.up()


def _with_environment(config: tuple[Path, ...]) -> dict[str, Any]:
    """The target's settings, from files and from the environment, as the target reads them."""
    from target_eventgen.target import TargetEventgen  # noqa: PLC0415 - the other companions must not pay for it

    target = TargetEventgen(config={"events": [], **_configured(config)}, parse_env_config=True)
    return dict(target.config)


def _patiently(found: Iterable[Recorded | None]) -> Iterator[Recorded | None]:
    for event in found:
        yield event
        if event is None:
            time.sleep(FOLLOW_SECONDS)


def _json_lines(found: Iterable[Recorded | None]) -> int:
    """Writes each event as a line of JSON, in UTF-8 as JSON is; how many there were."""
    from target_eventgen.publishers.cloudevent import cloud_event, json_line  # noqa: PLC0415 - the table has no use for it

    count = 0
    for event in found:
        if event is None:
            sys.stdout.flush()
        else:
            sys.stdout.buffer.write(json_line(cloud_event(event)))
            count += 1
    sys.stdout.flush()
    return count


def _table(found: Iterable[Recorded | None]) -> int:
    """Writes the events as a table, whose columns are as wide as the first rows need; how many there were."""
    from target_eventgen.cli import event_table  # noqa: PLC0415 - the lines of JSON have no use for it

    in_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if in_terminal else None
    marks = event_table.Marks() if _writable("→…") else event_table.ASCII
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # the stream that Python opens has it
    layout: event_table.Layout | None = None
    rows: list[tuple[str, str, str, str]] = []
    count = 0

    def write() -> None:
        nonlocal layout, rows
        if rows and layout is None:
            layout = event_table.layout(rows, width)
            header = layout.line(event_table.HEADER, marks)
            click.echo(click.style(header, bold=True) if in_terminal and not os.environ.get("NO_COLOR") else header)
        if layout is not None:
            sys.stdout.writelines(layout.line(row, marks) + "\n" for row in rows)
        sys.stdout.flush()
        rows = []

    for event in found:
        if event is not None:
            rows.append(event_table.row(event, marks))
            count += 1
        if event is None or len(rows) == _ROWS_AT_ONCE:
            write()
    write()
    return count


def _writable(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return True


def _database(database_url: str | None, config: tuple[Path, ...]) -> str:
    """The database that the target loads: the one that is named, else this folder's embedded one, started as needed.

    Meltano hands the target's settings to its commands as environment variables.
    """
    from target_eventgen.model import settings  # noqa: PLC0415 - `db` must not pay for it

    in_environment = {name: value for name in _PLACE if (value := os.environ.get(f"TARGET_EVENTGEN_{name.upper()}"))}
    for named in ({"database_url": database_url}, _configured(config), in_environment):
        if dsn := settings.parse({name: named.get(name) for name in _PLACE}).dsn:
            return dsn
    if not embedded.exists():
        raise EventgenError(
            f"There are no events here: no database is named, and {embedded.default_folder()} holds none. Work in the "
            "project's folder, or name the database with --database-url, --config or TARGET_EVENTGEN_DATABASE_URL."
        )
    return embedded.up()


def _configured(config: tuple[Path, ...]) -> dict[str, Any]:
    """The settings of the configuration files; a later file prevails."""
    merged: dict[str, Any] = {}
    for path in config:
        if str(path) != "ENV":  # the SDK's word for the environment
            merged |= _read(path)
    return merged


def _read(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_bytes())
    except OSError as error:
        raise SettingsError([f"the file {path} can't be read ({error.strerror})"]) from error
    except ValueError as error:
        raise SettingsError([f"the file {path} is not JSON ({error})"]) from error
    if not isinstance(settings, dict):
        raise SettingsError([f"the file {path} is not a JSON object"])
    return settings


def _target() -> None:
    """The Singer target under the SDK's own command line."""
    if sys.argv[1:] == ["--version"]:
        versions = tuple(importlib.metadata.version(name) for name in ("tap-restextract", "singer-sdk"))
        click.echo("target-eventgen v{}, Meltano SDK v{}".format(*versions))
        return
    from target_eventgen.target import TargetEventgen  # noqa: PLC0415 - the companions must not pay for it

    command: click.Command = TargetEventgen.cli
    command.epilog = "Companion commands: `target-eventgen db up|down|url|remove`, `target-eventgen events`, `target-eventgen rules check|try`."
    for option in command.params:
        if option.name == "config" and option.callback is not None:
            option.callback = _checking(option.callback)
    if command.callback is not None:
        command.callback = _telling(command.callback)  # within the SDK's, which would log the message
    command.main(prog_name="target-eventgen")


def _checking(callback: Callable[..., Any]) -> Callable[..., Any]:
    """The SDK's callback of --config, behind a look at the files."""

    def check(context: click.Context, option: click.Parameter, value: tuple[str, ...]) -> Any:
        _configured(tuple(map(Path, value)))
        return callback(context, option, value)

    return check


def _telling(callback: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def tell(*arguments: Any, **options: Any) -> Any:
        with _told():
            return callback(*arguments, **options)

    return tell


def _expected() -> tuple[type[Exception], ...]:
    """The errors that a person must act on: ours, and the SDK's where it is in use, whose import takes a quarter of a second."""
    if "singer_sdk" not in sys.modules:
        return (EventgenError,)
    from singer_sdk.exceptions import SingerSDKError  # noqa: PLC0415 - see above
    from singer_sdk.singerlib.exceptions import SingerError  # noqa: PLC0415 - likewise

    return (EventgenError, SingerSDKError, SingerError)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """An error that a person must act on becomes one message and exit status 1."""
    try:
        yield
    except _expected() as error:
        faults = getattr(error, "errors", None)
        message = str(error) if isinstance(error, EventgenError) or not faults else "; ".join(faults)
        click.echo(f"Error: {message}", err=True)
        raise SystemExit(1) from error
    except OSError as error:
        place = error.filename or "a file, or standard output"
        click.echo(f"Error: {place}: {error.strerror or type(error).__name__}", err=True)
        raise SystemExit(1) from error
    except KeyboardInterrupt as error:  # before anything has begun: later on, handlers of signals are in place
        raise SystemExit(130) from error
