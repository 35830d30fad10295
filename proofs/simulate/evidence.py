"""Evidence: whether an answer of a schedule contradicts what the configuration states, whoever looks at it.

Each function is given the answers that came, in their order, and what the configuration states; it is true where one of
them, or two of them together, can't be an honest API's. A client that remembers all that it was told could know.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from proofs.simulate.api import Api, Reply, Row, written
from proofs.simulate.quirks import Quirks
from tap_restextract.plan.keys import content_hash

Version = tuple[Any, int]
"""A record's id and its revision."""


@dataclass(frozen=True)
class Answer:
    """One answer of a list.

    Attributes:
        path: which list.
        params: what was asked.
        at: the API's clock, in milliseconds, as its Date header shows it.
        records: as they were shown.
        rows: what is behind each of them.
        seen: every row that anybody could see then.
        continued: something asks for a page behind this one.
        run: which run of the tap asked; what a run knows of those before it is what STATE keeps.
        kept: which versions STATE named when that run began.
        resumed: that STATE was not empty.
        leads_on: what asks for the next page is where the configuration reads it.
        flag: what the answer's has_more says; None where it says nothing.
        total: the total in it, likewise.
        names: the ids by which the rows of `seen` are shown.
    """

    path: str
    params: tuple[tuple[str, str], ...]
    at: int
    records: tuple[dict[str, Any], ...]
    rows: tuple[Row, ...]
    seen: tuple[Row, ...]
    continued: bool
    run: int = 0
    kept: frozenset[Version] = frozenset()
    resumed: bool = False
    leads_on: bool = False
    flag: bool | None = None
    total: int | None = None
    names: tuple[Any, ...] = ()

    def is_first(self, claimed: Quirks) -> bool:
        """Whether it is the first page of its list, as the configuration counts pages."""
        asked, first = dict(self.params), str(claimed.first)
        return "token" not in asked and asked.get("offset", "0") == "0" and asked.get("page", first) == first


@dataclass
class WitnessedApi(Api):
    """An API that keeps what it answered."""

    answers: list[Answer] = field(default_factory=list)
    run: int = 0
    kept: frozenset[Version] = frozenset()
    resumed: bool = False
    versions: dict[str, Version] = field(default_factory=dict)

    def begin(self, state: Mapping[str, Any]) -> None:
        """Take down that a run begins with a STATE."""
        self.run += 1
        self.kept = frozenset(self.versions[each] for each in _boundaries(state) if each in self.versions)
        self.resumed = bool(state)

    def answer(self, path: str, params: dict[str, str], known: str | None = None) -> Reply:
        """What the API answers now, kept."""
        reply = super().answer(path, params, known)
        if reply.status == 200 and isinstance(reply.body["data"], list) and path != "/parents":
            by_rev = {(self.shown_id(row), row.rev): row for row in self.visible()}
            records = tuple(reply.body["data"])
            rows = tuple(by_rev[record["id"], record["rev"]] for record in records)
            continued = "next" in reply.body or bool(self.quirks.renamed and self.quirks.renamed in reply.body)
            at = self.now + self.quirks.skew
            seen = tuple(by_rev.values())
            self.versions |= {
                content_hash(record): (row.id, row.rev) for record, row in zip(records, rows, strict=True)
            }
            asked = tuple(params.items())
            self.answers.append(
                Answer(
                    path,
                    asked,
                    at,
                    records,
                    rows,
                    seen,
                    continued,
                    self.run,
                    self.kept,
                    self.resumed,
                    "next" in reply.body,
                    reply.body.get("has_more"),
                    reply.body.get("total"),
                    tuple(name for name, _ in by_rev),
                )
            )
        return reply


def _boundaries(part: Any) -> Iterator[str]:
    """Yield the hashes that a STATE, or a part of it, has as boundaries."""
    if isinstance(part, Mapping):
        for name, below in part.items():
            yield from below if name == "boundary" else _boundaries(below)


Answers = Sequence[Answer]
Evidence = Callable[[Quirks, Answers], bool]


def out_of_order(claimed: Quirks, answers: Answers) -> bool:
    """Whether the times of a page, or over a seam of stable tokens, go the other way than it is stated."""
    sign = -1 if claimed.order == "desc" else 1
    last: int | None = None
    for answer in answers:
        times = [sign * row.updated for row in answer.rows if row.updated is not None]
        if any(above > below for above, below in pairwise(times)):
            return True
        if (
            claimed.tokens
            and claimed.stable
            and not answer.is_first(claimed)
            and last is not None
            and times
            and times[0] < last
        ):
            return True
        last = times[-1] if times else last
    return False


