from __future__ import annotations

import json
from typing import Any

import pytest

from target_eventgen.cli import event_table
from target_eventgen.cli.event_table import ASCII, Marks
from tests.support.messages import recorded

pytestmark = pytest.mark.pure

MARKS = Marks()


def told(old: Any, new: Any, changed: list[str] | None = None) -> str:
    return event_table.change(json.dumps({"old": old, "new": new, "changed": changed or []}), MARKS)


def test_a_change_shows_the_changed_columns_old_and_new() -> None:
    old, new = {"id": 1, "value": 9000, "plan": "basic"}, {"id": 1, "value": 11000, "plan": "pro"}
    assert told(old, new, ["value", "plan"]) == "value 9000 → 11000, plan basic → pro"


def test_a_change_without_a_list_of_columns_is_found_by_comparing() -> None:
    assert told({"id": 1, "value": 1}, {"id": 1, "value": None}) == "value 1 → null"


def test_a_first_version_is_shown_as_created_with_its_values() -> None:
    assert told(None, {"id": 1, "plan": "pro", "ended": None}) == "created: id 1, plan pro"


def test_a_last_version_is_shown_as_deleted_with_its_values() -> None:
    assert told({"id": 1}, None) == "deleted: id 1"


def test_columns_about_the_load_are_not_shown() -> None:
    old, new = {"value": 1, "_sdc_sequence": 1}, {"value": 2, "_sdc_sequence": 2}
    assert told(old, new, ["value", "_sdc_sequence"]) == "value 1 → 2"
    assert told(None, new) == "created: value 2"


def test_numbers_keep_every_digit() -> None:
    data = '{"old": {"v": 9000.10}, "new": {"v": 123456789012345678901234567890.12}, "changed": ["v"]}'
    assert event_table.change(data, MARKS) == "v 9000.10 → 123456789012345678901234567890.12"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("two words", "two words"),
        ("", '""'),
        (" padded", '" padded"'),
        ("null", '"null"'),
        ("true", '"true"'),
        ("a, b", '"a, b"'),
        ("line\nbreak", '"line\\nbreak"'),
        ("\x1b[2Jclear", '"\\u001b[2Jclear"'),
        (None, "null"),
        (True, "true"),
        ({"a": [1, "é"]}, '{"a":[1,"é"]}'),
    ],
)
def test_a_value_is_shown_so_that_it_is_not_mistaken(value: Any, shown: str) -> None:
    assert event_table.cell(value) == shown


def test_control_characters_in_a_type_or_subject_do_not_reach_the_terminal() -> None:
    cells = event_table.row(recorded(type="a\x1b[31m", subject="s/\n1"), MARKS)
    assert all(cell.isprintable() for cell in cells)


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        ("2026-01-01T00:00:05.000000Z", "2026-01-01 00:00:05"),
        ("2026-01-01T00:00:05.120000Z", "2026-01-01 00:00:05.120"),
        ("2026-01-01T00:00:05.123456Z", "2026-01-01 00:00:05.123456"),
        (None, ""),
    ],
)
def test_a_time_is_shown_as_far_as_it_is_not_zero(time: str | None, shown: str) -> None:
    assert event_table.row(recorded(time=time), MARKS)[0] == shown


def test_columns_line_up_and_nothing_is_shortened_without_a_terminal() -> None:
    rows = [event_table.row(recorded(type="a.b" * 50), MARKS), event_table.row(recorded(), MARKS)]
    layout = event_table.layout(rows, None)
    lines = [layout.line(cells, MARKS) for cells in rows]
    assert lines[0].index("value 9000 → 11000") == lines[1].index("value 9000 → 11000")
    assert "a.b" * 50 in lines[0]


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("marks", [MARKS, ASCII])
def test_no_line_is_wider_than_the_terminal(width: int, marks: Marks) -> None:
    wide: dict[str, Any] = {"old": None, "new": {"name": "日本語テキスト" * 20}, "changed": []}
    rows = [
        event_table.row(recorded(), marks),
        event_table.row(recorded(wide, subject="subscriptions/" + "é" * 90), marks),
    ]
    layout = event_table.layout(rows, width)
    for cells in [event_table.HEADER, *rows]:
        assert event_table.cells_of(layout.line(cells, marks)) <= width


def test_a_terminal_of_80_cells_shows_the_telling_ends_of_type_and_subject_and_the_whole_change() -> None:
    cells = event_table.row(recorded(), MARKS)
    line = event_table.layout([cells], 80).line(cells, MARKS)
    assert line.endswith("value 9000 → 11000")
    assert "passed_10000 " in line
    assert "/42 " in line


def test_wide_and_combining_characters_are_counted_as_cells() -> None:
    assert event_table.cells_of("日本") == 4
    assert event_table.cells_of("e\u0301") == 1
    assert event_table.shortened("日本語", 5, MARKS) == "日本…"
    assert event_table.shortened_left("日本語", 5, MARKS) == "…本語"
