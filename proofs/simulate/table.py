"""The table that a campaign ends with."""

from __future__ import annotations

from proofs.simulate.campaign import Campaign, Line
from proofs.simulate.schedule import KINDS

COLUMNS = (
    "schedules",
    "runs",
    "deaths",
    "records",
    "requests",
    "refusals",
    "worst requests per record",
    *KINDS,
    "open faults",
)


def table(campaign: Campaign) -> str:
    """A line a walk, or a case, and one that adds them up; findings are counted in schedules."""
    whole = Line()
    rows = []
    for name, line in sorted(campaign.lines.items()):
        whole.join(line)
        rows.append([name, *_cells(line)])
    rows.append(["all", *_cells(whole)])
    head = ["case" if campaign.by_case else "walk", *COLUMNS]
    widths = [max(len(row[index]) for row in [head, *rows]) for index in range(len(head))]
    return "".join(_row(row, widths) for row in [head, *rows])


def _cells(line: Line) -> list[str]:
    counts = [line.schedules, line.runs, line.deaths, line.records, line.requests, line.refused]
    return [*map(str, counts), f"{line.worst:.2f}", *(str(line.findings[kind]) for kind in KINDS), str(line.known)]


def _row(cells: list[str], widths: list[int]) -> str:
    first, *rest = [
        cell.ljust(width) if not index else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join([first, *rest]).rstrip() + "\n"
