"""Evidence: whether an answer of a schedule contradicts what the configuration states, whoever looks at it.

Each function is given the answers that came, in their order, and what the configuration states; it is true where one of
them, or two of them together, can't be an honest API's. A client that remembers all that it was told could know.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from proofs.simulate.api import Api, Reply, Row
from proofs.simulate.quirks import Quirks


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
    """

    path: str
    params: tuple[tuple[str, str], ...]
    at: int
    records: tuple[dict[str, Any], ...]
    rows: tuple[Row, ...]
    seen: tuple[Row, ...]
    continued: bool
    run: int = 0

    def is_first(self, claimed: Quirks) -> bool:
        """Whether it is the first page of its list, as the configuration counts pages."""
        asked, first = dict(self.params), str(claimed.first)
        return "token" not in asked and asked.get("offset", "0") == "0" and asked.get("page", first) == first


@dataclass
class WitnessedApi(Api):
    """An API that keeps what it answered."""

    answers: list[Answer] = field(default_factory=list)
    run: int = 0

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
            self.answers.append(Answer(path, tuple(params.items()), at, records, rows, seen, continued, self.run))
        return reply


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

    Of each path alone: the list of one parent says nothing of another's.
    """
    shown: defaultdict[str, set[tuple[Any, int]]] = defaultdict(set)
    for answer in answers:
        known = shown[answer.path]
        if answer.is_first(claimed) and "since" in dict(answer.params):
            expected = _stated_selection(claimed, answer, known)
            here = {(row.id, row.rev) for row in answer.rows}
            if any((row.id, row.rev) not in here for row in _reached(claimed, answer, expected)):
                return True
        known |= {(row.id, row.rev) for row in answer.rows}
    return False


def _stated_selection(claimed: Quirks, answer: Answer, shown: set[tuple[Any, int]]) -> list[Row]:
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

    Of what the runs before it were told a run knows what STATE keeps: the boundary, and nothing of what is behind it.
    """
    over, met = claimed.lag + 1000, set()
    for index, answer in enumerate(answers):
        for row in answer.rows:
            if row.updated is None or (row.id, row.rev) in met:
                continue
            met.add((row.id, row.rev))
            if any(
                before.run == answer.run
                and before.path == answer.path
                and row.updated + over < before.at
                and _covered(claimed, before, row)
                for before in answers[:index]
            ):
                return True
    return False


def _covered(claimed: Quirks, before: Answer, row: Row) -> bool:
    """Whether an earlier answer had the row's place, and not this row."""
    if row.updated is None or any((row.id, row.rev) == (other.id, other.rev) for other in before.rows):
        return False
    times = [other.updated for other in before.rows if other.updated is not None]
    if not times:
        return False
    return min(times) < row.updated < max(times) and claimed.order != "none"


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


def never(claimed: Quirks, answers: Answers) -> bool:
    """No answer can."""
    del claimed, answers
    return False
