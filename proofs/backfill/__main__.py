"""`python -m proofs.backfill [RECORDS] [TIES] [PAGE]`: the table of a long backfill, once from each walk."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from proofs.backfill.api import Shape
from proofs.backfill.measure import MOST_MEMORY, MOST_STATE, WALKS, backfill

DEFAULT = (1_000_000, 50_000, 1000)


def main() -> int:
    """Print a row a walk; 1 where a bound is broken."""
    given = tuple(int(argument) for argument in sys.argv[1:])
    shape = Shape(*(given + DEFAULT[len(given) :]))
    out = sys.stdout.write
    out(f"{shape.records:,} records, {shape.ties:,} share each timestamp, {shape.page} a page\n")
    out("| walk | records | distinct | peak memory | longest STATE | requests | least | seconds |\n")
    out("|---|---:|---:|---:|---:|---:|---:|---:|\n")
    broken = False
    with tempfile.TemporaryDirectory(prefix="backfill-") as folder:
        for walk in WALKS:
            found = backfill(walk, shape, Path(folder) / walk.replace(" ", "-"))
            out(
                f"| {walk} | {found.records:,} | {found.distinct:,} | {found.memory / 1024:.0f} MiB | {found.state / 1024:.1f} KiB "
                f"| {found.requests:,} | {found.least:,} | {found.seconds:.0f} |\n"
            )
            sys.stdout.flush()
            broken |= (found.records, found.distinct) != (shape.records, shape.records)
            broken |= found.memory > MOST_MEMORY or found.state > MOST_STATE or found.requests > 1.01 * found.least
    out("bounds: " + ("BROKEN\n" if broken else "kept\n"))
    return int(broken)


if __name__ == "__main__":
    raise SystemExit(main())
