"""Mutants: deliberate faults in the walks, each of which the simulator must find.

    python -m proofs.mutants.walks            all of them
    python -m proofs.mutants.walks --only seam

A mutant is a small edit of one definition's text, made in a copy of the package that stands first on the path of a
process which plays the cases that could show it (see `harness`). It is caught once that process has findings; one that
survives says where the simulator is blind. An edit whose text isn't there exactly once no longer applies, which is a
failure too.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from proofs.mutants import harness
from proofs.mutants.harness import BROKEN, CAUGHT, SURVIVED, Copy, Edit, Trial

PACKAGE: Final = "tap_restextract"
SCHEDULES: Final = 6000
SECONDS: Final = 300
"""A process's, of which most need a few: it ends with the first finding."""


@dataclass(frozen=True)
class Story:
    """A schedule that shows a fault so rarely met that thousands of others don't."""

    quirks: str
    seed: int


@dataclass(frozen=True)
class Mutant(harness.Mutant):
    """A fault in the walks, and a part of the names of the cases that could show it.

    One that few schedules show has a story of its own, which is tried first.
    """

    cases: str
    story: Story | None = None


MUTANTS: Final = (
    Mutant(
        "`>` for `>=`: an exclusive filter isn't stepped back",
        (Edit("cursor_from", 'if incremental.filter != "exclusive":', "if incremental.filter:"),),
        "exclusive",
    ),
    Mutant(
        "`<` for `<=`: descending ends at the first record of the floor's tie",
        (
            Edit(
                "DescendingPass.fresh",
                "if floor is not None and record_rank < floor:",
                "if floor is not None and record_rank <= floor:",
            ),
        ),
        "descending",
    ),
    Mutant(
        "repeats are known by key alone",
        (
            Edit(
                "content_hash",
                "_encoder.encode(record), digest_size=DIGEST_BYTES",
                '_encoder.encode(record.get("id")), digest_size=DIGEST_BYTES',
            ),
        ),
        "tokens",
    ),
    Mutant(
        "STATE before its records, in the keyset",
        (
            Edit(
                "keyset",
                "        page = yield Step(records, deduplicator.bookmark, request)\n        if above.records",
                "        page = yield Step((), deduplicator.bookmark, request)\n"
                "        yield Step(records, None, request)\n        if above.records",
            ),
        ),
        "keyset",
    ),
    Mutant(
        "STATE before its records, along tokens",
        (
            Edit(
                "tokens",
                "        page = yield Step(records, deduplicator.bookmark, PageRequest(start, guard.admit(page)))\n"
                "        check_follows(plan, above, page.records)\n        records = deduplicator.fresh(page, asked=start)\n    check_read",
                "        at, last = guard.admit(page), records\n"
                "        page = yield Step((), deduplicator.bookmark, PageRequest(start, at))\n"
                "        records = [*last, *deduplicator.fresh(page, asked=start)]\n    check_read",
            ),
        ),
        "tokens",
    ),
    Mutant(
        "a short page ends counted pages",
        (
            Edit(
                "_stated",
                "ended = page - paginator.base_page + 1 >= total if total is not None else count == 0",
                "ended = page - paginator.base_page + 1 >= total if total is not None else count < 3",
            ),
        ),
        "pages",
    ),
    Mutant(
        "a short page ends offsets",
        (Edit("_stated", "if more is False or count == 0 or", "if more is False or count < paginator.limit - 1 or"),),
        "offsets",
        Story("filter=inclusive paginator=offset short_pages=1", 0),
    ),
    Mutant(
        "an empty page with a token ends the list",
        (
            Edit(
                "page_of",
                "        continuation = following(stream.paginator, answer, request.at, length)\n",
                "        continuation = following(stream.paginator, answer, request.at, length) if records else None\n",
            ),
        ),
        "empty pages",
    ),
    Mutant(
        "an empty page with a token ends the keyset",
        (Edit("keyset", "while page.records or page.following is not None:", "while page.records:"),),
        "short",
    ),
    Mutant(
        "instants are compared without their zone",
        (Edit("_rank_of_text", '_of_day(time or "00:00") - _offset(offset)', '_of_day(time or "00:00")'),),
        "days",
    ),
    Mutant(
        "fractions of a second are compared as text",
        (
            Edit(
                "_rank_of_text",
                'return "instant", seconds + Decimal(f"0.{fraction}") if fraction and int(fraction) else seconds',
                'return "instant", seconds + Decimal(int(fraction)) / 1000 if fraction and int(fraction) else seconds',
            ),
        ),
        "trimmed",
    ),
    Mutant(
        "this machine's clock instead of the Date header",
        (Edit("horizon_at", "seconds = Decimal(int(server_time)) - ", "seconds = Decimal(4_000_000_000) - "),),
        "keyset",
    ),
    Mutant(
        "the clock is a second ahead",
        (Edit("horizon_at", "seconds = Decimal(int(server_time)) - ", "seconds = Decimal(int(server_time) + 1) - "),),
        "keyset",
    ),
    Mutant(
        "the lag is ignored",
        (Edit("horizon_at", "(precision_of(incremental.lag) if incremental.lag else 0)", "0"),),
        "late",
    ),
    Mutant(
        "the horizon is ignored: the mark moves to the last record",
        (Edit("Settling.count", "return bisect_left(ordered, bound)", "return len(ordered)"),),
        "future",
    ),
    Mutant(
        "the mark isn't halted: rows that join the tick behind the position",
        (
            Edit(
                "Deduplicator._advance",
                "settled = 0 if self.halted else self.settling.count(page, ranks)",
                "settled = self.settling.count(page, ranks)",
            ),
        ),
        "keyset",
    ),
    Mutant(
        "without a clock the newest value is settled",
        (
            Edit(
                "Settling.count",
                "return bisect_left(ordered, ordered[-1]) if clockless else len(ordered)",
                "return len(ordered)",
            ),
        ),
        "no clock",
    ),
    Mutant(
        "seams are never checked",
        (
            Edit(
                "Listing._reread",
                "        moved = moved_over(identities, None if next_page is None else self._identities(next_page), again)\n        if moved is None or ",
                "        moved = moved_over(identities, None if next_page is None else self._identities(next_page), again) or 0\n        if False and ",
            ),
        ),
        "pages",
    ),
    Mutant(
        "what left a page may have been drawn over the seam",
        (
            Edit(
                "moved_over",
                "return moved if joined and (next_page is None or next_page[:moved] == before[len(left) :]) else None",
                "return moved",
            ),
        ),
        "descending, pages",
    ),
    Mutant(
        "what joined the end of a page is thought to be new",
        (
            Edit(
                "moved_over",
                "joined = left == before[: len(left)] and again[-1:] == left[-1:]",
                "joined = left == before[: len(left)]",
            ),
        ),
        "unordered, pages",
        Story("order=none filter=inclusive paginator=page_number unstable_ties=1 page=3", 125),
    ),
    Mutant(
        "a seam is checked by the records that it has, not by their order",
        (Edit("moved_over", "return 0 if again == before else None", "return 0"),),
        "unstable",
        Story("filter=inclusive paginator=page_number page=3 unstable_ties=1 total=1 duplicates=1", 6473),
    ),
    Mutant(
        "a tied value is followed by pages without seams",
        (Edit("Listing.next_page", "if paginators.is_stable(paginator):", "if True:"),),
        "restart",
    ),
    Mutant(
        "a tie without a tie-breaker may lie over the seam of a list that falls",
        (
            Edit(
                "DescendingPass._check_the_seam",
                "if self.low is None or record_rank < rank(self.low) or incremental.tie_breaker or is_stable(stream.paginator):",
                "if True:",
            ),
        ),
        "descending, unstable",
    ),
    Mutant(
        "a deletion is told of what a sweep lacks, without a look",
        (
            Edit(
                "Comparison._looked_up",
                "if is_there:",
                "if False:",
            ),
        ),
        "sweep, newest first",
    ),
    Mutant(
        "a deletion is told of what shifting pages lack",
        (Edit("proof_of", "return Proof.LOOKUP if stream.lookup is not None else Proof.NONE", "return Proof.ANSWER"),),
        "sweep, pages",
    ),
    Mutant(
        "a list in an order that changes is thought to keep its records in their places",
        (
            Edit(
                "proof_of",
                "if alone and (plan.walk.has_unique_cursor or (stream.fixed_order and holds and not led)):",
                "if alone and holds and not led:",
            ),
        ),
        "sweep, newest first",
    ),
    Mutant(
        "an overlap is believed whatever is in it",
        (
            Edit(
                "Listing._next_overlapping",
                "        if overlap_length is None:\n            raise MovedSeamError\n",
                "        overlap_length = 1 if overlap_length is None else overlap_length\n",
            ),
        ),
        "descending, offsets",
    ),
    Mutant(
        "offsets overlap within ties that nothing orders",
        (
            Edit(
                "Listing.next_page",
                "            and not has_open_ties(self.plan)\n",
                "",
            ),
        ),
        "unstable",
        Story("filter=inclusive paginator=offset page=3 unstable_ties=1", 11),
    ),
    Mutant(
        "a list in no order is believed for its overlap alone",
        (
            Edit(
                "Listing._next_overlapping",
                "        if not is_ordered(self.plan):\n            self._check",
                "        if False:\n            self._check",
            ),
        ),
        "unordered, offsets",
        Story("order=none filter=inclusive paginator=offset unstable_ties=1", 0),
    ),
    Mutant(
        "a tie that nothing orders is followed over its seams",
        (Edit("_through_tie", "believed = ordered or not several or stands", "believed = True"),),
        "restart, wide unstable",
    ),
    Mutant(
        "a lookback reaches behind the initial value",
        (
            Edit(
                "earliest",
                "return window(incremental, max(first, least, key=rank))",
                "return window(incremental, first)",
            ),
        ),
        "lookback",
    ),
    Mutant(
        "a lookback does without a clock",
        (
            Edit(
                "Settling.count",
                "            if incremental_of(self.plan).lookback:\n                raise WalkError(",
                "            if False:\n                raise WalkError(",
            ),
        ),
        "lookback, offsets",
    ),
    Mutant(
        "what came late into an interrupted pass is thought to be emitted",
        (
            Edit(
                "DescendingPass._is_emitted",
                "return rank(self.emitted_range.low) < record_rank < self._settled_below(self.emitted_range.high)",
                "return rank(self.emitted_range.low) < record_rank < self._window(self.emitted_range.high)",
            ),
        ),
        "lookback, descending",
    ),
    Mutant(
        "children are bookmarked by the floor's own value, whatever their filter's precision",
        (
            Edit(
                "ChildrenWalk._final_bookmark",
                "first = rank(earliest(self.plan.stream.incremental, floor))",
                "first = rank(floor)",
            ),
        ),
        "children, tokens",
    ),
    Mutant(
        "a sweep ends with its first page",
        (
            Edit(
                "Comparison._listed",
                "        while page.following is not None:\n",
                "        if page.following is not None:\n",
            ),
        ),
        "sweep",
    ),
    Mutant(
        "the hash cache is confirmed too early",
        (Edit("SqliteHashes.begin", "            if last != trusted:\n", "            if False:\n"),),
        "sweep",
    ),
    Mutant(
        "a validator is believed though STATE does not confirm its pass",
        (Edit("confirmed_validator", "return validator if number == trusted else None", "return validator"),),
        "ETag",
    ),
    Mutant(
        "what an answer didn't repeat is told as gone",
        (Edit("Comparison.complete", "        if self.unchanged:\n            return records\n", ""),),
        "ETag",
    ),
    Mutant(
        "deletions are forgotten by the cache",
        (Edit("Comparison.complete", "        self.cache.record_deleted(gone, self.number)\n", ""),),
        "sweep",
    ),
    Mutant(
        "the boundary is dropped from STATE",
        (Edit("CursorBookmark.to_state", "        if self.boundary:\n", "        if False:\n"),),
        "tokens",
    ),
    Mutant(
        "the boundary holds what was only asked for",
        (
            Edit(
                "Deduplicator._not_below_min_rank",
                "        if self.min_rank is None:\n",
                "        if True:\n",
            ),
        ),
        "zone",
    ),
    Mutant(
        "a keyset that begins without a tie-breaker isn't stepped back",
        (
            Edit(
                "_keyset_start",
                "return Cursor(window(incremental, step_back(first, resolution_of(first))), plan.tie_floor), rank(first)",
                "return Cursor(value, plan.tie_floor or 10**6), rank(value)",
            ),
        ),
        "keyset",
    ),
    Mutant(
        "tokens are not remembered",
        (Edit("CycleGuard.admit", "        self.continuations.add(continuation)\n", ""),),
        "circle",
    ),
    Mutant(
        "tokens are remembered by their last one alone",
        (
            Edit(
                "CycleGuard.admit",
                "        self.continuations.add(continuation)\n",
                "        self.continuations = {continuation}\n",
            ),
        ),
        "wide circle",
    ),
    Mutant(
        "STATE moves in the middle of a pass down the list",
        (
            Edit(
                "DescendingPass.bookmark",
                "return DescendingBookmark(self.mark, frozenset(self.hashes), emitted_range=emitted_range)",
                "return DescendingBookmark(Cursor(self.high) if self.high else None, frozenset(self.hashes), emitted_range=emitted_range)",
            ),
        ),
        "descending",
    ),
    Mutant(
        "an interrupted pass's stretch is met before what came late to it is read",
        (
            Edit(
                "DescendingPass._emitted_range",
                "if rank(self.proven) >= self._settled_below(self.emitted_range.high):",
                "if rank(self.proven) >= self._window(self.emitted_range.high):",
            ),
        ),
        "lookback, descending",
        Story("order=desc filter=none late=3000 lookback=1", 300496),
    ),
    Mutant(
        "an interrupted pass's stretch is thought to reach the top",
        (
            Edit(
                "DescendingPass._emitted_range",
                "            return None  # the range emitted before isn't met yet, and it is worth more\n",
                "            pass\n",
            ),
        ),
        "descending",
    ),
    Mutant(
        "the edges of a stretch are thought to be read whole",
        (
            Edit(
                "DescendingPass._is_emitted",
                "rank(self.emitted_range.low) < record_rank < self._settled_below(self.emitted_range.high)",
                "rank(self.emitted_range.low) <= record_rank <= rank(self.emitted_range.high)",
            ),
        ),
        "descending",
    ),
    Mutant(
        "a coarse exclusive filter is stepped back by what its values show",
        (
            Edit(
                "cursor_from",
                "return Cursor(window(incremental, step_back(first, least_step(incremental, first))))",
                "return Cursor(step_back(first, resolution_of(first)))",
            ),
        ),
        "precision",
    ),
    Mutant(
        "an unordered pass is bookmarked by the newest record that it saw",
        (
            Edit(
                "FullPass._read_clock",
                "value = format_like(like, window_rank(self.plan, format_like(like, steps * step)))",
                "value = max((find(incremental_of(self.plan).cursor_path, record) for record in page.records), key=rank)",
            ),
        ),
        "unordered",
    ),
    Mutant(
        "an unordered pass is bookmarked by the clock at its end",
        (
            Edit(
                "FullPass.fresh",
                "        if self.high is None:\n            self._read_clock(page)\n",
                "        self.begun_at = page.server_time\n        self._read_clock(page)\n",
            ),
        ),
        "unordered",
    ),
    Mutant(
        "what is remembered is forgotten when the first page has come",
        (
            Edit(
                "Deduplicator._advance",
                "        self._move(page.records, ranks, settled)\n",
                "        self._move(page.records, ranks, settled)\n        self.finish()\n",
            ),
        ),
        "tokens",
    ),
    Mutant(
        "a walk that ends keeps no STATE of its last page",
        (
            Edit(
                "restart",
                "    deduplicator.finish()\n    yield Step(step.records, deduplicator.bookmark)",
                "    deduplicator.finish()\n    yield Step(step.records)",
            ),
        ),
        "restart",
    ),
    Mutant(
        "a tie that fills an answer is passed over",
        (
            Edit(
                "single",
                "        if page.counted >= limit:\n            raise WalkError(",
                "        if page.counted >= limit + 10**6:\n            raise WalkError(",
            ),
        ),
        "single",
    ),
    Mutant(
        "a cut answer is read as the end",
        (
            Edit(
                "judge",
                '        raise TransientError(f"answered {answer.fault}{page}")\n',
                "        return JudgedAnswer(Answer(answer.url, type(answer.facts)(204, answer.headers), None), verdict, rule)\n",
            ),
        ),
        "faults",
    ),
    Mutant(
        "an answer that says 500 is read as the end",
        (
            Edit(
                "judge",
                '        raise TransientError(f"answered {answer.status}{because}", wait, limited=limited, said=answer.own_words)\n',
                "        return JudgedAnswer(Answer(answer.url, type(answer.facts)(204, answer.headers), None), Verdict.ACCEPT, rule)\n",
            ),
        ),
        "faults",
    ),
    Mutant(
        "a STATE of another walk is believed exactly",
        (
            Edit(
                "KeysetBookmark._cursor",
                "            return Cursor(value, parts[tie_breaker])\n        return Cursor(value)\n",
                "            return Cursor(value, parts[tie_breaker])\n        return Cursor(value, 5000)\n",
            ),
        ),
        "keyset",
    ),
    Mutant(
        "a record without a replication key is passed over",
        (Edit("NullKeys._take", "            self.taken.append(record)", "            pass"),),
        "nulls",
    ),
    Mutant(
        "STATE moves before the end of a list whose last records have no replication key",
        (
            Edit(
                "NullKeys._bookmark",
                "if self.is_whole and step.request is not None and holds_first_pass(self.plan.stream):",
                "if not holds_first_pass:",
            ),
        ),
        "nulls last",
    ),
    Mutant(
        "a range ends before its upper edge is asked for",
        (
            Edit(
                "SliceReader._fresh",
                "if record_rank < lower or (upper is not None and record_rank >= upper):",
                "if record_rank <= lower or (upper is not None and record_rank > upper):",
            ),
        ),
        "windows",
    ),
    Mutant(
        "STATE moves to the end of any range that is done",
        (Edit("TimeSlices.translate", "            if each not in self.done:\n                break\n", ""),),
        "windows, several",
    ),
    Mutant(
        "a new parent's children are read from the floor of all",
        (
            Edit(
                "ChildrenWalk._bookmark",
                "return kind(Cursor(self.bookmark.floor)) if self.cache.known_hashes([key]) else None",
                "return kind(Cursor(self.bookmark.floor))",
            ),
        ),
        "children",
    ),
    Mutant(
        "the children's floor is the clock, whatever the lag",
        (
            Edit(
                "ChildrenWalk._read_clock",
                "bound = horizon_at(incremental, server_time, incremental.initial_value)",
                "bound = horizon_at(type(incremental)(cursor_path=incremental.cursor_path, epoch=incremental.epoch), server_time)",
            ),
        ),
        "children, late",
    ),
    Mutant(
        "an interrupted pass over the parents is thought to be whole",
        (
            Edit(
                "ChildrenWalk._is_done",
                "return self.listed and not self.waiting and self.active_count == 0",
                "return self.listed",
            ),
        ),
        "children",
    ),
    Mutant(
        "a sweep at an interval isn't told what the walk emitted",
        (
            Edit(
                "CombinedWalk._remember",
                "{key: content_hash(record) for key, record in latest.items() if key not in gone}, self.number",
                "{}, self.number",
            ),
        ),
        "audit",
    ),
    Mutant(
        "a sweep at an interval is never due",
        (
            Edit(
                "CombinedWalk._sub_walk_names",
                '            *(["reconciliation"] if self.is_reconciliation_due else []),\n',
                "",
            ),
        ),
        "audit",
    ),
    Mutant(
        "records without a time are not asked for",
        (
            Edit(
                "CombinedWalk._sub_walk_names",
                '            *(["nulls"] if self.nulls is not None else []),\n',
                "",
            ),
        ),
        "nulls by",
    ),
    Mutant(
        "a list that shifted each time that it was read is believed",
        (Edit("unordered", "    raise unstable_list_error(plan)\n", "    yield Step((), full_pass.final_bookmark)\n"),),
        "unordered, pages",
    ),
    Mutant(
        "a tie is cut into two ranges",
        (
            Edit(
                "SliceReader._tie_over",
                "        if not self._must_not_split_ties:\n            return None\n",
                "        if True:\n            return None\n",
            ),
        ),
        "windows, newest first",
    ),
    Mutant(
        "a range that is cut before a tie leaves the tie out",
        (
            Edit(
                "SliceReader._cut_before",
                "return [(middle, self.upper), (self.lower, middle)]",
                "return [(self.lower, middle)]",
            ),
        ),
        "windows",
    ),
    Mutant(
        "the children's floor is before the initial value",
        (
            Edit(
                "ChildrenWalk._read_clock",
                "if least is None or rank(least) < bound else least",
                "if True else least",
            ),
        ),
        "children",
        Story(
            "filter=inclusive precision=1000 late=4000 future=3000 skew=-4000 short_pages=1 empty_pages=1 has_more=1 overlap=1 initial=1 "
            "faults=1 parents=6 concurrency=3",
            2014485,
        ),
    ),
    Mutant(
        "a page behind short ones is thought to be short",
        (
            Edit(
                "SliceReader._is_full",
                "reached, length = self.count, listing.max_page_length",
                "reached, length = self.count, len(listing.page.records)",
            ),
        ),
        "windows, result window",
        Story("filter=inclusive page=4 short_pages=1 total=1 has_more=1 window=15 declared=1", 6683),
    ),
    Mutant(
        "what a falling list repeats over a seam is new",
        (Edit("DescendingPass.fresh", "or (above is not None and record_rank == rank(above))", ""),),
        "descending",
        Story(
            "order=desc filter=none tick=1 late=1500 future=3000 skew=-4000 writing=text_ms overlap=1 initial=1",
            2046505,
        ),
    ),
    Mutant(
        "the lookback is forgotten",
        (
            Edit(
                "earliest",
                "    first = step_back(mark, measure(incremental, incremental.lookback))\n",
                "    first = mark\n",
            ),
        ),
        "lookback, unordered",
    ),
    Mutant(
        "a keyset asks again for what it has",
        (
            Edit(
                "keyset",
                "        page = yield Step(records, deduplicator.bookmark, request)\n        if above.records",
                "        page = yield Step(records, deduplicator.bookmark, request)\n"
                "        page = yield Step(request=request)\n        if above.records",
            ),
        ),
        "keyset",
    ),
)


