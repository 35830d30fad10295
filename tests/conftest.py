"""What every test may ask for, a Postgres of its own, and the rings of tests (see `rings`).

The server is the embedded one, in a temporary folder, unless EVENTGEN_TEST_DATABASE_URL names another, by the URL of a
superuser on it: so the tests run on every supported version of Postgres.
"""

from __future__ import annotations

import os
import secrets
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from hypothesis import settings

from target_eventgen import embedded
from tests.support.loading import Loader
from tests.support.queries import execute
from tests.support.receiver import Receiver
from tests.support.rings import IN_PROCESS, PURE, Watch, ring_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

settings.register_profile("unhurried", settings(), deadline=None)  # a busy machine may take its time for an example
settings.load_profile("unhurried")

watch = Watch()
sys.addaudithook(watch)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A pure test is one in process, too."""
    for item in items:
        if item.get_closest_marker(PURE):
            item.add_marker(IN_PROCESS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Fail a test that leaves its ring."""
    watch.begin(ring_of(item))
    try:
        yield
    finally:
        trespasses = watch.trespasses
        watch.begin(None)
    assert not trespasses, f"this test is marked as {ring_of(item)}, but: {'; '.join(trespasses)}"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a superuser on a server that lives as long as the session."""
    if given := os.environ.get("EVENTGEN_TEST_DATABASE_URL"):
        yield given
        return
    folder = tmp_path_factory.mktemp("postgres")
    try:
        yield embedded.up(folder)
    finally:
        embedded.remove(folder)


@pytest.fixture
def database(postgres: str) -> Iterator[str]:
    """The URL of an empty database that is this test's own."""
    name = f"test_{secrets.token_hex(8)}"
    execute(postgres, f"create database {name}")
    try:
        yield urlsplit(postgres)._replace(path=f"/{name}").geturl()
    finally:
        execute(postgres, f"drop database {name} with (force)")


@pytest.fixture
def loader(database: str, tmp_path: Path) -> Loader:
    """A target that loads into this test's own database."""
    return Loader(database, tmp_path)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of webhooks, this test's own."""
    with Receiver() as opened:
        yield opened
