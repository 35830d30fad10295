"""Plays schedules over every case and says what broke.

python -m proofs.simulate 100000                         all cases, so many schedules in all
python -m proofs.simulate 5000 --only "restart"          the cases whose name or walk has this in it
python -m proofs.simulate --replay "filter=inclusive late=2000" --seed 7 --size rows=5,runs=1
                                                         one schedule, told line by line
python -m proofs.simulate 20000 --lies                   the configuration lies: what becomes of what it loses
python -m proofs.simulate 5000 --lies --markdown         the same as a page of the documentation
python -m proofs.simulate --replay "…" --claimed "…" --lie "order: falls" --seed 7
                                                         one of these
python -m proofs.simulate --exhaustive --changes 2       every schedule of up to two changes over four records
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import fields

from proofs.simulate.campaign import Campaign, Job, played
from proofs.simulate.cases import CASES
from proofs.simulate.exhaustive import all_explored, line_of
from proofs.simulate.lie_campaign import LieJob, witnesses
from proofs.simulate.lie_campaign import played as played_lies
from proofs.simulate.lie_tables import markdown_page, text_table
from proofs.simulate.lies import LIES, Claim
from proofs.simulate.lying import BAD, schedule_for
from proofs.simulate.quirks import parsed
from proofs.simulate.schedule import KINDS, Schedule, Size
from proofs.simulate.shrinking import command, shrunk
from proofs.simulate.small_cases import CASES as SMALL_CASES
from proofs.simulate.table import table

SHOWN = 5
MOST_LINES = 80


def main() -> int:
    """The exit code is 1 where a promise broke, 2 where there is no such case."""
    arguments = _parser().parse_args()
    if arguments.claimed is not None:
        return replay_lie(arguments)
    if arguments.replay is not None:
        return replay(arguments.replay, arguments.seed, _size(arguments.size))
    if arguments.exhaustive:
        return exhaustive(arguments)
    if arguments.lies:
        return lies(arguments)
    names = [name for name in CASES if arguments.only in name]
    if not names:
        sys.stderr.write(f"no case has {arguments.only!r} in its name; there are:\n  " + "\n  ".join(CASES) + "\n")
        return 2
    begun = time.monotonic()
    campaign = Campaign(by_case=arguments.by_case)
    job = Job(
        tuple(names), arguments.seed, arguments.schedules, combined=not arguments.plain, open_too=arguments.count_open
    )
    for summary in played(job, arguments.processes, stop=arguments.stop):
        campaign.add(summary)
    if arguments.terse:
        for kind, quirks, seed, size in campaign.failures[:1]:
            sys.stdout.write(
                f"first finding: {kind}, seed {seed}, {quirks}\n  {command(Schedule(quirks, seed, size))}\n"
            )
        return int(bool(campaign.failures))
    sys.stdout.write(table(campaign))
    sys.stdout.write(f"\n{campaign.schedules} schedules in {time.monotonic() - begun:.0f} s\n")
    for failure in campaign.smallest(0 if arguments.brief else SHOWN):
        _show(*shrunk(*failure))
    if arguments.brief:
        for kind, quirks, seed, size in campaign.smallest(12):
            sys.stdout.write(f"{kind}: {command(Schedule(quirks, seed, size))}\n")
    if campaign.failures:
        sys.stdout.write(f"\n{len(campaign.failures)} schedules broke a promise\n")
    return int(bool(campaign.failures))


def replay(text: str, seed: int, size: Size) -> int:
    """One schedule, line by line."""
    outcome = Schedule(parsed(text), seed, size, _say).play()
    sys.stdout.write(f"{outcome.walk}: {', '.join(outcome.kinds) or 'nothing broke'}\n")
    return int(bool(outcome.findings))


def exhaustive(arguments: argparse.Namespace) -> int:
    """Every schedule of a few changes; the exit code is 1 where one broke a promise, 2 where there is no such case."""
    names = [name for name in SMALL_CASES if arguments.only in name]
    if not names:
        sys.stderr.write(
            f"no case has {arguments.only!r} in its name; there are:\n  " + "\n  ".join(SMALL_CASES) + "\n"
        )
        return 2
    begun, broken, schedules = time.monotonic(), 0, 0
    for counted in all_explored(names, arguments.changes, arguments.processes):
        sys.stdout.write(f"{line_of(counted)}\n")
        sys.stdout.flush()
        broken, schedules = broken + counted.broken, schedules + sum(counted.schedules)
    sys.stdout.write(f"{schedules:,} schedules in {time.monotonic() - begun:.0f} s, {broken or 'nothing'} broken\n")
    return int(bool(broken))


def lies(arguments: argparse.Namespace) -> int:
    """Campaign of lies; the exit code is 1 where one that an answer could show is lost in silence."""
    begun = time.monotonic()
    job = LieJob(arguments.seed, arguments.schedules, arguments.only, paired=not arguments.plain)
    summary = played_lies(job, arguments.processes, stop=arguments.stop)
    if arguments.markdown:
        sys.stdout.write(markdown_page(summary))
        return int(bool(summary.failures))
    sys.stdout.write(text_table(summary))
    sys.stdout.write(f"\n{summary.schedules} schedules in {time.monotonic() - begun:.0f} s\n")
    for each in () if arguments.brief else witnesses(summary, arguments.processes):
        sys.stdout.write(f"\n{each.verdict}: {each.fact}, {each.walk}\n  {each.command}\n")
    if summary.failures:
        sys.stdout.write(f"\n{len(summary.failures)} schedules broke T5\n")
    return int(bool(summary.failures))


def replay_lie(arguments: argparse.Namespace) -> int:
    """One schedule of a lie, line by line."""
    named = arguments.lie.split(";")
    claim = Claim(
        tuple(lie for lie in LIES if lie.name in named), parsed(arguments.claimed), parsed(arguments.replay or "")
    )
    schedule = schedule_for(claim, arguments.seed, size=_size(arguments.size), told=_say)
    verdict = schedule.verdict(claim)
    for text in schedule.reports:
        sys.stdout.write(f"reported: {text}\n")
    sys.stdout.write(f"{schedule.outcome.walk}: {verdict}\n")
    return int(verdict in BAD)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _show(schedule: Schedule, kind: str) -> None:
    sys.stdout.write(f"\n{kind}, made as small as it gets; replayed by\n  {command(schedule)}\n")
    story: list[str] = []
    Schedule(schedule.quirks, schedule.seed, schedule.size, story.append).play()
    left_out = [] if len(story) <= MOST_LINES else [f"… {len(story) - MOST_LINES} lines, which the command above tells"]
    sys.stdout.write("\n".join([*left_out, *story[-MOST_LINES:]]) + "\n")


def _size(text: str) -> Size:
    kinds = {held.name: type(getattr(Size(), held.name)) for held in fields(Size)}
    pairs = [part.split("=") for part in text.split(",") if part]
    return Size(**{name: kinds[name](int(value)) for name, value in pairs})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m proofs.simulate", description=f"Findings are: {', '.join(KINDS)}.")
    parser.add_argument("schedules", nargs="?", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first schedule, or of the one that is replayed")
    parser.add_argument("--only", default="", help="a part of the cases' names")
    parser.add_argument(
        "--plain", action="store_true", help="the cases alone, without more quirks drawn to them; lies one at a time"
    )
    parser.add_argument("--processes", type=int, default=0, help="0: one a core")
    parser.add_argument("--by-case", action="store_true", help="a line a case instead of a line a walk")
    parser.add_argument("--stop", action="store_true", help="at the first finding")
    parser.add_argument("--terse", action="store_true", help="the first finding, and no more")
    parser.add_argument("--count-open", action="store_true", help="findings of open faults count too")
    parser.add_argument("--brief", action="store_true", help="no stories of what broke")
    parser.add_argument("--replay", metavar="QUIRKS")
    parser.add_argument("--lies", action="store_true", help="facts that the configuration states are false")
    parser.add_argument("--exhaustive", action="store_true", help="every schedule of a few changes over four records")
    parser.add_argument("--changes", type=int, default=2, help="how many changes that is at most")
    parser.add_argument("--markdown", action="store_true", help="with --lies: docs/wrong-facts.md")
    parser.add_argument("--claimed", metavar="QUIRKS", help="what the configuration of the replayed schedule states")
    parser.add_argument("--lie", default="", help="which lies that is, separated by semicolons")
    parser.add_argument("--size", default="", help="of the replayed schedule, such as rows=5,runs=1,writes=1,deaths=0")
    return parser


if __name__ == "__main__":
    sys.exit(main())
