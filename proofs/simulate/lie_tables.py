"""What became of false facts, as tables: a text for who runs the campaign, and a page of the documentation."""

from __future__ import annotations

from collections import Counter
from typing import Final

from proofs.simulate.lie_campaign import LieSummary, places_of, single_claims
from proofs.simulate.lies import LIES
from proofs.simulate.lying import RIGHT, SILENT, UNSEEN, VERDICTS
from proofs.simulate.unnoticeable import UNNOTICEABLE


def text_table(summary: LieSummary) -> str:
    """A line a fact and walk, how often each verdict; pairs are added up by walk."""
    lines = {place: counts for place, counts in summary.counts.items() if " + " not in place[0]}
    for (fact, walk), counts in summary.counts.items():
        if " + " in fact:
            lines.setdefault(("two facts", walk), Counter()).update(counts)
    rows = [["fact", "walk", *VERDICTS]]
    rows += [[fact, walk, *(str(counts[each]) for each in VERDICTS)] for (fact, walk), counts in sorted(lines.items())]
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return "".join(
        "  ".join(
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        + "\n"
        for row in rows
    )


SHORT: Final = {RIGHT: "right", SILENT: "**silent**", UNSEEN: "unnoticeable"}
NOT_PLAYED: Final = "not played"
PAGE: Final = """\
<!-- written by `make simulate LIES=1 N={drawn} MARKDOWN=docs/wrong-facts.md`; to change it, change proofs/simulate and run it again -->
# A wrong fact

A configuration states facts about an API, and the walk that is derived from them is safe for an API that does so. This
page says what becomes of a fact that is false. A row is a fact, and what the API does instead while the configuration
goes on to state it; a column is a walk, which `tap-restextract plan` names. A cell has what became of that, and in how
many of a hundred schedules of the [simulator](../proofs/simulate/README.md); it is empty where no configuration of the
walk states the fact. {alone:,} schedules were played, of changes, runs and kills between any two requests.

- **right**: all came out in spite of it.
- **named error**: the stream stopped; the error has what was stated, what came, and what to write instead.
- **reported**: something was lost, and a warning says by what.
- **unnoticeable**: something was lost, and no answer that came contradicts the fact: [see below](#what-no-client-can-notice).
- **silent**, **endless**, **crash**: something was lost, or a run had no end, though an answer could have shown it. That
  is what is left to do.

{table}
## What no client can notice

A client knows what it was answered, and nothing else. These facts may be false without any answer that contradicts them,
so check them with who made the API; a sweep (`sweep_every`) finds what they lose, where the list shows it at all.

| fact | when it is | why nothing shows it |
|---|---|---|
{unnoticeable}"""


def markdown_page(summary: LieSummary) -> str:
    """The page of the documentation."""
    rows = [f"| {entry.fact} | {_ways_of(entry.fact, entry.way)} | {entry.reason} |\n" for entry in UNNOTICEABLE]
    alone = sum(counts.total() for (fact, _), counts in summary.counts.items() if " + " not in fact)
    return PAGE.format(
        drawn=summary.schedules,
        alone=alone,
        table=markdown_table(summary),
        unnoticeable="".join(rows),
    )


def markdown_table(summary: LieSummary) -> str:
    """A row a fact, a column a walk; in each cell the verdicts, and in how many schedules of a hundred."""
    places = places_of(single_claims(""))
    walks = sorted({walk for _, walk in places})
    rows = [f"| fact | the API does instead | {' | '.join(walks)} |", "|---" * (len(walks) + 2) + "|"]
    rows += [
        f"| {fact} | {_ways_of(fact)} | "
        f"{' | '.join(_cell(summary.counts.get((fact, walk))) if (fact, walk) in places else '' for walk in walks)} |"
        for fact in dict.fromkeys(lie.fact for lie in LIES)
    ]
    return "\n".join(rows) + "\n"


def _ways_of(fact: str, part: str = "") -> str:
    """The ways in which a fact is made false, those that have this part in them."""
    return "; ".join(dict.fromkeys(lie.way for lie in LIES if lie.fact == fact and part in lie.way))


def _cell(counts: Counter[str] | None) -> str:
    if counts is None:
        return NOT_PLAYED
    shares = ((verdict, 100 * counts[verdict] / counts.total()) for verdict in VERDICTS if counts[verdict])
    return ", ".join(f"{SHORT.get(verdict, verdict)} {max(1, round(share))}" for verdict, share in shares)
