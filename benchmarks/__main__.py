"""Ours, the peers and the floors, on this machine, in one run: `python -m benchmarks`, or `make bench`.

--quick takes fewer records and rounds (under five minutes), and of the peers those that are fast. --only names a room.
What is measured goes to .cache/benchmarks/samples.json, and with --write to a page such as docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import peers, report, run, scale

CACHE: Final = Path(__file__).parents[1] / ".cache" / "benchmarks"


@dataclass(frozen=True)
class Scale:
    """How much: records and rounds."""

    taps: int = 200_000
    latency: int = 36_000
    targets: int = 200_000
    grown: int = 200_000
    odd: int = 200_000
    rounds: int = 5
    sizes: tuple[int, ...] = (1000, 100)
    slow_peers: bool = True


QUICK: Final = Scale(
    taps=100_000, latency=6_000, targets=50_000, grown=20_000, odd=10_000, rounds=3, sizes=(1000,), slow_peers=False
)


def main() -> int:
    """Measure, print, and write the report if that is asked for; 1 where something of ours failed."""
    begun = time.monotonic()
    chosen = _chosen()
    amounts = QUICK if chosen.quick else Scale()
    rounds = chosen.rounds or amounts.rounds
    CACHE.mkdir(parents=True, exist_ok=True)
    results = run.Results()

    def wanted(contenders: Sequence[peers.Contender]) -> list[peers.Contender]:
        fit = [
            each for each in contenders if not each.peer or not (chosen.ours or (each.slow and not amounts.slow_peers))
        ]
        return [each for each in fit if _installed(each, results)]

    def measure(room: str) -> None:
        records = chosen.records
        match room:
            case "start":
                run.starts(results, STARTS, 2 * rounds)
            case "taps":
                for size in amounts.sizes:
                    run.taps(results, wanted(peers.TAPS), records or amounts.taps, rounds, size, 0)
            case "latency":
                run.taps(results, wanted(peers.SLOW_TAPS), records or amounts.latency, rounds, 100, 50)
            case _:
                with run.server(CACHE / "postgres") as postgres:
                    steps: dict[str, Callable[[], None]] = {
                        "targets": lambda: run.targets(
                            results, wanted(peers.TARGETS), records or amounts.targets, rounds, postgres
                        ),
                        "pipe": lambda: run.pipe(results, records or amounts.targets, rounds, postgres),
                        "growth": lambda: scale.grown(results, records or amounts.grown, rounds, postgres),
                        "odd": lambda: scale.odd(results, records or amounts.odd, postgres),
                    }
                    steps[room]()

    for room in chosen.only or ROOMS:
        measure(room)
        results.kept(CACHE / "samples.json")
    print(report.tables(results))
    print(report.goals(results))
    print(f"\n{time.monotonic() - begun:.0f} s in all")
    if chosen.write:
        chosen.write.write_text(report.page(results, rounds))
    return int(any(contender.startswith(report.OURS) for contender, _ in results.failures))


ROOMS: Final = ("start", "taps", "latency", "targets", "pipe", "growth", "odd")
STARTS: Final = (
    peers.Contender(
        "import singer_sdk", None, lambda programs, *_: [programs / "python", "-c", "import singer_sdk"], peer=False
    ),
    *(
        peers.Contender(
            f"{program} {option}",
            None,
            lambda programs, *_, of=(program, option): [programs / of[0], of[1]],
            peer=False,
        )
        for option in ("--version", "--about")
        for program in report.OURS
    ),
)


def _chosen() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument("--quick", action="store_true", help="fewer records, rounds and peers")
    options.add_argument("--only", choices=ROOMS, action="append", help="a room; may be repeated")
    options.add_argument("--ours", action="store_true", help="no peers: ours and the floors")
    options.add_argument("--records", type=int, help="records, instead of the scale's own")
    options.add_argument("--rounds", type=int, help="rounds, instead of the scale's own")
    options.add_argument("--write", type=Path, help="the page to write")
    return options.parse_args()


def _installed(contender: peers.Contender, results: run.Results) -> bool:
    """Whether its programs are there; a peer that can't be installed is reported, and the rest goes on."""
    try:
        contender.installed()
    except (AssertionError, OSError) as error:
        results.failures[contender.name, "installation"] = str(error)
        print(f"{contender.name} can't be installed: {error}", flush=True)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
