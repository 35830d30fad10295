"""The page: a table of cases and tools, and below it the words with which they failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from proofs.scoreboard.board import SECONDS, Outcome
from proofs.scoreboard.model import Case
from proofs.scoreboard.server import MOST_REQUESTS
from proofs.scoreboard.tools import Tool

MOST_WORDS = 420
INTRODUCTION = """\
<!-- written by `make scoreboard`; to change it, change proofs/scoreboard/ and run it again -->
# The scoreboard

What extraction tools make of REST APIs that behave as REST APIs do. Each row is an API with one habit, or with
documentation that is wrong in one point, served by one small HTTP server on this machine; each column is a tool,
installed from PyPI in an environment of its own. A tool is run, the API's records change as the row says, and it is run
again with the state that it kept. Then what came out is compared with what the API shows: `make scoreboard` repeats all
of it.
"""
LEGEND_HEAD = "## How to read it\n"
LEGEND = """\
- **found** of how many: the newest version of every record that the API shows at the end, and the deletions where the
  row is about them. **lost** ones came out of no run.
- **repeated**: records that came out again although they were the same. Where a destination merges by key they cost
  time, not truth. A tool that reads a whole list each time, and replaces the table, repeats all of it.
- **hung**: cut off after {most} requests in one run, or after {seconds} seconds.
- **error**: a run ended with a failure; the words are below. That is worse than a record found, and better than one
  lost in silence. In {errors} rows no client can be complete, or can know that it is: there an error is the best outcome.
- **✓**: as well as can be: all found and every run ended well, or an error where that is the best.
- **too early**: requests sent before a Retry-After was over.
- *setting* →: the same tool once more, with a setting that heals or could heal what the configuration above it loses.

The configurations say what the API's documentation says (third column), each in its tool's own words, as a user of
that tool would write it:
{files}
The cases are in [cases.py](../proofs/scoreboard/cases.py) and, those whose documentation is wrong, in
[false_facts.py](../proofs/scoreboard/false_facts.py); the server is [server.py](../proofs/scoreboard/server.py).
P1 to P8 and H1 name losses that were known of other tools before; the other rows have no name.
"""


class Row(NamedTuple):
    """A tool's outcome of a case, with one of its configurations."""

    case: Case
    tool: Tool
    variant: str
    outcome: Outcome


def cell(row: Row) -> str:
    """The outcome in a few words."""
    made = row.outcome
    found = f"{made.truth - len(made.lost)} of {made.truth}"
    words = [f"✓ {found}" if _is_best(row) else found]
    if made.lost:
        words.append(f"{len(made.lost)} lost" if _is_best(row) else f"**{len(made.lost)} lost**")
    if made.repeated:
        words.append(f"{made.repeated} repeated")
    if made.hung:
        words.append("**hung**")
    if made.error and not made.hung:
        words.append("error")
    if made.early:
        words.append(f"{made.early} too early")
    return ", ".join(words)


def page(cases: Sequence[Case], tools: Sequence[Tool], rows: Sequence[Row]) -> str:
    """The whole document."""
    files = "".join(f"{line}\n" for tool in tools for line in _files(tool))
    errors = sum(case.best == "named error" for case in cases)
    legend = LEGEND.format(most=MOST_REQUESTS, seconds=SECONDS, files=files, errors=errors)
    heads = ["case", "what happens", "the API's documentation says", *(_head(tool) for tool in tools)]
    table = ["| " + " | ".join(line) + " |" for line in (heads, ["---"] * len(heads), *_lines(cases, tools, rows))]
    sums = ["| " + " | ".join(line) + " |" for line in _sums(tools, rows)]
    return "\n".join([INTRODUCTION, *sums, "", LEGEND_HEAD, legend, "## Case by case", "", *table, "", *_words(rows)])


def _files(tool: Tool) -> Iterator[str]:
    links = [f"[{name.rsplit('/')[-1]}](../proofs/scoreboard/{name})" for name in tool.files]
    yield f"- {tool.name}: {', '.join(links)}"


def _head(tool: Tool) -> str:
    return tool.name if tool.requirement is None else tool.requirement.replace("==", " ")


def _sums(tools: Sequence[Tool], rows: Sequence[Row]) -> Iterator[list[str]]:
    """A line a tool, without variants."""
    yield [
        "tool",
        "cases",
        "as well as can be",
        "lost in silence",
        "hung",
        "ended with an error",
        "repeated, hung runs aside",
    ]
    yield ["---"] * 7
    for tool in tools:
        own = [row.outcome for row in rows if row.tool is tool and not row.variant]
        silent = [len(made.lost) for made in own if made.lost and not made.error and not made.hung]
        yield [
            _head(tool),
            str(len(own)),
            str(sum(_is_best(row) for row in rows if row.tool is tool and not row.variant)),
            f"{sum(silent)} records in {len(silent)} cases" if silent else "0",
            str(sum(made.hung for made in own)),
            str(sum(bool(made.error) and not made.hung for made in own)),
            str(sum(made.repeated for made in own if not made.hung)),
        ]


def _lines(cases: Sequence[Case], tools: Sequence[Tool], rows: Sequence[Row]) -> Iterator[list[str]]:
    for case in cases:
        best = " The best is an error." if case.best == "named error" else ""
        name = f"**{case.label}** {case.name}" if case.label else case.name
        yield [name, case.story + best, case.told or "", *(_cells(case, tool, rows) for tool in tools)]


def _cells(case: Case, tool: Tool, rows: Sequence[Row]) -> str:
    own = [row for row in rows if row.case is case and row.tool is tool]
    if not own:
        return str(tool.described().get("cannot", {}).get(case.name, "not run"))
    return "<br>".join(f"*{row.variant}* → {cell(row)}" if row.variant else cell(row) for row in own)


def _words(rows: Sequence[Row]) -> Iterator[str]:
    """What was said by those that ended with an error."""
    failed = [row for row in rows if row.outcome.error and not row.outcome.hung]
    if failed:
        yield "## What they said"
        yield ""
    for row in failed:
        variant = f", {row.variant}" if row.variant else ""
        words = row.outcome.error[:MOST_WORDS] + ("…" if len(row.outcome.error) > MOST_WORDS else "")
        yield f"- {row.case.name}, {row.tool.name}{variant}: `{words.replace('`', chr(39))}`"
    yield ""


def _is_best(row: Row) -> bool:
    if row.case.best == "named error":
        return bool(row.outcome.error) and not row.outcome.hung
    return row.outcome.complete
