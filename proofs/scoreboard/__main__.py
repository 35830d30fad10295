"""Every tool against every case; the outcome as a page.

    python -m proofs.scoreboard [--write FILE] [--tool NAME …] [--case NAME …] [--keep FOLDER]

The peers are installed into environments of their own below `.cache`, once. Nothing but loopback is talked to after
that.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from proofs.scoreboard.board import fixture, outcome
from proofs.scoreboard.cases import CASES
from proofs.scoreboard.report import Row, cell, page
from proofs.scoreboard.tools import TOOLS


def main() -> None:
    """Run what the arguments name, all without any, and write the page."""
    parser = argparse.ArgumentParser(prog="scoreboard", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", type=Path, help="where the page goes")
    parser.add_argument("--tool", action="append", choices=[tool.name for tool in TOOLS], help="only this tool")
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES], help="only this case")
    parser.add_argument("--keep", type=Path, help="a folder for the runs' files, instead of a temporary one")
    arguments = parser.parse_args()
    tools = [tool for tool in TOOLS if not arguments.tool or tool.name in arguments.tool]
    cases = [case for case in CASES if not arguments.case or case.name in arguments.case]
    for tool in tools:
        tool.installed()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch, fixture() as server:
        for case in cases:
            for tool in tools:
                for number, (variant, config) in enumerate(tool.configurations(case.name)):
                    reader = f"{tool.name}-{number}"
                    folder = (arguments.keep or Path(scratch)).resolve() / reader / case.name
                    folder.mkdir(parents=True)
                    made = outcome(tool, case, config, server=server, reader=reader, folder=folder)
                    row = Row(case, tool, variant, made)
                    rows.append(row)
                    sys.stderr.write(f"{case.name} · {tool.name}{' · ' + variant if variant else ''}: {cell(row)}\n")
    if arguments.write:
        arguments.write.write_text(page(cases, tools, rows))


main()