def a_known_one_is_missing(claimed: Quirks, answers: Answers) -> bool:
    """Whether a record that was shown before, and is still as it was, is not where the stated filter must have it.

    Of each path alone: the list of one parent says nothing of another's. What was shown in the same run may be asked
    for again where it was shown, unless it changes in the run: then two copies of the data, one of which lags, look
    alike. Of the runs before it, a run knows the hashes that STATE keeps; that one is missing is what a change looks
    like, too, so an answer of the run must have it.
    """
    shown: defaultdict[tuple[str, int], set[Version]] = defaultdict(set)
    lasting = {answer.run: {(row.id, row.rev) for row in answer.seen} for answer in answers}
    later = {answer.run: set[Version]() for answer in answers}
    for answer in answers:
        later[answer.run] |= {(row.id, row.rev) for row in answer.rows}
    for answer in answers:
        here = {(row.id, row.rev) for row in answer.rows}
        known = shown[answer.path, answer.run] | (answer.kept & later[answer.run])
        if answer.is_first(claimed) and "since" in dict(answer.params):
            expected = _stated_selection(claimed, answer, known & lasting[answer.run])
            if any((row.id, row.rev) not in here for row in _reached(claimed, answer, expected)):
                return True
        shown[answer.path, answer.run] |= here
    return False


def _stated_selection(claimed: Quirks, answer: Answer, shown: AbstractSet[Version]) -> list[Row]:
    parent = int(answer.path.split("/")[2]) if answer.path.count("/") > 1 else 0
    known = {
        row.id: replace(row, visible=0)
        for row in answer.seen
        if (row.id, row.rev) in shown and parent in {row.parent, 0}
    }
    honest = Api(claimed, random.Random(0), rows=known)
    return list(honest.selected(dict(answer.params)))


def _reached(claimed: Quirks, answer: Answer, expected: Sequence[Row]) -> Iterator[Row]:
    """Those of the rows that this page can't have left to the pages behind it."""
    times = [row.updated for row in answer.rows if row.updated is not None]
    is_end = not answer.continued and claimed.tokens
    for row in expected:
        if is_end or (row.updated is not None and times and _before(claimed, row.updated, times[-1])):
            yield row


def _before(claimed: Quirks, updated: int, last: int) -> bool:
    return {"asc": updated < last, "desc": updated > last}.get(claimed.order, False)


def came_late(claimed: Quirks, answers: Answers) -> bool:
    """Whether a version came that an answer of the same run should have had, as its time and the stated lag were over.

    Of what the runs before it were told a run knows what STATE keeps: the boundary, and nothing of what is before it.
    What shares the newest settled time of an answer may still come: a time may stand for a minute, and be read again.
    """
    met = set()
    for index, answer in enumerate(answers):
        for row in answer.rows:
            if row.updated is None or (row.id, row.rev) in met:
                continue
            met.add((row.id, row.rev))
            if any(
                before.run == answer.run and before.path == answer.path and _covered(claimed, before, row)
                for before in answers[:index]
            ):
                return True
    return False


