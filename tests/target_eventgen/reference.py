"""What a checkpoint means, in plain Python: one stream, contents as dicts, versions as numbers or None.

Versions of one key are put in order by (version, arrival); one without version is as new as the newest that arrived
before it. Older ones than the row are dropped, equal contents are no versions, a property that is not mentioned keeps
its value. What another run has told of the row's instant already is not told again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Content = dict[str, Any]
NAMES = ("id", "version", "value", "status", "detail")


@dataclass
class Row:
    content: Content
    count: int
    story: list[Content] = field(default_factory=list)
    run: int = 0


@dataclass
class Reference:
    """The rows and events that the target should have; `conditions` are the truths whose edges are events."""

    versioned: bool = True
    rows: dict[int, Row] = field(default_factory=dict)
    events: list[tuple[str, int, int]] = field(default_factory=list)

    def commit(self, records: list[Content], run: int = 0) -> None:
        for key in sorted({record["id"] for record in records}):
            self._follow(key, [record for record in records if record["id"] == key], run)

    def _follow(self, key: int, records: list[Content], run: int) -> None:
        row = self.rows.get(key)
        newest, ordered = None, []
        for arrival, record in enumerate(records):
            version = record.get("version") if self.versioned else None
            if version is not None and row and row.content["version"] is not None and version < row.content["version"]:
                continue
            newest = version if newest is None or (version is not None and version > newest) else newest
            at = version if version is not None else newest
            ordered.append(((at is not None, at, arrival), record))
        chain: list[Content] = []
        for _, record in sorted(ordered, key=lambda pair: pair[0]):
            before = chain[-1] if chain else row.content if row else dict.fromkeys(NAMES)
            chain.append({**before, **record})
        for content in chain[self._retold(row, chain, run) :]:
            if row is None:
                row = self.rows[key] = Row(content, 1)
                self.events.append(("created", key, 1))
                self._edges(key, None, content, 1)
            elif content != row.content:
                still = not self.versioned or content["version"] == row.content["version"]
                row.story = [*(row.story or [row.content]), content] if still else []
                row.count, row.run = row.count + 1, run
                self._edges(key, row.content, content, row.count)
                row.content = content

    def _retold(self, row: Row | None, chain: list[Content], run: int) -> int:
        """How many of the first versions only tell the row's story again."""
        if row is None or not row.story or row.run == run:
            return 0
        said: list[Content] = []
        retold = 0
        for place, content in enumerate(chain, start=1):
            if self.versioned and content["version"] != row.content["version"]:
                break
            if not said or content != said[-1]:
                said.append(content)
            if said == row.story[-len(said) :]:
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
