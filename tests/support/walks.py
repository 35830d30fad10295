"""Walks driven by hand: an API of a few records in memory, or pages written out, and what the walk made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tap_restextract.exchange.paginators import Number, Start, Token
from tap_restextract.plan.bookmarks.protocol import Bookmark
from tap_restextract.plan.bookmarks.state import from_state, to_state
from tap_restextract.plan.plan import Plan
from tap_restextract.values.cursor import rank
from tap_restextract.walks.steps import Page, PageRequest, Record
from tap_restextract.walks.table import stream_walk_for, walk

LATER = 4_102_444_800.0  # 2100-01-01: a server's clock at which every record of these tests is settled
Answers = Callable[[PageRequest], Page]


@dataclass
class Read:
    """What one run of a walk asked, wrote and kept."""

    asks: list[PageRequest] = field(default_factory=list)
    pages: list[Sequence[Record]] = field(default_factory=list)
    states: list[dict[str, Any] | None] = field(default_factory=list)

    @property
    def ids(self) -> list[Any]:
        """The written records' ids, in their order."""
        return [record["id"] for page in self.pages for record in page]

    @property
    def state(self) -> dict[str, Any]:
        """The last STATE of the run."""
        return next((state for state in reversed(self.states) if state is not None), {})


def drive(
    plan: Plan, answers: Answers, state: dict[str, Any] | None = None, *, read: Read | None = None, most: int = 60
) -> Read:
    """Run the plan's walk to its end; more than `most` requests are a walk without one."""
    read = Read() if read is None else read
    bookmark: Bookmark | None = from_state(plan, state or {})
    steps = walk(plan, bookmark)
    step = next(steps)
    while True:
        read.pages.append(step.records)
        read.states.append(None if step.bookmark is None else to_state(plan, step.bookmark))
        if step.request is None:
            return read
        read.asks.append(step.request)
        assert len(read.asks) <= most, "the walk has no end"
        step = steps.send(answers(step.request))


def run_once(
    made: Plan, answers: Answers, state: dict[str, Any], *, now: str, most: int
) -> tuple[list[int], dict[str, Any]]:
    """Run all walks of a stream, one after another: the ids that came out, and STATE at the end.

    Args:
        made: the stream's plan.
        answers: the API.
        state: what the run goes on from.
        now: this machine's clock, ISO 8601.
        most: so many requests are a stream without an end.
    """
    stream_walk = stream_walk_for(made, from_state(made, state), now=now)
    ids: list[int] = []
    asked = 0
    while (sub_walk := stream_walk.next()) is not None:
        step = next(sub_walk.steps)
        while True:
            ids += [record["id"] for record in step.records]
            translated = stream_walk.translate(sub_walk, step)
            if translated.bookmark is not None:
                state = to_state(made, translated.bookmark)
            if step.request is None:
                break
            assert asked < most, "the walk asks without end"
            asked += 1
            step = sub_walk.steps.send(answers(step.request))
    return ids, state


def pages(*script: Page) -> Answers:
    """These pages in turn, whatever is asked; asking for more is a fault of the walk."""
    left = list(script)
    return lambda _: left.pop(0)


def at(second: float | str, key: Any = 1, **more: Any) -> Record:
    """A record of this second of a minute in 2026, with this id."""
    return {"id": key, "updated_at": f"2026-01-01T00:00:{second:02}Z", **more}


def compound(records: Sequence[Record], size: int = 2, clock: float | None = LATER) -> Answers:
    """An API that answers `size` records strictly behind (updated_at, id)."""

    def answers(ask: PageRequest) -> Page:
        ordered = sorted(records, key=lambda record: (rank(record["updated_at"]), record["id"]))
        if ask.cursor is not None:
            place = (rank(ask.cursor.value), ask.cursor.tie)
            ordered = [record for record in ordered if (rank(record["updated_at"]), record["id"]) > place]
        return Page(ordered[:size], Token("more") if len(ordered) > size else None, clock)

    return answers


def inclusive(
    records: Sequence[Record], size: int = 2, *, kind: str = "number", clock: float | None = LATER, precision: int = 0
) -> Answers:
    """An API that answers records from updated_at on (of a whole multiple of `precision` seconds), in pages."""

    def place(record: Record) -> Any:
        value = rank(record["updated_at"])
        return value // precision if precision else value

    def answers(ask: PageRequest) -> Page:
        ordered = sorted(records, key=lambda record: (rank(record["updated_at"]), record["id"]))
        if ask.cursor is not None:
            since = place({"updated_at": ask.cursor.value})
            ordered = [record for record in ordered if place(record) >= since]
        if kind == "token":
            start = int(ask.at.value) if isinstance(ask.at, Token) else 0
            following: Any = Token(start + size)
        elif kind == "offset":
            start = ask.at.offset if isinstance(ask.at, Start) else 0
            following = Start(start + len(ordered[start : start + size]))
        else:
            number = ask.at.page if isinstance(ask.at, Number) else 0
            start, following = number * size, Number(number + 1)
        page = ordered[start : start + size]
        ended = start + size >= len(ordered) if kind == "token" else not page
        return Page(page, None if ended else following, clock)

    return answers
