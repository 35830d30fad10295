"""Mutants: deliberate faults in the walks, each of which the simulator must find.

    python -m tests.simulator.mutants            all of them
    python -m tests.simulator.mutants --only seam

A mutant is a small edit of one file's text, made in a copy of the package that stands first on the path of a process
which plays the cases that could show it. It is caught once that process has findings; one that survives says where the
simulator is blind. An edit whose text isn't there exactly once no longer applies, which is a failure too.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = "tap_restextract"
SCHEDULES: Final = 6000
SECONDS: Final = 300
STEPS: Final = (200, 1000, SCHEDULES)
"""Few schedules first: most mutants show at once."""


@dataclass(frozen=True)
class Story:
    """A schedule that shows a fault so rarely met that thousands of others don't."""

    quirks: str
    seed: int


@dataclass(frozen=True)
class Mutant:
    """A fault: in which file which text becomes which, and a part of the names of the cases that could show it.

    One that few schedules show has a story of its own, which is tried first.
    """

    name: str
    file: str
    old: str
    new: str
    cases: str
    story: Story | None = None


MUTANTS: Final = (
    Mutant(
        "`>` for `>=`: an exclusive filter isn't stepped back",
        "plan.py",
        'if incremental.filter != "exclusive":',
        "if incremental.filter:",
        "exclusive",
    ),
    Mutant(
        "`<` for `<=`: descending ends at the first record of the floor's tie",
        "descending.py",
        "if floor is not None and place < floor:",
        "if floor is not None and place <= floor:",
        "descending",
    ),
    Mutant(
        "repeats are known by key alone",
        "bookmarks.py",
        "_encoder.encode(record), digest_size=DIGEST_BYTES",
        '_encoder.encode(record.get("id")), digest_size=DIGEST_BYTES',
        "tokens",
    ),
    Mutant(
        "STATE before its records, in the keyset",
        "ascending.py",
        "        page = yield Step(records, sieve.bookmark, Ask(sieve.asked))\n        records = []\n    sieve",
        "        page = yield Step((), sieve.bookmark, Ask(sieve.asked))\n        last = records\n        records = []\n"
        "        if last:\n            yield Step(last, None, Ask(sieve.asked))\n    sieve",
        "keyset",
    ),
    Mutant(
        "STATE before its records, along tokens",
        "ascending.py",
        "        page = yield Step(records, sieve.bookmark, Ask(start, seen.new(page.following)))\n"
        "        records = sieve.fresh(page)\n    sieve.finish()",
        "        at, last = seen.new(page.following), records\n"
        "        page = yield Step((), sieve.bookmark, Ask(start, at))\n"
        "        records = [*last, *sieve.fresh(page)]\n    sieve.finish()",
        "tokens",
    ),
    Mutant(
        "a short page ends counted pages",
        "paginators.py",
        "ended = page - paginator.base_page + 1 >= total if total is not None else count == 0",
        "ended = page - paginator.base_page + 1 >= total if total is not None else count < 3",
        "pages",
    ),
    Mutant(
        "a short page ends offsets",
        "paginators.py",
        "if more is False or count == 0 or",
        "if more is False or count < paginator.limit - 1 or",
        "offsets",
        Story("filter=inclusive paginator=offset short_pages=1", 0),
    ),
    Mutant(
        "an empty page with a token ends the list",
        "client.py",
        "    behind = following(stream.paginator, answer, ask.at, len(records))\n",
        "    behind = following(stream.paginator, answer, ask.at, len(records)) if records else None\n",
        "empty pages",
    ),
    Mutant(
        "an empty page with a token ends the keyset",
        "ascending.py",
        "while page.records or page.following is not None:",
        "while page.records:",
        "short",
    ),
    Mutant(
        "instants are compared without their zone",
        "cursor.py",
        '_of_day(time or "00:00") - _offset(offset)',
        '_of_day(time or "00:00")',
        "days",
    ),
    Mutant(
        "fractions of a second are compared as text",
        "cursor.py",
        'return "instant", seconds + Decimal(f"0.{fraction}") if fraction and int(fraction) else seconds',
        'return "instant", seconds + Decimal(int(fraction)) / 1000 if fraction and int(fraction) else seconds',
        "trimmed",
    ),
    Mutant(
        "this machine's clock instead of the Date header",
        "progress.py",
        "seconds = Decimal(int(server_time)) - ",
        "seconds = Decimal(4_000_000_000) - ",
        "keyset",
    ),
    Mutant(
        "the clock is a second ahead",
        "progress.py",
        "seconds = Decimal(int(server_time)) - ",
        "seconds = Decimal(int(server_time) + 1) - ",
        "keyset",
    ),
    Mutant(
        "the lag is ignored",
        "progress.py",
        "(precision_of(incremental.lag) if incremental.lag else 0)",
        "0",
        "late",
    ),
    Mutant(
        "the horizon is ignored: the mark moves to the last record",
        "progress.py",
        "return bisect_left(places, bound)",
        "return len(places)",
        "future",
    ),
    Mutant(
        "the mark isn't halted: rows that join the tick behind the position",
        "progress.py",
        "settled = 0 if self.halted else self._settled(page, ranks)",
        "settled = self._settled(page, ranks)",
        "keyset",
    ),
    Mutant(
        "without a clock the newest value is settled",
        "progress.py",
        "return bisect_left(places, places[-1]) if clockless else len(places)",
        "return len(places)",
        "no clock",
    ),
    Mutant(
        "seams are never checked",
        "listing.py",
        "        moved = moved_over(identities, None if behind is None else self._identities(behind), again)\n        if moved is None or ",
        "        moved = moved_over(identities, None if behind is None else self._identities(behind), again) or 0\n        if False and ",
        "pages",
    ),
    Mutant(
        "what left a page may have been drawn over the seam",
        "listing.py",
        "return moved if joined and (behind is None or behind[:moved] == before[len(left) :]) else None",
        "return moved",
        "descending, pages",
    ),
    Mutant(
        "what joined the end of a page is thought to be new",
        "listing.py",
        "joined = left == before[: len(left)] and again[-1:] == left[-1:]",
        "joined = left == before[: len(left)]",
        "unordered, pages",
        Story("order=none filter=inclusive paginator=page_number unstable_ties=1 page=3", 125),
    ),
    Mutant(
        "a seam is checked by the records that it has, not by their order",
        "listing.py",
        "return 0 if again == before else None",
        "return 0",
        "unstable",
    ),
    Mutant(
        "a tied value is followed by pages without seams",
        "listing.py",
        "if paginators.is_stable(paginator):",
        "if True:",
        "restart",
    ),
    Mutant(
        "a tie without a tie-breaker may lie over the seam of a list that falls",
        "descending.py",
        "if self.low is None or place < rank(self.low) or incremental.tie_breaker or is_stable(stream.paginator):",
        "if True:",
        "descending, unstable",
    ),
    Mutant(
        "a deletion is told of what a sweep lacks, without a look",
        "sweep.py",
        "if page.records and not is_tombstone(self.plan.stream, page.records[0]):",
        "if False:",
        "sweep, newest first",
    ),
    Mutant(
        "a deletion is told of what shifting pages lack",
        "sweep.py",
        "return Proof.LOOKUP if stream.lookup is not None else Proof.NONE",
        "return Proof.ANSWER",
        "sweep, pages",
    ),
    Mutant(
        "a list in an order that changes is thought to keep its records in their places",
        "sweep.py",
        "if alone and (plan.walk is Walk.UNIQUE_KEYSET or (stream.fixed_order and holds and not led)):",
        "if alone and holds and not led:",
        "sweep, newest first",
    ),
    Mutant(
        "an overlap is believed whatever is in it",
        "listing.py",
        "        if place is None:\n            raise MovedSeamError\n",
        "        place = 1 if place is None else place\n",
        "descending, offsets",
    ),
    Mutant(
        "offsets overlap within ties that nothing orders",
        "listing.py",
        "if isinstance(following, Start) and not has_open_ties(self.plan) and (overlap := self._overlap):",
        "if isinstance(following, Start) and (overlap := self._overlap):",
        "unstable",
        Story("filter=inclusive paginator=offset page=3 unstable_ties=1", 11),
    ),
    Mutant(
        "a list in no order is believed for its overlap alone",
        "listing.py",
        "        if not is_ordered(self.plan):\n            self._check",
        "        if False:\n            self._check",
        "unordered, offsets",
        Story("order=none filter=inclusive paginator=offset unstable_ties=1", 0),
    ),
    Mutant(
        "a tie that nothing orders is followed over its seams",
        "ascending.py",
        "believed = ordered or not several or stands",
        "believed = True",
        "restart, wide unstable",
    ),
    Mutant(
        "a lookback reaches behind the initial value",
        "plan.py",
        "return window(incremental, max(first, least, key=rank))",
        "return window(incremental, first)",
        "lookback",
    ),
    Mutant(
        "a lookback does without a clock",
        "progress.py",
        "            if incremental_of(self.plan).lookback:\n                raise WalkError(",
        "            if False:\n                raise WalkError(",
        "lookback, offsets",
    ),
    Mutant(
        "what came late into an interrupted pass is thought to be emitted",
        "descending.py",
        "return self.done is not None and rank(self.done.low) < place < self._settled_below(self.done.high)",
        "return self.done is not None and rank(self.done.low) < place < self._window(self.done.high)",
        "lookback, descending",
    ),
    Mutant(
        "children are bookmarked by the floor's own value, whatever their filter's precision",
        "children.py",
        "first = rank(earliest(self.plan.stream.incremental, floor))",
        "first = rank(floor)",
        "children, tokens",
    ),
    Mutant(
        "a sweep ends with its first page",
        "sweep.py",
        "        while page.following is not None:\n",
        "        if page.following is not None:\n",
        "sweep",
    ),
    Mutant(
        "the hash cache is confirmed too early",
        "hashes/sqlite.py",
        "            if last != kept:\n",
        "            if False:\n",
        "sweep",
    ),
    Mutant(
        "a validator is believed though STATE does not confirm its pass",
        "hashes/__init__.py",
        "return held if number == kept else None",
        "return held",
        "ETag",
    ),
    Mutant(
        "what an answer didn't repeat is told as gone",
        "sweep.py",
        "        if self.unchanged:\n            return records\n",
        "",
        "ETag",
    ),
    Mutant(
        "deletions are forgotten by the cache",
        "sweep.py",
        "        self.cache.buried(gone, self.number)\n",
        "",
        "sweep",
    ),
    Mutant(
        "the boundary is dropped from STATE",
        "bookmarks.py",
        "    if bookmark.boundary:\n",
        "    if False:\n",
        "tokens",
    ),
    Mutant(
        "the boundary holds what was only asked for",
        "progress.py",
        "            if place is not None and self.least is not None and place < self.least:\n                left_out.add(index)\n                continue\n",
        "",
        "zone",
    ),
    Mutant(
        "a keyset that begins without a tie-breaker isn't stepped back",
        "ascending.py",
        "return Cursor(back(value, finest(value)), plan.tie_floor), rank(value)",
        "return Cursor(value, plan.tie_floor or 10**6), rank(value)",
        "keyset",
    ),
    Mutant(
        "tokens are not remembered",
        "progress.py",
        "        self.continuations.add(continuation)\n",
        "",
        "circle",
    ),
    Mutant(
        "tokens are remembered by their last one alone",
        "progress.py",
        "        self.continuations.add(continuation)\n",
        "        self.continuations = {continuation}\n",
        "wide circle",
    ),
    Mutant(
        "STATE moves in the middle of a pass down the list",
        "descending.py",
        "return Bookmark(self.mark, frozenset(self.hashes), stretch or self.done)",
        "return Bookmark(Cursor(self.high) if self.high else None, frozenset(self.hashes), stretch)",
        "descending",
    ),
    Mutant(
        "an interrupted pass's stretch is thought to reach the top",
        "descending.py",
        "            return None  # the stretch of before isn't met yet, and it is worth more\n",
        "            pass\n",
        "descending",
    ),
    Mutant(
        "the edges of a stretch are thought to be read whole",
        "descending.py",
        "rank(self.done.low) < place < self._settled_below(self.done.high)",
        "rank(self.done.low) <= place <= rank(self.done.high)",
        "descending",
    ),
    Mutant(
        "a coarse exclusive filter is stepped back by what its values show",
        "plan.py",
        "return Cursor(back(first, measure(incremental, incremental.precision) if incremental.precision else finest(first)))",
        "return Cursor(back(first, finest(first)))",
        "precision",
    ),
    Mutant(
        "an unordered pass is bookmarked by the newest record that it saw",
        "passes.py",
        "value = written(like, window_rank(self.plan, written(like, steps * step)))",
        "value = max((find(incremental_of(self.plan).cursor_path, record) for record in page.records), key=rank)",
        "unordered",
    ),
    Mutant(
        "an unordered pass is bookmarked by the clock at its end",
        "passes.py",
        "        if self.high is None:\n            self._look_at_the_clock(page)\n",
        "        self.begun_at = page.server_time\n        self._look_at_the_clock(page)\n",
        "unordered",
    ),
    Mutant(
        "what is remembered is forgotten when the first page has come",
        "progress.py",
        "        self._move(page.records, ranks, settled)\n",
        "        self._move(page.records, ranks, settled)\n        self.finish()\n",
        "tokens",
    ),
    Mutant(
        "a walk that ends keeps no STATE of its last page",
        "ascending.py",
        "    sieve.finish()\n    yield Step(step.records, sieve.bookmark)",
        "    sieve.finish()\n    yield Step(step.records)",
        "restart",
    ),
    Mutant(
        "a tie that fills an answer is passed over",
        "ascending.py",
        "        if len(page.records) >= limit:\n            raise WalkError(",
        "        if len(page.records) >= limit + 10**6:\n            raise WalkError(",
        "single",
    ),
    Mutant(
        "a cut answer is read as the end",
        "client.py",
        '            raise TransientError(f"answered {answer.fault}")\n',
        "            return Judged(Answer(answer.url, 204, answer.headers, None), verdict, rule)\n",
        "faults",
    ),
    Mutant(
        "an answer that says 500 is read as the end",
        "client.py",
        '            raise TransientError(f"answered {answer.status}{because}", wait, limited=limited)\n',
        "            return Judged(Answer(answer.url, 204, answer.headers, None), Verdict.ACCEPT, rule)\n",
        "faults",
    ),
    Mutant(
        "a STATE of another walk is believed exactly",
        "bookmarks.py",
        "        return Bookmark(Cursor(value, cursor[incremental.tie_breaker]), known)\n    return Bookmark(Cursor(value), known, stretch)\n",
        "        return Bookmark(Cursor(value, cursor[incremental.tie_breaker]), known)\n"
        "    return Bookmark(Cursor(value, 5000), known, stretch)\n",
        "keyset",
    ),
    Mutant(
        "a record without a replication key is passed over",
        "progress.py",
        "    if value is MISSING or value is None:\n        raise AnswerError(",
        "    if value is None:\n        value = 0\n    if value is MISSING:\n        raise AnswerError(",
        "nulls",
    ),
    Mutant(
        "a range ends before its upper edge is asked for",
        "windows.py",
        "if place < lower or (upper is not None and place >= upper):",
        "if place <= lower or (upper is not None and place > upper):",
        "windows",
    ),
    Mutant(
        "STATE moves to the end of any range that is done",
        "windows.py",
        "            if each not in self.done:\n                break\n",
        "",
        "windows, several",
    ),
    Mutant(
        "a new parent's children are read from the floor of all",
        "children.py",
        "return Bookmark(Cursor(self.family.floor)) if self.cache.known([key]) else None",
        "return Bookmark(Cursor(self.family.floor))",
        "children",
    ),
    Mutant(
        "the children's floor is the clock, whatever the lag",
        "children.py",
        "bound = horizon_at(incremental, server_time)",
        "bound = horizon_at(type(incremental)(cursor_path=incremental.cursor_path, epoch=incremental.epoch), server_time)",
        "children, late",
    ),
    Mutant(
        "an interrupted pass over the parents is thought to be whole",
        "children.py",
        "return self.listed and not self.waiting and self.at_work == 0",
        "return self.listed",
        "children",
    ),
    Mutant(
        "a sweep at an interval isn't told what the walk emitted",
        "turns.py",
        "{key: content_hash(record) for key, record in latest.items() if key not in gone}, self.number",
        "{}, self.number",
        "audit",
    ),
    Mutant(
        "a sweep at an interval is never due",
        "turns.py",
        'return ["walk", *(["nulls"] if self.nulls is not None else []), *(["audit"] if self.due else [])]',
        'return ["walk", *(["nulls"] if self.nulls is not None else [])]',
        "audit",
    ),
    Mutant(
        "records without a time are not asked for",
        "turns.py",
        'return ["walk", *(["nulls"] if self.nulls is not None else []), *(["audit"] if self.due else [])]',
        'return ["walk", *(["audit"] if self.due else [])]',
        "nulls by",
    ),
    Mutant(
        "a list that shifted each time that it was read is believed",
        "passes.py",
        "    raise always_moves(plan)\n",
        "    yield Step((), whole.finished)\n",
        "unordered, pages",
    ),
    Mutant(
        "a tie is cut into two ranges",
        "windows.py",
        "        if not self._must_not_split_ties:\n            return None\n",
        "        if True:\n            return None\n",
        "windows, newest first",
    ),
    Mutant(
        "a range that is cut before a tie leaves the tie out",
        "windows.py",
        "return [(middle, self.upper), (self.lower, middle)]",
        "return [(self.lower, middle)]",
        "windows",
    ),
    Mutant(
        "the children's floor is before the initial value",
        "children.py",
        "if least is None or rank(least) < bound else least",
        "if True else least",
        "children",
        Story(
            "filter=inclusive precision=1000 late=4000 future=3000 skew=-4000 short_pages=1 empty_pages=1 has_more=1 overlap=1 initial=1 "
            "faults=1 parents=6 concurrency=3",
            2014485,
        ),
    ),
    Mutant(
        "a page behind short ones is thought to be short",
        "windows.py",
        "reached, length = self.count, listing.longest",
        "reached, length = self.count, len(listing.page.records)",
        "windows, result window",
        Story("filter=inclusive page=4 future=3000 short_pages=1 total=1 window=15 faults=1 declared=1", 2048645),
    ),
    Mutant(
        "what a falling list repeats over a seam is new",
        "descending.py",
        "or (above is not None and place == rank(above))",
        "",
        "descending",
        Story(
            "order=desc filter=none tick=1 late=1500 future=3000 skew=-4000 writing=text_ms overlap=1 initial=1",
            2046505,
        ),
    ),
    Mutant(
        "the lookback is forgotten",
        "plan.py",
        "    first = back(mark, measure(incremental, incremental.lookback))\n",
        "    first = mark\n",
        "lookback, unordered",
    ),
    Mutant(
        "a keyset asks again for what it has",
        "ascending.py",
        "        page = yield Step(records, sieve.bookmark, Ask(sieve.asked))\n        records = []\n    sieve",
        "        page = yield Step(records, sieve.bookmark, Ask(sieve.asked))\n"
        "        page = yield Step(ask=Ask(sieve.asked))\n        records = []\n    sieve",
        "keyset",
    ),
)


