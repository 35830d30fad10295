"""What is counted of loading and delivering: the metrics by name, and their values.

A target lives for one load. So that its counters go on where the last load ended, they are plain numbers which can be
written out and taken up again; see `metrics`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from msgspec import Struct


class Family(Struct, frozen=True):
    """A metric.

    Attributes:
        name: without the endings that its kind adds (`_total`, `_bucket`, …).
        kind: counter, gauge or histogram.
        help: what it is.
        labels: the names of its labels.
    """

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()


FAMILIES: Final = (
    Family("eventgen_records", "counter", "Records that were committed.", ("stream",)),
    Family("eventgen_stale_records", "counter", "Records dropped, being older than their rows.", ("stream",)),
    Family("eventgen_invalid_records", "counter", "Records that went to eventgen.invalid_records.", ("stream",)),
    Family("eventgen_transitions", "counter", "Rows that were created, or got other content.", ("stream", "kind")),
    Family("eventgen_events_recorded", "counter", "Events recorded, by the rule's type.", ("stream", "type")),
    Family("eventgen_events_held", "counter", "Events held by a guard, by the rule's type.", ("stream", "type")),
    Family("eventgen_checkpoint_seconds", "histogram", "Time of a checkpoint, from its first statement to its commit."),
    Family(
        "eventgen_lock_wait_seconds", "histogram", "Time until all rows of a stream's batch are locked.", ("stream",)
    ),
    Family("eventgen_runs", "counter", "Runs of the target that have ended.", ("result",)),
    Family("eventgen_last_commit_timestamp_seconds", "gauge", "When a checkpoint was last committed, since 1970."),
    Family(
        "eventgen_publish_seconds",
        "histogram",
        "Time of a publisher's call, until all is acknowledged.",
        ("publisher",),
    ),
    Family(
        "eventgen_published_events", "counter", "Events given to a publisher, whatever became of them.", ("publisher",)
    ),
    Family("eventgen_delivered_events", "counter", "Events that a receiver acknowledged.", ("publisher", "type")),
    Family("eventgen_delivery_retries", "counter", "Events that failed and are to be tried again.", ("publisher",)),
    Family("eventgen_dead_letters", "counter", "Events that became dead letters.", ("publisher",)),
    Family("eventgen_unreachable", "counter", "Calls in which a receiver was not reached.", ("publisher",)),
)

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of a histogram's buckets, in seconds."""

BY_NAME: Final[Mapping[str, Family]] = MappingProxyType({family.name: family for family in FAMILIES})

Key: TypeAlias = tuple[str, tuple[str, ...]]
"""A metric's name and the values of its labels."""


class Distribution(Struct, frozen=True):
    """A histogram's value: how many observations were at most each bound, and beyond, and the sum of all."""

    counts: tuple[int, ...] = (0,) * (len(BUCKETS) + 1)
    total: float = 0.0

    def with_one(self, seconds: float) -> Distribution:
        """Return the value with one more observation."""
        index = next((index for index, bound in enumerate(BUCKETS) if seconds <= bound), len(BUCKETS))
        counts = (*self.counts[:index], self.counts[index] + 1, *self.counts[index + 1 :])
        return Distribution(counts, self.total + seconds)


class Tallies:
    """The values of all metrics. Several threads may add to them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[Key, float] = {}
        self._distributions: dict[Key, Distribution] = {}

    def add(self, name: str, *labels: str, number: float = 1) -> None:
        """Add to a counter."""
        key = self._key(name, labels, "counter")
        with self._lock:
            self._numbers[key] = self._numbers.get(key, 0) + number

    def put(self, name: str, *labels: str, value: float) -> None:
        """Set a gauge."""
        key = self._key(name, labels, "gauge")
        with self._lock:
            self._numbers[key] = value

    def observe(self, name: str, *labels: str, seconds: float) -> None:
        """Add an observation to a histogram."""
        key = self._key(name, labels, "histogram")
        with self._lock:
            self._distributions[key] = self._distributions.get(key, Distribution()).with_one(seconds)

    def take_up(self, numbers: Iterable[tuple[Key, float]], distributions: Iterable[tuple[Key, Distribution]]) -> None:
        """Go on from values that were written out."""
        with self._lock:
            self._numbers |= dict(numbers)
            self._distributions |= dict(distributions)

    def numbers(self, name: str) -> list[tuple[tuple[str, ...], float]]:
        """Return the values of a counter or gauge, by its labels' values."""
        with self._lock:
            return [(labels, value) for (each, labels), value in self._numbers.items() if each == name]

    def distributions(self, name: str) -> list[tuple[tuple[str, ...], Distribution]]:
        """Return the values of a histogram, by its labels' values."""
        with self._lock:
            return [(labels, value) for (each, labels), value in self._distributions.items() if each == name]

    @staticmethod
    def _key(name: str, labels: tuple[str, ...], kind: str) -> Key:
        family = BY_NAME[name]
        assert family.kind == kind, name
        assert len(family.labels) == len(labels), name
        return name, labels
