"""A long list with wide ties is read in little memory, little STATE, and hardly a request more than its pages."""

from __future__ import annotations

from pathlib import Path
from subprocess import Popen
from sys import executable

import pytest

from proofs.backfill.api import Shape, first, page, stamp
from proofs.backfill.measure import MOST_MEMORY, MOST_STATE, WALKS, Peak, backfill, least
from tests.support.waiting import wait_until

SMALL = Shape(records=50_000, ties=5000, page=250)


@pytest.mark.parametrize("walk", WALKS)
def test_a_backfill_takes_little_memory_little_state_and_no_more_requests_than_it_must(
    tmp_path: Path, walk: str
) -> None:
    found = backfill(walk, SMALL, tmp_path)
    assert (found.records, found.distinct) == (SMALL.records, SMALL.records)
    assert found.memory < MOST_MEMORY
    assert found.state < MOST_STATE
    assert found.requests <= 1.01 * least(SMALL)


def test_a_compound_walk_of_a_list_that_stood_still_brings_nothing_again(tmp_path: Path) -> None:
    before = backfill("compound keyset", SMALL, tmp_path / "before")
    after = backfill("compound keyset", SMALL, tmp_path / "after", before.last)
    assert (after.records, after.requests) == (0, 1)


def test_the_list_answers_after_a_record_and_from_a_timestamp_on() -> None:
    shape = Shape(records=10, ties=3, page=4)
    assert [stamp(shape, index)[-3:-1] for index in range(5)] == ["00", "00", "00", "01", "01"]
    assert first(shape, stamp(shape, 4)) == 3
    assert first(shape, None) == 0
    assert page(shape, 8).count('"id":') == 2


def test_the_peak_of_a_process_that_takes_much_memory_is_seen() -> None:
    code = "import time; taken = b'x' * 200_000_000; del taken; time.sleep(60)"
    with Popen([executable, "-c", code]) as process:
        peak = Peak(process.pid)
        peak.start()
        wait_until(lambda: peak.kibibytes >= 190_000, what="190 MB")
        process.kill()
    peak.join()
    assert peak.kibibytes > MOST_MEMORY
