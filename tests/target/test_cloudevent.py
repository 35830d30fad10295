from __future__ import annotations

import json
import re
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest

from target_eventgen.model.recorded import Recorded
from target_eventgen.publishers.cloudevent import cloud_event, json_line
from tests.support.messages import recorded

pytestmark = pytest.mark.pure


event = partial(recorded, data='{"new": {"v": 9000.10}, "old": null, "changed": []}')


def parsed(one: Recorded) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(json_line(cloud_event(one)))
    return result


@pytest.mark.parametrize("time", ["2026-01-01T00:00:05.000000Z", None])
def test_every_attribute_obeys_the_specification(time: str | None) -> None:
    attributes = parsed(event(time=time))
    assert {"specversion", "id", "source", "type"} <= attributes.keys()
    data = attributes.pop("data")
    assert data["new"] == {"v": 9000.10}
    for name, value in attributes.items():
        assert re.fullmatch("[a-z0-9]{1,20}", name)
        assert isinstance(value, str), name
        assert value, name
    assert attributes["specversion"] == "1.0"
    assert attributes["datacontenttype"] == "application/json"
    assert urlsplit(attributes["source"]).geturl() == attributes["source"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", attributes.get("time", "2026-01-01T00:00:00Z"))
    assert ("time" in attributes) is (time is not None)


def test_sequences_sort_as_text_in_the_order_of_their_numbers() -> None:
    numbers = [1, 9, 10, 99, 2**31, 2**63 - 1]
    texts = [parsed(event(sequence=number))["sequence"] for number in numbers]
    assert texts == sorted(texts)
    assert [int(text) for text in texts] == numbers


def test_the_data_come_out_digit_for_digit() -> None:
    assert b'"v": 9000.10' in json_line(cloud_event(event()))


def test_an_event_is_one_line_whatever_it_contains() -> None:
    line = json_line(cloud_event(event(subject="orders/a\nb", data='{"new": {"v": "a\\nb"}}')))
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