def _covered(claimed: Quirks, before: Answer, row: Row) -> bool:
    """Whether an earlier answer had the row's place, between two times that were settled, and not this row."""
    if row.updated is None or any(row.id == other.id for other in before.rows):
        return False
    least = 1 if claimed.tick % 1000 else 1000
    over = claimed.lag + (claimed.late + claimed.tick if claimed.lookback else 0)
    bound = (before.at // 1000 * 1000 - over) // least * least
    times = [other.updated for other in before.rows if other.updated is not None]
    settled = [each for each in times if each < bound]
    return bool(settled) and min(times) < row.updated < max(settled) and claimed.order != "none"


def ties_stand_in_no_order(claimed: Quirks, answers: Answers) -> bool:
    """Whether ties of one run rise and fall by their tie-breaker, as numbers and as texts.

    Texts are ordered by rules that nobody tells, and records without time by nothing that is stated. Where each page is
    asked for from the last time on, no other ties than those that fill a page to its end need an order.
    """
    restarts = claimed.order == "asc" and not claimed.ranges
    left: dict[int, set[str]] = {}
    for answer in answers:
        orders = left.setdefault(answer.run, {"numbers rise", "numbers fall", "texts rise", "texts fall"})
        for one, other in pairwise(answer.records):
            above, below = (each.get("rank" if claimed.tie != "id" else "id") for each in (one, other))
            fills = len(answer.records) >= claimed.page and other["updated_at"] == answer.records[-1]["updated_at"]
            if (
                one["updated_at"] == other["updated_at"] is not None
                and (fills or not restarts)
                and isinstance(above, int)
                and isinstance(below, int)
                and above != below
            ):
                orders -= {f"numbers {'fall' if above < below else 'rise'}"}
                orders -= {f"texts {'fall' if str(above) < str(below) else 'rise'}"}
        if not orders:
            return True
    return False


def two_share_a_tie(claimed: Quirks, answers: Answers) -> bool:
    """Whether two records were shown with one time and one tie-breaker."""
    del claimed
    shown: dict[tuple[Any, Any], Any] = {}
    for answer in answers:
        for record in answer.records:
            place = (record["updated_at"], record.get("rank"))
            if shown.setdefault(place, record["id"]) != record["id"]:
                return True
    return False


def a_null_is_shown(claimed: Quirks, answers: Answers) -> bool:
    """Whether a record without time was shown."""
    del claimed
    return any(row.updated is None for answer in answers for row in answer.rows)


def a_time_is_shown(claimed: Quirks, answers: Answers) -> bool:
    """Whether a record with a time was shown."""
    del claimed
    return any(row.updated is not None for answer in answers for row in answer.rows)


def cut_short(claimed: Quirks, answers: Answers) -> bool:
    """Whether an answer that had room for more lacks a record which was there then, and which an answer has shown."""
    shown = {(row.id, row.rev) for answer in answers for row in answer.rows}
    for answer in answers:
        if 0 < len(answer.rows) < claimed.page:
            here = {(row.id, row.rev) for row in answer.rows}
            if any((row.id, row.rev) not in here for row in _stated_selection(claimed, answer, shown)):
                return True
    return False


def more_was_there(claimed: Quirks, answers: Answers) -> bool:
    """Whether records are behind an end that an answer states, and were shown, or could be by one page more.

    A run without STATE may ask for that page, behind its first list that ends so, where anything asks for it: a token,
    or a number. What is shown must have been there when the end was stated, and be no record that is known by its id.
    Whether what is at a range's end is in the range is anybody's guess.
    """
    ended: set[tuple[int, str, bool]] = set()
    for index, answer in enumerate(answers):
        same = [each for each in answers if _list_of(each) == _list_of(answer)]
        before = {(row.id, row.rev) for each in answers[: index + 1] if each in same for row in each.rows}
        pages = sum(each in same for each in answers[: index + 1])
        reached = pages if claimed.paginator == "page_number" else len(before)
        is_end = (claimed.has_more and answer.flag is False) or (
            claimed.total and answer.total is not None and answer.total <= reached
        )
        if not is_end:
            continue
        is_first_end, ended = _list_of(answer) not in ended, ended | {_list_of(answer)}
        known = {record["id"] for each in answers[: index + 1] if each in same for record in each.records}
        seen = {(row.id, row.rev) for row, name in zip(answer.seen, answer.names, strict=True) if name not in known}
        until = dict(answer.params).get("until")
        there = {
            (row.id, row.rev)
            for row in _stated_selection(claimed, answer, seen)
            if until is None or row.updated is None or written(claimed, row.updated) != until
        }
        after = [each for each in answers[index + 1 :] if each in same]
        if _came_from(claimed, there - before, after):
            return True
        may_ask = claimed.counted or answer.leads_on
        if is_first_end and not after and may_ask and not answer.resumed and there - before:
            return True
    return False


def _came_from(claimed: Quirks, hidden: AbstractSet[Version], after: Answers) -> bool:
    """Whether answers after a stated end show what was behind it; where nothing tells times, it may have come since.

    Then a first page must lack it still, once it came behind: else both are as of a list that it has joined.
    """
    for index, answer in enumerate(after):
        came = hidden & {(row.id, row.rev) for row in answer.rows}
        firsts = [each for each in after[index + 1 :] if each.is_first(claimed)]
        lacked = {
            version
            for each in firsts
            for version in {(row.id, row.rev) for row in each.seen} - {(row.id, row.rev) for row in each.rows}
        }
        if came if not claimed.timeless else came & lacked:
            return True
    return False


def _list_of(answer: Answer) -> tuple[int, str, bool]:
    """Which list of which run an answer is of: records without time may have one of their own."""
    return answer.run, answer.path, "nulls" in dict(answer.params)


def a_page_lost_some(claimed: Quirks, answers: Answers) -> bool:
    """Whether a page that a token asks for was asked for again, and lacked what it had had, and what is still there."""
    del claimed
    first: dict[Any, Answer] = {}
    for answer in answers:
        if "token" not in dict(answer.params):
            continue
        before = first.setdefault((answer.run, answer.path, answer.params), answer)
        here, there = ({(row.id, row.rev) for row in rows} for rows in (answer.rows, answer.seen))
        if any((row.id, row.rev) in there - here for row in before.rows):
            return True
    return False


def more_is_told(claimed: Quirks, answers: Answers) -> bool:
    """Whether an answer has a token, a total of more than it holds, or a flag by which more follows."""
    del claimed
    return any(answer.continued or answer.flag is True or (answer.total or 0) > len(answer.rows) for answer in answers)


def never(claimed: Quirks, answers: Answers) -> bool:
    """No answer can."""
    del claimed, answers
    return False