@dataclass(frozen=True)
class Trial:
    """What became of a mutant; `seeds` is how many schedules it took."""

    mutant: Mutant
    verdict: str
    seeds: int = 0
    findings: str = ""

    @property
    def is_good(self) -> bool:
        """Whether it was caught."""
        return self.verdict == "caught"

    def __str__(self) -> str:
        within = f" within {self.seeds} schedules: {self.findings}" if self.seeds else ""
        return f"{self.verdict:9}{self.mutant.name} ({self.mutant.file}){within}"


def tried(mutant: Mutant, *, most: int = SCHEDULES) -> Trial:
    """The mutant against the cases that could show it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / PACKAGE
        shutil.copytree(ROOT / PACKAGE, path, ignore=shutil.ignore_patterns("__pycache__"))
        text = (path / mutant.file).read_text()
        if text.count(mutant.old) != 1:
            return Trial(mutant, f"no longer applies: its text is there {text.count(mutant.old)} times;")
        (path / mutant.file).write_text(text.replace(mutant.old, mutant.new))
        if mutant.story is not None:
            told = _simulated(Path(folder), "--replay", mutant.story.quirks, "--seed", str(mutant.story.seed))
            if told.returncode == 1 and told.stdout:
                return Trial(mutant, "caught", 1, told.stdout.splitlines()[-1])
        for count in [step for step in STEPS if step < most] + [most]:
            done = _played(Path(folder), mutant, count)
            if done.returncode == 1 and (found := re.findall(r"^first finding: (.*)$", done.stdout, re.MULTILINE)):
                return Trial(mutant, "caught", count, found[0])
            if done.returncode != 0:
                return Trial(mutant, "broken", count, (done.stderr or done.stdout)[-300:])
    return Trial(mutant, "survived", most)


def _played(folder: Path, mutant: Mutant, count: int) -> subprocess.CompletedProcess[str]:
    return _simulated(folder, str(count), "--only", mutant.cases, "--processes", "1", "--stop", "--terse")


def _simulated(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "tests.simulator", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def trials(mutants: Iterable[Mutant], *, at_once: int = 0) -> Iterator[Trial]:
    """Every mutant's trial, in their order."""
    with ThreadPoolExecutor(at_once or os.cpu_count() or 1) as pool:
        yield from pool.map(tried, mutants)


def main() -> int:
    """The exit code is 1 where a mutant survived or an edit no longer applies."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator.mutants")
    parser.add_argument("--only", default="", help="a part of the mutants' names")
    parser.add_argument("--at-once", type=int, default=0, help="0: one a core")
    arguments = parser.parse_args()
    begun = time.monotonic()
    bad = 0
    chosen = [mutant for mutant in MUTANTS if arguments.only in mutant.name]
    for trial in trials(chosen, at_once=arguments.at_once):
        sys.stdout.write(f"{trial}\n")
        sys.stdout.flush()
        bad += not trial.is_good
    sys.stdout.write(f"{len(chosen) - bad} of {len(chosen)} caught in {time.monotonic() - begun:.0f} s\n")
    return int(bool(bad) or not chosen)


if __name__ == "__main__":
    sys.exit(main())
