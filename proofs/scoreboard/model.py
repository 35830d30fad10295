"""A case: what an API holds at each run, what it does while it is read, and what must come out.

A record is `id`, `updated_at` and `version`; the version tells its contents apart. Before each run the API is in the
next phase. The truth is what the last phase shows, in its newest versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Final, Literal

Record = Mapping[str, Any]
Version = tuple[int, int | str]

START: Final = datetime(2025, 1, 1, tzinfo=timezone.utc)
NOW: Final = "now"  # the instant at which the phase begins
DELETED: Final = "deleted"


def moment(seconds: float) -> str:
    """The instant so many seconds into 2025, in milliseconds where it has some."""
    value = (START + timedelta(seconds=seconds)).isoformat(
        timespec="seconds" if seconds == int(seconds) else "milliseconds"
    )
    return value.replace("+00:00", "Z")


def record(key: int, seconds: float, version: int = 1) -> Record:
    """A record of this instant."""
    return {"id": key, "updated_at": moment(seconds), "version": version}


def records(*seconds: float) -> tuple[Record, ...]:
    """Records of these instants, their ids counted from 1."""
    return tuple(record(key, second) for key, second in enumerate(seconds, 1))


@dataclass(frozen=True)
class Api:
    """What the API's documentation says, and below that what it does besides.

    Attributes:
        order: of the list, by updated_at; ties are ascending by id in each.
        filter: of the parameter `since`; `until` is always inclusive.
        precision: seconds; `since` and `until` are rounded down to it. The filter > compares values rounded down, too.
        behind: `after_id` beside `since` asks strictly behind (updated_at, id).
        pages: how the list is paged: page=1, offset=0, or the token `next` of an answer in `cursor`.
        size: the most records of a page, which `limit` can't raise.
        window: how many records of a list can be reached by pages at all; asking for more is answered 400.
        clock: the Date header in seconds into 2025, for each phase; a second after the phase's newest record without.
        hidden: ids that are counted in pages but not shown, as where a page is filtered after it was cut.
        circle: the third page's token is the second's again.
        overlap: each page begins with the last record of the page before.
        moves: in the first phase, what changes before the request of this number is answered.
        failover: in the first phase from the request of this number on, ties come in the reverse order.
        restless: the order of ties is another one at each request.
        faults: in the first phase, how the request of this number fails.
        stalls: in the first phase, the number of the request that is never answered, so that the client can be killed.
        has_more: whether an answer says by `hasMore` that pages follow, where they are counted.
        has_link: whether it says so by a Link header.
        not_found: whether a page after the last is answered 404.
        token_path: where an answer has its token.
        end_flag: each page has a token, and `end` is true on the last.
        endless: pages after the last are empty, and have a new token each.
        ignored: parameters that change nothing.
        hours: how much later than it says the filter takes `since` to be.
        left_out: whether an answer without records has no `data`.
        barred: in the first phase, the parents whose children are answered 403.
        orders: how many records each order holds; the list is one of orders then, each with its `lines`.
    """

    order: Literal["ascending", "descending"] = "ascending"
    filter: Literal[">=", ">", "none"] = ">="
    precision: int = 0
    behind: bool = False
    pages: Literal["page", "offset", "token"] = "page"
    size: int = 5
    window: int | None = None
    clock: tuple[float, ...] | Literal["real"] = ()
    hidden: frozenset[int] = frozenset()
    circle: bool = False
    overlap: bool = False
    moves: Mapping[int, Record] = field(default_factory=dict)
    failover: int | None = None
    restless: bool = False
    faults: Mapping[int, Literal["429", "503", "cut off", "half a body", "error in 200"]] = field(default_factory=dict)
    stalls: int | None = None
    has_more: bool = True
    has_link: bool = False
    not_found: bool = False
    token_path: tuple[str, ...] = ("next",)
    end_flag: bool = False
    endless: bool = False
    ignored: frozenset[str] = frozenset()
    hours: int = 0
    left_out: bool = False
    barred: frozenset[int] = frozenset()
    orders: tuple[int, ...] = ()


@dataclass(frozen=True)
class Case:
    """One row of the board.

    Attributes:
        name: its path in the fixture and its key in the configurations.
        label: P1 to P8 and H1 are losses that are known of other tools; none of the other cases'.
        story: what happens, in a sentence.
        told: what the API's documentation says of it, for whoever writes a configuration.
        phases: the records of each run.
        deletions: whether the records that are gone must be told.
        parents: ids of parents, a page each; the records are then children, each with the id of its parent.
        best: where the API lets no client be complete, the best is to say so.
    """

    name: str
    story: str
    phases: tuple[tuple[Record, ...], ...]
    api: Api = Api()
    label: str = ""
    told: str = ""
    deletions: bool = False
    parents: tuple[int, ...] = ()
    best: Literal["complete", "named error"] = "complete"

    @property
    def truth(self) -> frozenset[Version]:
        """Each record's newest version, as (id, version); (id, "deleted") for those that are gone."""
        last = {shown["id"]: shown["version"] for shown in self.phases[-1]}
        gone = {shown["id"] for phase in self.phases for shown in phase} - set(last) if self.deletions else set()
        live = {(key, version) for key, version in last.items() if key not in self.api.hidden}
        return frozenset(live | {(key, DELETED) for key in gone})


def child(key: int, parent: int, seconds: float, version: int = 1) -> Record:
    """A record below a parent."""
    return {**record(key, seconds, version), "parent_id": parent}
