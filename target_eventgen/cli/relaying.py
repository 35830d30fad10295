"""What `target-eventgen relay` does, apart from its options: `relay --help` needs none of these imports."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from target_eventgen.cli import configuration, singer_target
from target_eventgen.delivery.configured import configured_publishers
from target_eventgen.delivery.relay import Relay
from target_eventgen.delivery.result import complaints_of
from target_eventgen.errors import DeliveryError, SettingsError
from target_eventgen.model import settings
from target_eventgen.model.spelling import nearest
from target_eventgen.observe import relay_observers


def relay(  # noqa: PLR0913  one argument an option
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
    """Deliver recorded events to the configured publishers, and say what was delivered.

    Raises:
        SettingsError: a publisher is not configured, or none is.
        DeliveryError: events are left for later, or became dead letters and `on_delivery_failure` is `fail`.
    """
    given = settings.parse(singer_target.settings(config))
    wanted = [each for each in configured_publishers(given, os.environ) if not names or each.route.name in names]
    known = [route.name for route in given.routes]
    if unknown := [name for name in names if name not in known]:
        raise SettingsError([f'there is no publisher "{unknown[0]}"{nearest(unknown[0], known)}'])
    if not wanted:
        raise SettingsError(
            ["no publishers are configured: add some to `publishers`, such as {type: file, path: events.jsonl}"]
        )
    dsn = configuration.database(database_url, config)
    relay_options = relay_observers.RelayOptions(
        log_format, verbose=verbose, follows=follow, port=metrics_port, host=metrics_host
    )
    with relay_observers.watched(dsn, [each.route.name for each in wanted], relay_options) as observer:
        running = Relay(
            dsn,
            wanted,
            patience=given.delivery_timeout,
            reconnect_seconds=given.reconnect_seconds,
            retention_days=given.retention_days,
            source=given.source_in,
            observer=observer,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stopping(running.stop))
        results = running.run(follow=follow)
    for result in results:
        click.echo(f"{result}.", err=True)
        if result.dead:
            click.echo(f"Warning: {result.warning}.", err=True)
    if complaints := complaints_of(results, dead_too=given.fails_undelivered):
        raise DeliveryError("; ".join(complaints))


def _stopping(stop: Callable[[], None]) -> Callable[[int, Any], None]:
    """Return a handler of signals that ends the relay at its next safe point, and the second time at once."""

    def handle(number: int, _: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop()

    return handle
