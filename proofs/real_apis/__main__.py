"""`python -m proofs.real_apis [SEEDS]`: both APIs change, the tap is killed and resumed; a row a seed and stream."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from proofs.real_apis import datasette, kinto

if TYPE_CHECKING:
    from proofs.real_apis.campaign import Outcome


def main() -> int:
    """Print the table; 1 where anything is missing, stale or untold."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    out = sys.stdout.write
    out("| API | stream | seed | writes | kills | records | deletions | missing | stale | untold deletions |\n")
    out("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
    totals: dict[str, list[Outcome]] = {}
    with tempfile.TemporaryDirectory(prefix="real-apis-") as name:
        folder = Path(name)
        (folder / "kinto").mkdir()
        with kinto.running(folder / "kinto") as address:
            for seed in range(1, seeds + 1):
                for api, found in (
                    ("Kinto", kinto.campaign(address, folder / f"kinto-{seed}", seed)),
                    ("Datasette", datasette.campaign(folder / f"datasette-{seed}", seed)),
                ):
                    for stream, outcome in found.items():
                        totals.setdefault(f"{api} | {stream}", []).append(outcome)
                        out(f"| {api} | {stream} | {seed} | {_cells(outcome)} |\n")
                sys.stdout.flush()
    out("\n| API | stream | seeds | writes | kills | records | deletions | missing | stale | untold deletions |\n")
    out("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
    for place, outcomes in totals.items():
        out(f"| {place} | {len(outcomes)} | {' | '.join(f'{sum(each):,}' for each in zip(*outcomes, strict=True))} |\n")
    return int(not all(outcome.is_clean for outcomes in totals.values() for outcome in outcomes))


def _cells(outcome: Outcome) -> str:
    return " | ".join(f"{value:,}" for value in outcome)


if __name__ == "__main__":
    raise SystemExit(main())
