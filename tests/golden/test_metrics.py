"""The Prometheus metrics of a load and of a relay: names, kinds, help, labels, and each value but those of time."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.golden import shop
from tests.golden.conftest import Golden
from tests.golden.forking import ROOT, Programs
from tests.support.loading import Loader

TIMED = re.compile(
    r"^(\S*_(?:seconds_bucket|seconds_sum|timestamp_seconds|undelivered_seconds)(?:\{.*\})?) \S+$", re.MULTILINE
)
"""Samples that say how long something took, or when it was."""

OFTEN = re.compile(r"^(eventgen_(?:checkpoint|publish)_seconds_count(?:\{.*\})?) \S+$", re.MULTILINE)
"""Counts of what is cut by time: checkpoints and calls."""


def untimed(text: str) -> str:
    """The metrics with a marker for each value that time decides, buckets once for each histogram."""
    marked = OFTEN.sub(r"\1 <count>", TIMED.sub(r"\1 <seconds>", text))
    return "\n".join(dict.fromkeys(marked.splitlines()))


def test_the_metrics_of_a_load_are_as_they_were(
    programs: Programs, golden: Golden, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "eventgen.prom"
    with shop.opened(programs, database, tmp_path) as opened:
        settings = {"metrics_textfile": str(file), "delivery": "after_load"}
        opened.load(shop.FIRST, **settings)
        first = file.read_text()
        opened.load(shop.TOLD, **settings)
    golden.check_all({"metrics/load.prom": untimed(first), "metrics/second_load.prom": untimed(file.read_text())})


def test_the_metrics_of_a_relay_are_as_they_were(
    programs: Programs, golden: Golden, database: str, tmp_path: Path
) -> None:
    with shop.opened(programs, database, tmp_path) as opened:
        opened.load(shop.FIRST)
        opened.load(shop.TOLD)
        assert opened.command("relay").code == 1  # all that can be delivered
        path = tmp_path / "relay.json"
        path.write_text(json.dumps(opened.settings))
        command = [sys.executable, "-m", "target_eventgen", "relay", "--config", str(path)]
        with subprocess.Popen(
            [*command, "--follow", "--metrics-port", "0"],
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**Loader.environment(), "PYTHONPATH": str(ROOT)},
        ) as relay:
            try:
                assert relay.stderr is not None
                lines = iter(relay.stderr.readline, "")
                address = next(
                    found[0] for line in lines if (found := re.search(r"http://127\.0\.0\.1:\d+/metrics", line))
                )
                with urllib.request.urlopen(address, timeout=10) as answer:
                    text = answer.read().decode()
            finally:
                relay.send_signal(signal.SIGTERM)
                with contextlib.suppress(ValueError):
                    relay.communicate(timeout=60)
    golden.check("metrics/relay.prom", untimed(text))