def tried(mutant: Mutant, *, most: int = SCHEDULES) -> Trial:
    """The mutant against the cases that could show it."""

    def attempt(copy: Copy) -> Trial:
        if mutant.story is not None:
            told = _simulated(copy, "--replay", mutant.story.quirks, "--seed", str(mutant.story.seed))
            if told.returncode == 1 and told.stdout:
                return Trial(mutant, CAUGHT, 1, told.stdout.splitlines()[-1])
        done = _simulated(copy, str(most), "--only", mutant.cases, "--processes", "1", "--stop", "--terse")
        found = re.search(r"^first finding: (.*, seed (\d+), .*)$", done.stdout, re.MULTILINE)
        if done.returncode == 1 and found:
            return Trial(mutant, CAUGHT, int(found[2]) + 1, found[1])
        if done.returncode != 0:
            return Trial(mutant, BROKEN, most, (done.stderr or done.stdout)[-300:])
        return Trial(mutant, SURVIVED, most)

    return harness.tried(mutant, PACKAGE, attempt)


def _simulated(copy: Copy, *arguments: str) -> subprocess.CompletedProcess[str]:
    return copy.run("-m", "proofs.simulate", *arguments, seconds=SECONDS)


def trials(mutants: Iterable[Mutant], *, at_once: int = 0) -> Iterator[Trial]:
    """Every mutant's trial, in their order."""
    with ThreadPoolExecutor(at_once or os.cpu_count() or 1) as pool:
        yield from pool.map(tried, mutants)


def main() -> int:
    """The exit code is 1 where a mutant survived or an edit no longer applies."""
    parser = argparse.ArgumentParser(prog="python -m proofs.mutants.walks")
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
