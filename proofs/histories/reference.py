"""What a checkpoint means, in plain Python: one stream, contents as dicts, versions as numbers or None.

Versions of one key are put in order by (version, arrival); one without version is as new as the newest that arrived
before it, else as its row. Older ones than the row are dropped, equal contents are no versions, a property that is not
mentioned keeps its value. What another run told of a row's instant is not told again: what may be a part of it is held
back until that is known. Without versions, only what a run told that did not end well can come again.

A deletion is a record whose property GONE is true. It leaves a row that is gone, which counts as none to every rule,
and keeps its version, also where there was no row; but where it says neither version nor content, nothing is left. With
hard deletion such a row is out of sight. Once its run can't come again, its version alone is left of it, or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Content = dict[str, Any]
NAMES = ("id", "version", "value", "status", "detail")
GONE = "gone"
"""The property of a content that says whether it is that of a deleted row."""
NOTHING: Content = {**dict.fromkeys(NAMES), GONE: False}
LONGEST = 16
"""Contents of one instant that a row remembers."""


@dataclass
class Row:
    content: Content
    count: int
    at: Any
    story: list[Content] = field(default_factory=list)
    run: int = 0
    deleter: int | None = None
    """The run to which the tombstone of a row belongs that is out of sight."""


@dataclass
class Reference:
    """The rows and events that the target should have; `conditions` are the truths whose edges are events.

    `begun` and `last` say when a run's first and last checkpoint were, of those runs that have not ended well.
    """

    versioned: bool = True
    unordered: frozenset[Any] = frozenset()
    """Versions that are neither older nor newer than any, so that arrival decides."""
    hard: bool = False
    rows: dict[int, Row] = field(default_factory=dict)
    held: dict[int, tuple[int, list[Content]]] = field(default_factory=dict)
    """Of a key the records that may be a repetition, and the run that told them."""
    events: list[tuple[str, int, int]] = field(default_factory=list)
    begun: dict[int, int] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)
    checkpoints: int = 0

    def begin(self) -> int:
        """The place in time of a checkpoint that begins now."""
        self.checkpoints += 1
        return self.checkpoints

    def commit(self, records: list[Content], run: int = 0, began: int | None = None) -> None:
        self._count(run, self.begin() if began is None else began)
        by_key: dict[int, list[Content]] = {}
        for record in records:
            by_key.setdefault(record["id"], []).append(record)
        for key, told in sorted(by_key.items()):
            holder, held = self.held.pop(key, (run, []))
            self._follow(key, [*(held if holder == run else []), *told], run)

    def end(self, run: int) -> None:
        """The end of a run's input, from which on it can't come again."""
        self._count(run, self.begin())
        for key, (holder, told) in sorted(self.held.items()):
            if holder == run or self.last.get(holder, 0) <= self.begun[run]:
                del self.held[key]
                self._follow(key, told, run, ended=True)
        del self.begun[run], self.last[run]
        for key, row in sorted(self.rows.items()):
            if row.deleter is not None and row.deleter not in self.begun:
                row.story, row.deleter = [], None
                row.content = {**NOTHING, "id": key, "version": row.content["version"], GONE: True}
                if row.at is None:
                    del self.rows[key]

    def seen(self) -> dict[int, Row]:
        """The rows that are in the table."""
        return {key: row for key, row in self.rows.items() if not (self.hard and row.content[GONE])}

    def _count(self, run: int, began: int) -> None:
        self.begun.setdefault(run, began)
        self.last[run] = began

    def _follow(self, key: int, records: list[Content], run: int, *, ended: bool = False) -> None:
        row = self.rows.get(key)
        newest = since = row.at if row else None
        accepted: list[Content] = []
        ordered: list[tuple[tuple[Any, ...], Any, Content]] = []
        for arrival, record in enumerate(records):
            version = record.get("version") if self.versioned else None
            version = None if version in self.unordered else version
            if version is not None and since is not None and version < since:
                continue
            newest = version if newest is None or (version is not None and version > newest) else newest
            at = version if version is not None else newest
            accepted.append(record)
            ordered.append(((at is not None, at, arrival), at, record))
        chain: list[tuple[Any, Content]] = []
        for _, at, record in sorted(ordered, key=lambda entry: entry[0]):
            before = chain[-1][1] if chain else row.content if row else NOTHING
            # What comes back begins with nothing; a deletion leaves what it doesn't mention.
            continued = before if record.get(GONE) or not before[GONE] else NOTHING
            chain.append((at, {**continued, GONE: False, **record}))
        if row and chain and row.story and row.run != run and self._may_come(row):
            told = self._retold(row, chain, ended=ended)
            if told is None:
                self.held[key] = run, accepted
                return
            chain, row.run = chain[told:], run
        was = self._stored(row)
        # Where rows leave the table, counts of another row of the same key must not come again.
        origin = self.checkpoints << 20 if self.hard else 0
        for at, content in chain:
            if row is None:
                row = self.rows[key] = Row(content, origin + (not content[GONE]), at)
                self._edges(key, None, content, row.count)
            elif content != row.content:
                story = row.story if self._may_come(row) else []
                row.story = [*(story or [row.content]), content][-LONGEST:] if at == row.at else []
                row.count, row.run, row.at = row.count + 1, run, at
                self._edges(key, row.content, content, row.count)
                row.content = content
        if row is not None:
            self._bury(key, row, run, was)

    def _stored(self, row: Row | None) -> object:
        """What a tombstone would have of a row."""
        return None if row is None else (row.content, row.at, row.story, row.story and row.run)

    def _bury(self, key: int, row: Row, run: int, was: object) -> None:
        """Leave of a row that is gone what is left of it."""
        if not row.content[GONE]:
            row.deleter = None
            return
        never = was is None and row.count in {0, self.checkpoints << 20}
        if never and (
            row.at is None if self.hard else all(row.content[name] is None for name in NAMES if name != "id")
        ):
            del self.rows[key]
        elif self.hard and self._stored(row) != was:
            row.deleter = row.run if row.story else run

    def _may_come(self, row: Row) -> bool:
        """Whether what was told last of a row may be told again."""
        return self.versioned or row.run in self.begun

    def _retold(self, row: Row, chain: list[tuple[Any, Content]], *, ended: bool) -> int | None:
        """How many of the first versions only tell the row's story again; None where that isn't known yet."""
        story, retold = row.story, 0
        said: list[Content] = []
        ends: list[int] = []
        for place, (at, content) in enumerate(chain, start=1):
            if at != row.at:
                ended = True
                break
            if said and content == said[-1]:
                ends[-1] = place
            else:
                said.append(content)
                ends.append(place)
        full = len(story) >= LONGEST
        pieces = [story[a:b] for b in range(len(story)) for a in range(b)]
        if not ended and (said in pieces or (full and any(said[-b:] == story[:b] for b in range(1, len(story))))):
            return None
        for step, place in enumerate(ends, start=1):
            if said[:step][-len(story) :] == story[-step:] and (step <= len(story) or full):
                retold = place
        return retold

    def _edges(self, key: int, before: Content | None, after: Content, count: int) -> None:
        """Tell the events of a transition; to a rule a row that is gone is none."""
        old = None if before is None or before[GONE] else before
        new = None if after[GONE] else after
        if not old and not new:
            return
        if not old:
            self.events.append(("created", key, count))
        if not new:
            self.events.append(("deleted", key, count))
        if not (old and old["value"] is not None) and not (new and new["value"] is not None):
            self.events.append(("unknown", key, count))

        def high(content: Content | None) -> bool:
            return bool(content and content["value"] is not None and content["value"] > 10)

        if high(new) and not high(old):
            self.events.append(("entered", key, count))
        if high(old) and not high(new):
            self.events.append(("left", key, count))
        if old and new and old["status"] != new["status"]:
            self.events.append(("changed", key, count))
        if old and new:
            self.events.append(("updated", key, count))
        if old and new and None not in (old["value"], new["value"]) and new["value"] >= 2 * old["value"]:
            self.events.append(("doubled", key, count))
