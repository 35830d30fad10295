"""Files of events: whole lines, whatever dies; and how publishers are made of their settings."""

from __future__ import annotations

import importlib.metadata
import os
import threading
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import msgspec
import pytest

from target_eventgen import publishers
from target_eventgen.errors import SettingsError, UnreachableError
from target_eventgen.publishers.cloudevent import json_line
from target_eventgen.publishers.protocol import Delivered, Publisher, Secret
from tests.support.messages import event
from tests.support.relaying import lines_of

pytestmark = pytest.mark.in_process


def opened(path: Path, **settings: Any) -> Publisher:
    return publishers.open_publisher("log", "file", {"path": str(path), **settings})


def numbers(*paths: Path) -> list[int]:
    return [int(each.sequence) for each in lines_of(*paths)]


def test_events_are_lines_after_those_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "events.jsonl"
    for first in (0, 2):
        publisher = opened(path)
        assert publisher.publish([event(first), event(first + 1, data={"note": "a\nb"})]) == [Delivered(), Delivered()]
        publisher.close()
    assert numbers(path) == [0, 1, 2, 3]
    assert path.stat().st_mode & 0o007 == 0


@pytest.mark.parametrize("torn", [1, 40, 200_000])
def test_a_line_that_a_crash_left_half_written_is_cut_off(tmp_path: Path, torn: int) -> None:
    path = tmp_path / "events.jsonl"
    whole = json_line(event(0))
    path.write_bytes(whole + json_line(event(1, size=300_000))[:torn])
    opened(path).publish([event(2)])
    assert path.read_bytes() == whole + json_line(event(2))


def test_a_file_that_begins_with_half_a_line_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"specversion"')
    opened(path).publish([event(2)])
    assert path.read_bytes() == json_line(event(2))


def test_nothing_is_acknowledged_before_it_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    path = tmp_path / "events.jsonl"

    def fsync(number: int) -> None:
        synced.append(os.fstat(number).st_size)

    monkeypatch.setattr(os, "fsync", fsync)
    opened(path).publish([event(1)])
    assert synced[-1] == path.stat().st_size > 0
    synced.clear()
    opened(tmp_path / "other.jsonl", fsync=False).publish([event(1)])
    assert synced == []


def test_a_disk_that_fails_leaves_whole_lines_and_acknowledges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.jsonl"
    publisher = opened(path)
    publisher.publish([event(1)])
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(UnreachableError, match=r"events.jsonl can't be written .No space left on device"):
            publisher.publish([event(2)])
    assert path.read_bytes() == before
    publisher.publish([event(2)])
    assert numbers(path) == [1, 2]


def test_a_full_file_is_put_aside_under_its_name_and_the_instant(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    publisher = opened(path, rotate_bytes=2000)
    for number in range(40):
        publisher.publish([event(number)])
    parts = [*sorted(tmp_path.glob("events.jsonl.*")), path]
    assert len(parts) > 3
    assert numbers(*parts) == [*range(40)]
    assert all(part.stat().st_size < 2300 for part in parts)


def test_writers_that_share_a_file_lose_and_mix_nothing_while_it_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"

    def write(first: int) -> None:
        publisher = opened(path, rotate_bytes=5000, fsync=False)
        for number in range(first, first + 200):
            publisher.publish([event(number), event(number + 1000)])

    threads = [threading.Thread(target=write, args=[first]) for first in (0, 200, 400)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    parts = [*sorted(tmp_path.glob("events.jsonl.*")), path]
    assert sorted(numbers(*parts)) == [*range(600), *range(1000, 1600)]


def test_a_file_that_somebody_moved_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    publisher = opened(path)
    publisher.publish([event(1)])
    path.rename(tmp_path / "moved")
    publisher.publish([event(2)])
    assert numbers(tmp_path / "moved", path) == [1, 2]


# -- how publishers are made ------------------------------------------------------------------------------------------


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings with a secret."""

    token: Secret
    level: int = 1

    def __post_init__(self) -> None:
        if self.level > 5:
            raise ValueError("level must be 5 at most")


class Module:
    """What an entry point leads to."""

    Settings = Strict

    @staticmethod
    def open_publisher(name: str, settings: Any) -> Any:
        return name, settings


def test_an_entry_point_is_a_publisher_and_its_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("mine", f"{__name__}:Module", publishers.GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda _: Module)

    def points(group: str, name: str = "mine") -> EntryPoints:
        return EntryPoints([point]).select(group=group, name=name)

    monkeypatch.setattr(importlib.metadata, "entry_points", points)
    opened_: Any = publishers.open_publisher("it", "mine", {"token": "sesame"})
    name, settings = opened_
    assert (name, settings.token.value) == ("it", "sesame")
    assert "sesame" not in f"{settings} {settings!r}"
    assert "mine" in publishers.kinds()
    assert publishers.faults("it", "mine", {"level": "high", "tokn": "sesame"}) == [
        'the publisher "it" has no setting "tokn" (did you mean "token"?)',
        'the publisher "it" lacks the setting "token"',
        'the publisher "it", level: Expected `int`, got `str`',
    ]
    assert publishers.faults("it", "mine", {"level": 6, "token": "sesame"}) == [
        'the publisher "it": level must be 5 at most'
    ]
    assert publishers.faults("it", "mine", {"token": 7}) == ['the publisher "it", token: a text is needed']


def test_a_type_that_does_not_exist_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r'there is no type "fille" \(did you mean "file"\?\)'):
        publishers.open_publisher("it", "fille", {"path": str(tmp_path)})
