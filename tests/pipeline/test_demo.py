"""What `make demo` runs: to its end, again, with a fault, and interrupted."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.support.example import EXAMPLE
from tests.support.processes import TAP, TARGET, ended
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project that holds nothing but a copy of the example: its `.eventgen` is this test's own."""
    shutil.copytree(EXAMPLE, tmp_path / "examples" / "subscriptions")
    yield tmp_path
    subprocess.run([TARGET, "db", "remove", "--yes"], cwd=tmp_path, check=True, capture_output=True)


def demo(project: Path) -> subprocess.Popen[str]:
    script = project / "examples" / "subscriptions" / "demo.py"
    return subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_demo_ends_with_the_events_that_happened_however_often_it_runs(project: Path) -> None:
    before = psutil.Process().children(recursive=True)  # others' may outlive their tests
    for _ in range(2):
        process = demo(project)
        output, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
        assert "15 events: exactly what happened, each once." in output
        assert output.count("subscription.passed_10000 ") == 6
        shown = output.replace(str(Path(sys.executable).parent), ".venv/bin")  # however long the checkout's path is
        assert max(map(len, shown.splitlines())) <= 120
        assert set(psutil.Process().children(recursive=True)) <= set(before)


def test_the_demo_fails_loudly_where_an_event_is_not_recorded(project: Path) -> None:
    configuration = project / "examples" / "subscriptions" / "target.json"
    rules = json.loads(configuration.read_text())["events"]
    configuration.write_text(json.dumps({"events": [rule for rule in rules if "enters" not in rule]}))
    process = demo(project)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "exactly what happened" not in output
    assert "missing: [('subscription." in errors
    assert "Traceback" not in errors


def test_the_demo_names_the_step_and_the_log_where_a_plugin_fails(project: Path) -> None:
    configuration = project / "examples" / "subscriptions" / "target.json"
    configuration.write_text('{"events": [{"type": "a", "stream": "subscriptions", "enters": "valeu > 10000"}]}')
    process = demo(project)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "the target ended with status 1" in errors
    assert "first.target.log" in errors
    assert "Traceback" not in errors


def test_an_interrupted_demo_leaves_no_process_but_postgres(project: Path) -> None:
    process, started = begun(project)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert psutil.wait_procs(started, timeout=60)[1] == []


def test_the_api_of_the_demo_ends_with_a_demo_that_is_killed(project: Path) -> None:
    process, started = begun(project)
    (api,) = (each for each in started if str(project / "examples" / "subscriptions" / "api.py") in words(each))
    process.kill()
    ended(process)
    try:
        assert api.wait(60) is None  # it ended; its status is its new parent's to know
    finally:
        for each in started:  # the pipe would end by itself, once the tap has tried long enough
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()


def begun(project: Path) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """A demo in the midst of a run, and the processes that it has started."""
    process = demo(project)
    started: list[psutil.Process] = []

    def extracts() -> bool:
        started[:] = psutil.Process(process.pid).children(recursive=True)
        return any(str(TAP) in words(each) for each in started)

    wait_until(extracts, what="a tap at work")
    assert len(started) >= 3  # the API, the shell, the tap
    return process, started


def words(process: psutil.Process) -> list[str]:
    """The command line of a process; none of one that has ended."""
    with contextlib.suppress(psutil.Error):
        return list(process.cmdline())
    return []
