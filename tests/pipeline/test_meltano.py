"""The project's own meltano.yml under a real Meltano, which has an environment of its own.

The Meltano project is made once and kept: a folder in the cache with this project's meltano.yml and sources, where
`meltano install` has given each plugin its environment. Each test has its own system database, and so its own STATE.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.environments import PROJECT, environment, exclusive, made
from tests.support.example import TOKEN, Example, due_at_first, due_events, serving
from tests.support.processes import kill_group
from tests.support.queries import recorded_events, rows, subscriptions
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCES = ("tap_restextract", "target_eventgen", "pyproject.toml", "README.md", "LICENSE")
PIPELINE = ("run", "tap-restextract", "target-eventgen")


class Meltano(NamedTuple):
    """A Meltano project against one API and one database."""

    program: Path
    folder: Path
    environment: dict[str, str]
    logs: Path

    def start(self, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        """Meltano with these arguments, as the leader of a session of its own."""
        with log.open("wb") as output:
            return subprocess.Popen(
                [self.program, *arguments],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __call__(self, *arguments: str) -> str:
        """What Meltano prints for these arguments, once it has ended well."""
        log = self.logs / f"meltano-{time.monotonic_ns()}.log"
        process = self.start(*arguments, log=log)
        try:
            status = process.wait(180)
        except BaseException:
            kill_group(process)
            raise
        assert status == 0, log.read_text()[-6000:]
        return log.read_text()


@pytest.fixture(scope="session")
def project() -> tuple[Path, Path]:
    """Meltano's program, and the project with both plugins installed."""
    program = environment("meltano", "meltano>=4.4,<4.5") / "meltano"

    def make(folder: Path) -> None:
        folder.mkdir()
        for name in SOURCES:
            (folder / name).symlink_to(PROJECT / name)
        shutil.copy(PROJECT / "meltano.yml", folder)
        finished = subprocess.run(
            [program, "install"], cwd=folder, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert finished.returncode == 0, finished.stdout[-6000:]

    recipe = (PROJECT / "pyproject.toml").read_text() + (PROJECT / "meltano.yml").read_text()
    return program, made("meltano-project", recipe, make)


@contextmanager
def meltano_for(project: tuple[Path, Path], example: Example, database: str, folder: Path) -> Iterator[Meltano]:
    """The project against this API and this database, with a system database in the test's folder.

    One test at a time has it, since Meltano writes the catalog of a run into the project's folder.
    """
    program, project_folder = project
    own = {
        "TAP_RESTEXTRACT_BASE_URL": example.url,
        "TAP_RESTEXTRACT_AUTH_TOKEN": TOKEN,
        "TARGET_EVENTGEN_DATABASE_URL": database,
        "TARGET_EVENTGEN_DEFAULT_TARGET_SCHEMA": "public",
        "MELTANO_DATABASE_URI": f"sqlite:///{folder / 'meltano.db'}",
        "MELTANO_CLI_DISABLE_VERSION_CHECK": "true",
        "NO_COLOR": "1",
        "COLUMNS": "200",
        "UV_SYSTEM_CERTS": "true",  # Meltano installs with uv, which else trusts no certificate authority of the machine's own
    }
    foreign = ("TAP_", "TARGET_", "MELTANO_", "VIRTUAL_ENV", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    with exclusive("meltano-project-run"):
        yield Meltano(program, project_folder, {**kept, **own}, folder)


@pytest.fixture
def meltano(project: tuple[Path, Path], example: Example, database: str, tmp_path: Path) -> Iterator[Meltano]:
    """The project against the test's own API and database."""
    with meltano_for(project, example, database, tmp_path) as found:
        yield found


def piped(log: str) -> int:
    """How many records went from the tap to the target, as the target counted them."""
    (count,) = re.findall(r"(\d+) records, \d+ batch manifests", log)
    return int(count)


def test_the_first_run_loads_all_the_second_nothing_the_third_what_changed_with_its_events(
    meltano: Meltano, example: Example, database: str
) -> None:
    first = meltano(*PIPELINE)
    assert subscriptions(database) == example.rows()
    assert piped(first) == 1000
    assert not recorded_events(database)

    unchanged = rows(database, "select xmin::text, * from subscriptions order by id")
    assert piped(meltano(*PIPELINE)) == 0
    assert rows(database, "select xmin::text, * from subscriptions order by id") == unchanged

    happenings = example.happen(11, passed=5, canceled=4, created=3, replanned=2, touched=9)
    third = meltano(*PIPELINE)
    assert piped(third) == len({happening["id"] for happening in happenings})
    assert subscriptions(database) == example.rows()
    assert recorded_events(database) == due_events(happenings)


def test_after_a_kill_of_all_its_processes_the_next_run_completes_with_every_event_recorded_once(
    project: tuple[Path, Path], database: str, tmp_path: Path
) -> None:
    with serving(tmp_path, delay=0.5) as slow, meltano_for(project, slow, database, tmp_path) as meltano:
        meltano.environment["TARGET_EVENTGEN_INITIAL_LOAD"] = "emit"
        log = tmp_path / "killed.log"
        killed = meltano.start(*PIPELINE, log=log)
        try:
            served = tmp_path / "api.log"
            wait_until(lambda: served.read_text().count("GET /v1/subscriptions") >= 4, what="four of ten pages")
        finally:
            kill_group(killed)
        assert b" completed" not in log.read_bytes()
        seeded = slow.rows()
        happenings = slow.happen(12, passed=5, canceled=4, created=3, touched=9)
        meltano(*PIPELINE, "--force")  # or Meltano waits five minutes for the heartbeat of the run that was killed

        assert subscriptions(database) == slow.rows()
        assert recorded_events(database) == due_at_first(seeded.values()) + due_events(happenings)


def test_the_companion_commands_run_by_invoke(meltano: Meltano) -> None:
    plan = meltano("invoke", "tap-restextract:plan")
    assert "subscriptions" in plan
    assert "compound keyset" in plan
    assert TOKEN not in plan

    meltano(*PIPELINE)
    assert "No events." in meltano("invoke", "target-eventgen:events")


def test_the_ready_job_is_the_pipeline(meltano: Meltano, example: Example, database: str) -> None:
    meltano("run", "subscriptions-to-postgres")
    assert subscriptions(database) == example.rows()


def test_secrets_stay_out_of_what_meltano_shows(meltano: Meltano) -> None:
    shown = meltano("config", "list", "tap-restextract")
    assert "auth_token" in shown
    assert TOKEN not in shown


def test_meltano_hands_the_configuration_over_unchanged(meltano: Meltano, example: Example) -> None:
    dumped = subprocess.run(
        [meltano.program, "invoke", "--dump=config", "tap-restextract"],
        cwd=meltano.folder,
        env=meltano.environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    handed = json.loads(dumped)
    wanted = example.configuration()
    assert {name: handed[name] for name in wanted} == wanted
