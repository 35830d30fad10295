"""Durations: 30d and P30D are the same wherever a setting is one, and what is neither is told with what to write."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_restextract.config.durations import DURATION, DURATION_OR_NUMBER, plain_duration
from tap_restextract.config.reading import read_settings
from tap_restextract.config.streams import StreamSettings
from tap_restextract.errors import ConfigurationError
from tap_restextract.values.cursor import precision_of

pytestmark = pytest.mark.pure

URL = "https://api.example.com/v1"
FEED = {"path": "/events", "types": ["*"], "incremental": {"cursor_path": "id"}}


def one(top: dict[str, Any] | None = None, **keys: Any) -> StreamSettings:
    """The settings of a single stream."""
    (only,) = read_settings({"base_url": URL, **(top or {}), "streams": [{"name": "a", "path": "/a", **keys}]})
    return only


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("P1D", "1d"), ("P7d", "7d"), ("7D", "7d"), ("P2W", "14d"), ("PT5M", "5m"), ("PT5m", "5m"), ("PT1H30M", "90m"), ("P1DT12H", "36h"),
        ("PT90S", "90s"), ("PT0.5S", "500ms"), ("PT0,000001S", "1us"), ("PT0S", "0s"), ("P1WT1S", "604801s"), ("30d", "30d"),
        ("5", "5"), (300, 300), (None, None), ("P", "P"), ("P1DT", "P1DT"), ("PT", "PT"), ("P1M", "P1M"), ("P1Y", "P1Y"), ("P-1D", "P-1D"),
        ("P" + "9" * 5000 + "D", "P" + "9" * 5000 + "D"),
    ],
)  # fmt: skip
def test_an_iso_duration_becomes_a_whole_number_of_one_unit(written: Any, plain: Any) -> None:
    assert plain_duration(written) == plain


@given(
    weeks=st.integers(0, 9),
    days=st.integers(0, 99),
    hours=st.integers(0, 99),
    minutes=st.integers(0, 99),
    seconds=st.integers(0, 99),
)
def test_both_notations_are_the_same_time(weeks: int, days: int, hours: int, minutes: int, seconds: int) -> None:
    written = f"P{weeks}W{days}DT{hours}H{minutes}M{seconds}S"
    assert re.fullmatch(DURATION, written)
    assert re.fullmatch(DURATION, plain_duration(written))
    assert precision_of(plain_duration(written)) == (weeks * 7 + days) * 86_400 + hours * 3600 + minutes * 60 + seconds


@pytest.mark.parametrize(("written", "plain"), [("P1D", "1d"), ("PT5M", "5m"), ("1d", "1d")])
def test_every_setting_that_is_a_duration_takes_both(written: str, plain: str) -> None:
    for name in ("precision", "lag", "step", "lookback"):
        facts = {"cursor_path": "at", name: written}
        for settings in (one(incremental=facts), one({"incremental": facts})):
            assert getattr(settings.incremental, name) == plain
    assert one(sweep_every=written).sweep_every == plain
    assert one({"sweep_every": written}).sweep_every == plain
    feed = one(feed={**FEED, "retention": written, "incremental": {"cursor_path": "id", "lag": written}}).feed
    assert feed is not None
    assert (feed.retention, feed.incremental.lag) == (plain, plain)


@pytest.mark.parametrize("name", ["step", "precision"])
def test_a_bare_number_is_one_of_the_keys_own_unit_where_that_may_be_meant(name: str) -> None:
    for written in (300, "300"):
        assert getattr(one(incremental={"cursor_path": "id", name: written}).incremental, name) == "300"


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"incremental": {"cursor_path": "at", "lookback": 300}}, "a.incremental.lookback: 300 is not of this setting's form. How far before the bookmark each run reads again: 1h. A bare number has no unit: write 300s for seconds"),
        ({"incremental": {"cursor_path": "at", "lag": "300"}}, "A bare number has no unit: write 300s for seconds"),
        ({"sweep_every": 3600}, "sweep_every: 3600 is not of this setting's form."),
        ({"incremental": {"cursor_path": "at", "lag": 1.5}}, "Write a whole number of a unit: 1500ms"),
        ({"incremental": {"cursor_path": "at", "step": "P1M"}}, "Months and years have no fixed length: write days, such as 30d or P30D"),
        ({"sweep_every": "P1Y"}, "Months and years have no fixed length"),
        ({"incremental": {"cursor_path": "at", "step": "1 d"}}, "'1 d' is not of this setting's form. Length of the time ranges that a backfill is cut into: 30d."),
        ({"incremental": {"cursor_path": "at", "step": True}}, "step: True is not of this setting's form"),
        ({"incremental": {"cursor_path": "at", "step": -5}}, "step: -5 is not of this setting's form"),
        ({"feed": {**FEED, "retention": "P"}}, "retention: 'P' is not of this setting's form"),
    ],
)  # fmt: skip
def test_what_is_no_duration_is_told_with_what_to_write(keys: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        one(**keys)
    assert told in str(caught.value)


def test_a_given_configuration_is_not_changed() -> None:
    facts = {"cursor_path": "at", "lag": "PT5M", "step": 5}
    one({"sweep_every": "P1W"}, incremental=facts)
    assert facts == {"cursor_path": "at", "lag": "PT5M", "step": 5}


def test_patterns_are_whole() -> None:
    for pattern in (DURATION, DURATION_OR_NUMBER):
        assert not re.search(pattern, "x1d")
        assert not re.search(pattern, "1dx")
    assert re.search(DURATION_OR_NUMBER, "5")
    assert not re.search(DURATION, "5")
