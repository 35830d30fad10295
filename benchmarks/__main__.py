"""Ours, the peers and the floors, on this machine, in one run: `python -m benchmarks`, or `make bench`.

--quick takes fewer records and rounds (under five minutes), and no peer that takes long. --only names a room: taps, latency,
targets, pipe, start. What is measured goes to .cache/benchmarks/samples.json, and with --write to docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
sys.path.insert(0, str(HERE))

import peers  # noqa: E402  its neighbours are scripts too, found beside it
import report  # noqa: E402
import run  # noqa: E402

CACHE: Final = HERE.parent / ".cache" / "benchmarks"
ROOMS: Final = ("taps", "latency", "targets", "start")


@dataclass(frozen=True)
class Scale:
    """How much: records and rounds of each room."""

    taps: int = 200_000
    latency: int = 60_000
    targets: int = 200_000
    rounds: int = 5
    sizes: tuple[int, ...] = (1000, 100)
    slow_peers: bool = True


QUICK: Final = Scale(taps=50_000, latency=8_000, targets=20_000, rounds=3, sizes=(1000,), slow_peers=False)


def main() -> None:
    """Measure, print, and write the report if that is asked for."""
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument("--quick", action="store_true", help="fewer records, rounds and peers")
    options.add_argument("--only", choices=ROOMS, action="append", help="a room; may be repeated")
    options.add_argument("--ours", action="store_true", help="no peers: ours and the floors")
    options.add_argument("--records", type=int, help="records, instead of the scale's own")
    options.add_argument("--rounds", type=int, help="rounds, instead of the scale's own")
    options.add_argument("--write", type=Path, help="the page to write")
    chosen = options.parse_args()
    scale = QUICK if chosen.quick else Scale()
    rounds = chosen.rounds or scale.rounds
    CACHE.mkdir(parents=True, exist_ok=True)
    samples: list[run.Sample] = []
    rooms = chosen.only or ROOMS

    def wanted(contenders: tuple[peers.Contender, ...], *, slow: bool = True) -> list[peers.Contender]:
        return [each for each in contenders if not each.peer or (slow and not chosen.ours)]

    if "start" in rooms:
        samples += run.starts(
            [
                ("import singer_sdk", [peers.OURS / "python", "-c", "import singer_sdk"]),
                ("tap-restextract --version", [peers.OURS / "tap-restextract", "--version"]),
                ("tap-restextract --about", [peers.OURS / "tap-restextract", "--about"]),
                ("target-eventgen --version", [peers.OURS / "target-eventgen", "--version"]),
            ],
            2 * rounds,
        )
    if "taps" in rooms:
        for size in scale.sizes:
            samples += run.taps(wanted(peers.TAPS), chosen.records or scale.taps, rounds, size, 0)
    if "latency" in rooms:
        contenders = wanted(peers.SLOW_TAPS, slow=scale.slow_peers)
        samples += run.taps(contenders, chosen.records or scale.latency, min(rounds, 3), 100, 50)
    if "targets" in rooms:
        records = chosen.records or scale.targets
        files = singer_files(records)
        samples += run.targets(wanted(peers.TARGETS), files, records, rounds, CACHE / "postgres")
    run.kept(CACHE / "samples.json", samples)
    print(report.tables(samples))
    if chosen.write:
        chosen.write.write_text(report.page(samples))


def singer_files(records: int) -> list[tuple[str, Path]]:
    """The targets' input, made in a process of its own: what this one holds counts in its children's peak memory."""
    first, second = CACHE / f"first-{records}.jsonl", CACHE / f"second-{records}.jsonl"
    made = (
        "import sys, pathlib, inputs; n = int(sys.argv[1]); "
        "inputs.write_singer(pathlib.Path(sys.argv[2]), inputs.records(n)); "
        "inputs.write_singer(pathlib.Path(sys.argv[3]), inputs.changed(inputs.records(n)))"
    )
    subprocess.run([sys.executable, "-c", made, str(records), first, second], cwd=HERE, check=True)
    return [("empty table", first), ("update of all", second), ("replay, unchanged", second)]


if __name__ == "__main__":
    main()
