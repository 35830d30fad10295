from __future__ import annotations

import pytest

from target_eventgen.observe.tallies import BUCKETS, Distribution, Tallies

pytestmark = pytest.mark.pure


def test_counters_add_up_by_their_labels() -> None:
    tallies = Tallies()
    tallies.add("eventgen_records", "orders", number=3)
    tallies.add("eventgen_records", "orders")
    tallies.add("eventgen_records", "customers", number=2)
    assert sorted(tallies.numbers("eventgen_records")) == [(("customers",), 2), (("orders",), 4)]


def test_a_metric_that_is_not_known_or_has_other_labels_is_a_fault() -> None:
    tallies = Tallies()
    with pytest.raises(KeyError):
        tallies.add("eventgen_recrods", "orders")
    with pytest.raises(AssertionError):
        tallies.add("eventgen_records")
    with pytest.raises(AssertionError):
        tallies.put("eventgen_records", "orders", value=1)


def test_an_observation_counts_in_the_first_bucket_that_covers_it() -> None:
    value = Distribution()
    for seconds in (0.0, BUCKETS[0], BUCKETS[0] + 0.0001, BUCKETS[-1], BUCKETS[-1] + 1):
        value = value.with_one(seconds)
    assert value.counts[0] == 2
    assert value.counts[1] == 1
    assert value.counts[-2:] == (1, 1)
    assert sum(value.counts) == 5
    assert value.total == pytest.approx(2 * BUCKETS[0] + 0.0001 + 2 * BUCKETS[-1] + 1)
