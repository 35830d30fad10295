"""What a checkpoint means, in plain Python: one stream, contents as dicts, versions as numbers or None.

Versions of one key are put in order by (version, arrival); one without version is as new as the newest that arrived
before it, else as its row. Older ones than the row are dropped, equal contents are no versions, a property that is not
mentioned keeps its value. What another run told of a row's instant is not told again: what may be a part of it is held
back until that is known. Without versions, only what a run told that did not end well can come again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Content = dict[str, Any]
NAMES = ("id", "version", "value", "status", "detail")
LONGEST = 16
"""Contents of one instant that a row remembers."""


@dataclass
class Row:
    content: Content
    count: int
    at: Any
    story: list[Content] = field(default_factory=list)
    run: int = 0
    held: list[Content] = field(default_factory=list)
    holder: int = 0


@dataclass
class Reference:
    """The rows and events that the target should have; `conditions` are the truths whose edges are events.

    `begun` and `last` say when a run's first and last checkpoint were, of those runs that have not ended well.
    """

    versioned: bool = True
    rows: dict[int, Row] = field(default_factory=dict)
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
        for key in sorted({record["id"] for record in records}):
            row, told = self.rows.get(key), [record for record in records if record["id"] == key]
            if row is not None:
                told, row.held = [*(row.held if row.holder == run else []), *told], []
            self._follow(key, told, run)

    def end(self, run: int) -> None:
        """The end of a run's input, from which on it can't come again."""
        self._count(run, self.begin())
        for key, row in sorted(self.rows.items()):
            if row.held and (row.holder == run or self.last.get(row.holder, 0) <= self.begun[run]):
                told, row.held = row.held, []
                self._follow(key, told, run, ended=True)
        del self.begun[run], self.last[run]

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
            if version is not None and since is not None and version < since:
                continue
            newest = version if newest is None or (version is not None and version > newest) else newest
            at = version if version is not None else newest
            accepted.append(record)
            ordered.append(((at is not None, at, arrival), at, record))
        chain: list[tuple[Any, Content]] = []
        for _, at, record in sorted(ordered, key=lambda entry: entry[0]):
            before = chain[-1][1] if chain else row.content if row else dict.fromkeys(NAMES)
            chain.append((at, {**before, **record}))
        if row and chain and row.story and row.run != run and self._may_come(row):
            told = self._retold(row, chain, ended=ended)
            if told is None:
                row.held, row.holder = accepted, run
                return
            chain, row.run = chain[told:], run
        for at, content in chain:
            if row is None:
                row = self.rows[key] = Row(content, 1, at)
                self.events.append(("created", key, 1))
                self._edges(key, None, content, 1)
            elif content != row.content:
                story = row.story if self._may_come(row) else []
                row.story = [*(story or [row.content]), content][-LONGEST:] if at == row.at else []
                row.count, row.run, row.at = row.count + 1, run, at
                self._edges(key, row.content, content, row.count)
                row.content = content

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

    def _edges(self, key: int, old: Content | None, new: Content, count: int) -> None:
        def high(content: Content | None) -> bool:
            return bool(content and content["value"] is not None and content["value"] > 10)

        if high(new) and not high(old):
            self.events.append(("entered", key, count))
        if high(old) and not high(new):
            self.events.append(("left", key, count))
        if old and old["status"] != new["status"]:
            self.events.append(("changed", key, count))
        if old:
            self.events.append(("updated", key, count))
        if old and None not in (old["value"], new["value"]) and new["value"] >= 2 * old["value"]:
            self.events.append(("doubled", key, count))
