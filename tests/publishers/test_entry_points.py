"""A publisher that another distribution brings along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from target_eventgen.errors import SettingsError
from target_eventgen.publishers import faults, kinds, open_publisher
from target_eventgen.publishers.protocol import Delivered
from tests.support.messages import event

if TYPE_CHECKING:
    from pathlib import Path

MODULE = """
import msgspec
from target_eventgen.publishers.protocol import Delivered, Secret, library

class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    floor: int
    password: Secret
    needs: str | None = None

    def __post_init__(self):
        if self.floor < 0:
            raise ValueError("there is no floor below 0")

class Pigeons:
    ordered = False
    most = 3

    def __init__(self, name, settings):
        self.name, self.settings, self.sent, self.closed = name, settings, [], False

    def publish(self, events):
        self.sent += events
        return [Delivered()] * len(events)

    def close(self):
        self.closed = True

def open_publisher(name, settings):
    if settings.needs:
        library(name, settings.needs, "pigeons")
    return Pigeons(name, settings)
"""


@pytest.fixture(autouse=True)
def pigeons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution on the path, as pip would have installed it."""
    (tmp_path / "pigeons_for_tests.py").write_text(MODULE)
    information = tmp_path / "pigeons_for_tests-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: pigeons-for-tests\nVersion: 1\n")
    (information / "entry_points.txt").write_text("[target_eventgen.publishers]\npigeons = pigeons_for_tests\n")
    monkeypatch.syspath_prepend(str(tmp_path))


def opened(**settings: Any) -> Any:
    return open_publisher("roof", "pigeons", settings)


def test_it_is_a_type_beside_those_that_are_built_in() -> None:
    assert {"pigeons", "kafka", "nats", "rabbitmq", "redis", "webhook", "file", "stdout"} <= set(kinds())


def test_it_is_given_its_settings_and_its_name_and_delivers() -> None:
    publisher = opened(floor=3, password="coo")
    assert (publisher.name, publisher.settings.floor, publisher.settings.password.value) == ("roof", 3, "coo")
    assert publisher.publish([event(1)]) == [Delivered()]


def test_its_settings_are_judged_like_any_publishers() -> None:
    found = faults("roof", "pigeons", {"flor": 1, "password": 5})
    assert [fault for fault in found if "flor" in fault and 'did you mean "floor"' in fault]
    assert [fault for fault in found if 'lacks the setting "floor"' in fault]
    assert [fault for fault in found if "password" in fault]
    with pytest.raises(SettingsError, match="there is no floor below 0"):
        opened(floor=-1, password="coo")
    assert "coo" not in repr(opened(floor=1, password="coo").settings)


def test_a_missing_library_is_named_with_what_installs_it() -> None:
    with pytest.raises(SettingsError, match=r"needs the Python module no_such_wings.*pip install.*pigeons"):
        opened(floor=1, password="coo", needs="no_such_wings")


def test_an_unknown_type_is_reported_with_the_nearest_one() -> None:
    with pytest.raises(SettingsError, match=r'there is no type "pigeon" .did you mean "pigeons"'):
        open_publisher("roof", "pigeon", {})
