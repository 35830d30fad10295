"""Metrics in Prometheus text format: over HTTP for a relay, which stays, and in a file for a target, which ends.

Theory of operation. The file is for node_exporter's textfile collector. Its counters go on over the runs that write it:
a run takes up what is there, adds to it, and replaces the file by a rename, so that no reader sees a half.
Two runs that write one file at a time lose the numbers of one of them; give each pipeline a file of its own.

The delivery status (backlog, age) is read from Postgres when somebody asks for the metrics.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from target_eventgen.delivery import status
from target_eventgen.delivery.decisions import Again, Dead, Done, Verdict
from target_eventgen.delivery.observer import Observer
from target_eventgen.errors import EventgenError, SettingsError
from target_eventgen.model.checkpoint import Outcome
from target_eventgen.observe.tallies import BUCKETS, BY_NAME, FAMILIES, Distribution, Key, Tallies
from target_eventgen.publishers.cloudevent import CloudEvent

if TYPE_CHECKING:
    from prometheus_client.core import Metric

STATES: Final = ("due", "waiting", "retrying")
"""Of undelivered events."""

logger = logging.getLogger("target-eventgen")


def library() -> Any:
    """Import prometheus_client.

    Raises:
        SettingsError: it is not installed.
    """
    try:
        import prometheus_client  # noqa: PLC0415  an extra that most runs don't need
        import prometheus_client.core  # noqa: PLC0415
        import prometheus_client.parser  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(
            ["metrics need prometheus-client, which is not installed: pip install 'tap-restextract[metrics]'"]
        ) from error
    return prometheus_client


def committed(tallies: Tallies, outcomes: Sequence[Outcome], seconds: float) -> None:
    """Count a checkpoint that was committed."""
    for outcome in outcomes:
        for name, number in (
            ("eventgen_records", outcome.records),
            ("eventgen_stale_records", outcome.stale),
            ("eventgen_invalid_records", outcome.rejected),
        ):
            tallies.add(name, outcome.stream, number=number)
        tallies.add("eventgen_transitions", outcome.stream, "created", number=outcome.created)
        tallies.add("eventgen_transitions", outcome.stream, "changed", number=outcome.updated)
        for type_, number in outcome.types.items():
            tallies.add("eventgen_events_recorded", outcome.stream, type_, number=number)
        for type_, number in outcome.held.items():
            tallies.add("eventgen_events_held", outcome.stream, type_, number=number)
        if outcome.lock_seconds is not None:
            tallies.observe("eventgen_lock_wait_seconds", outcome.stream, seconds=outcome.lock_seconds)
    tallies.observe("eventgen_checkpoint_seconds", seconds=seconds)
    tallies.put("eventgen_last_commit_timestamp_seconds", value=time.time())


class Meter(Observer):
    """Counts what a relay does."""

    def __init__(self, tallies: Tallies) -> None:
        self._tallies = tallies

    def called(self, publisher: str, seconds: float, events: Sequence[CloudEvent]) -> None:
        """Take note of a call of a publisher that ended."""
        self._tallies.observe("eventgen_publish_seconds", publisher, seconds=seconds)
        self._tallies.add("eventgen_published_events", publisher, number=len(events))

    def settled(self, publisher: str, verdicts: Sequence[Verdict]) -> None:
        """Take note of verdicts that are marked and committed."""
        for verdict in verdicts:
            match verdict:
                case Done(item):
                    self._tallies.add("eventgen_delivered_events", publisher, item.event.type)
                case Again():
                    self._tallies.add("eventgen_delivery_retries", publisher)
                case Dead():
                    self._tallies.add("eventgen_dead_letters", publisher)

    def unreachable(self, publisher: str) -> None:
        """Take note of a receiver that was not reached."""
        self._tallies.add("eventgen_unreachable", publisher)


class Collector:
    """Gives Prometheus' library the values, each time that it asks."""

    def __init__(self, tallies: Tallies, look: Callable[[], status.Status] | None = None) -> None:
        """Take the values, and a function that reads the delivery status."""
        self._tallies = tallies
        self._look = look

    def collect(self) -> Iterator[Metric]:
        """Yield each metric that has a value."""
        core = library().core
        kinds = {"counter": core.CounterMetricFamily, "gauge": core.GaugeMetricFamily}
        for family in FAMILIES:
            if family.kind == "histogram":
                histogram = core.HistogramMetricFamily(family.name, family.help, labels=family.labels)
                for labels, value in sorted(self._tallies.distributions(family.name)):
                    histogram.add_metric(labels, _cumulative(value), value.total)
                yield histogram
            else:
                metric = kinds[family.kind](family.name, family.help, labels=family.labels)
                for labels, number in sorted(self._tallies.numbers(family.name)):
                    metric.add_metric(labels, number)
                yield metric
        if self._look is not None:
            yield from self._standing(core)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: so that a collector is registered without asking Postgres."""
        return ()

    def _standing(self, core: Any) -> Iterator[Metric]:
        assert self._look is not None
        try:
            current = self._look()
        except EventgenError as error:
            logger.warning("Metrics of the backlog are left out: %s", error)
            return
        backlog = core.GaugeMetricFamily(
            "eventgen_undelivered_events", "Events that are still to be delivered.", labels=("publisher", "state")
        )
        oldest = core.GaugeMetricFamily(
            "eventgen_oldest_undelivered_seconds",
            "Since the oldest of them was recorded; 0: none.",
            labels=("publisher",),
        )
        dead = core.GaugeMetricFamily(
            "eventgen_dead_letters_now", "Dead letters that nobody has decided on.", labels=("publisher",)
        )
        for each in current.publishers:
            for state in STATES:
                backlog.add_metric((each.publisher, state), getattr(each, state))
            oldest.add_metric((each.publisher,), each.oldest_seconds or 0)
            dead.add_metric((each.publisher,), each.dead_letters)
        held = core.GaugeMetricFamily(
            "eventgen_held_events_now",
            "Events that a guard holds (held), and that wait for these (waiting).",
            labels=("state",),
        )
        held.add_metric(("held",), current.held.held)
        held.add_metric(("waiting",), current.held.waiting)
        yield from (backlog, oldest, dead, held)


def _cumulative(value: Distribution) -> list[tuple[str, float]]:
    below = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip((*map(str, BUCKETS), "+Inf"), value.counts, strict=True):
        below += count
        buckets.append((bound, below))
    return buckets


@contextmanager
def served(tallies: Tallies, host: str, port: int, look: Callable[[], status.Status] | None) -> Iterator[int]:
    """Serve the metrics over HTTP meanwhile; yield the port, which the system chooses where 0 is asked for.

    Raises:
        SettingsError: the port can't be had, or prometheus-client is not installed.
    """
    client = library()
    registry = client.CollectorRegistry(auto_describe=False)
    registry.register(Collector(tallies, look))
    try:
        server, thread = client.start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise SettingsError(
            [f"metrics can't be served at {host}:{port} ({error.strerror}); choose another --metrics-port"]
        ) from error
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def write(tallies: Tallies, path: Path) -> None:
    """Write the metrics into a file, whole or not at all.

    Raises:
        SettingsError: the file can't be written, or prometheus-client is not installed.
    """
    client = library()
    registry = client.CollectorRegistry(auto_describe=False)
    registry.register(Collector(tallies))
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(client.generate_latest(registry))
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise SettingsError([f"metrics_textfile: {path} can't be written ({error.strerror})"]) from error


def read(tallies: Tallies, path: Path) -> None:
    """Take up the values of a file that an earlier run has written; a file of another form is ignored.

    Raises:
        SettingsError: prometheus-client is not installed.
    """
    client = library()
    numbers: list[tuple[Key, float]] = []
    distributions: dict[Key, dict[str, float]] = {}
    try:
        families = list(client.parser.text_string_to_metric_families(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, IndexError):
        return
    for metric in families:
        family = BY_NAME.get(metric.name)
        if family is None or family.kind != metric.type:
            continue
        for sample in metric.samples:
            if set(sample.labels) - {"le"} != set(family.labels):
                continue
            key = (family.name, tuple(sample.labels[label] for label in family.labels))
            if family.kind == "histogram":
                ending = sample.name.removeprefix(family.name)
                distributions.setdefault(key, {})[sample.labels.get("le", ending)] = sample.value
            elif sample.name in {family.name, f"{family.name}_total"}:
                numbers.append((key, sample.value))
    tallies.take_up(
        numbers, [(key, distribution) for key, each in distributions.items() if (distribution := _read(each))]
    )


def _read(samples: dict[str, float]) -> Distribution | None:
    """Return a histogram's value; None where its buckets are not ours."""
    bounds = [*map(str, BUCKETS), "+Inf"]
    if not {*bounds, "_sum"} <= set(samples):
        return None
    below = [int(samples[bound]) for bound in bounds]
    counts = tuple(now - before for now, before in zip(below, [0, *below], strict=False))
    return Distribution(counts, samples["_sum"])
