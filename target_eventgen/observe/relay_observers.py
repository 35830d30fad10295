"""The observers of a relay that was started as a command: its log, its progress, its metrics."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Iterator, Sequence

from msgspec import Struct

from target_eventgen.delivery import status
from target_eventgen.delivery.decisions import Verdict
from target_eventgen.delivery.observer import Observer
from target_eventgen.observe import logs, metrics, progress
from target_eventgen.observe.tallies import Tallies
from target_eventgen.publishers.cloudevent import CloudEvent

logger = logging.getLogger("target-eventgen")


class RelayOptions(Struct, frozen=True):
    """The options of a relay's observers.

    Attributes:
        log: the log's format, text or json.
        verbose: whether mere deliveries are logged, too.
        follows: whether the relay follows the outbox, so that there is no progress to show.
        port: where metrics are served; None: nowhere.
        host: the address to serve metrics at.
    """

    log: str = "text"
    verbose: bool = False
    follows: bool = False
    port: int | None = None
    host: str = "127.0.0.1"


class Together(Observer):
    """Passes everything on to several observers."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def called(self, publisher: str, seconds: float, events: Sequence[CloudEvent]) -> None:
        """Take note of a call of a publisher that ended."""
        for each in self._observers:
            each.called(publisher, seconds, events)

    def settled(self, publisher: str, verdicts: Sequence[Verdict]) -> None:
        """Take note of verdicts that are marked and committed."""
        for each in self._observers:
            each.settled(publisher, verdicts)

    def unreachable(self, publisher: str) -> None:
        """Take note of a receiver that was not reached."""
        for each in self._observers:
            each.unreachable(publisher)


@contextlib.contextmanager
def watched(dsn: str, publishers: Sequence[str], options: RelayOptions) -> Iterator[Observer]:
    """Yield the observer that a relay is to call.

    Raises:
        SettingsError: metrics can't be served.
        ConnectionLostError: the database can't be reached.
    """
    with contextlib.ExitStack() as stack:
        observers: list[Observer] = [logs.LogObserver()]
        if not options.follows:
            standing = {each.publisher: each.backlog for each in status.read(dsn).publishers}
            backlog = {name: standing[name] for name in publishers if name in standing}
            observers.append(stack.enter_context(progress.shown({} if options.log == "json" else backlog)))
        logs.configure(options.log, verbose=options.verbose)  # after a bar, which takes care of all other output
        if options.port is not None:
            tallies = Tallies()
            observers.append(metrics.Meter(tallies))
            look = functools.partial(status.read, dsn)
            port = stack.enter_context(metrics.served(tallies, options.host, options.port, look))
            logger.info("Metrics are served at http://%s:%d/metrics", options.host, port)
        yield Together(observers)
