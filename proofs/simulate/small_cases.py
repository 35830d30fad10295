"""The cases that are enumerated: each walk against an API of four records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from proofs.simulate.quirks import Quirks
from proofs.simulate.small_api import NEVER, UNTIMED, Entry, World


@dataclass(frozen=True)
class SmallCase:
    """A walk by the quirks of its API, and how many records there may be."""

    quirks: Quirks
    records: int = 4

    @property
    def worlds(self) -> list[World]:
        """What may be there at the start; with a lag, the clock is as far ahead as lets the eldest be settled."""
        now = 1 + -(-self.quirks.lag // 1000)
        starts: list[tuple[int | None, ...]]
        if self.quirks.nulls_told:
            null = UNTIMED
            starts = [(null, 0, now, null), (null, null, 0, None), (0, null, 0, now), (null, null, null, null)]
        elif self.quirks.filter == "unique":
            starts = [(0, 0, now) + (None,) * (self.records - 3)]
        else:
            starts = [(0, 0, now, now), (now, now, now, now), (0, now, now, None), (None, 0, 0, now)]
        return [World(tuple(NEVER if each is None else Entry(each, 1) for each in start), now) for start in starts]


TOKENS: Final[dict[str, Any]] = {"filter": "inclusive", "paginator": "cursor", "page": 2}
TOLD: Final[dict[str, Any]] = {"nulls": True, "nulls_told": True}
CASES: Final = {
    "compound keyset": SmallCase(Quirks(filter="compound", paginator="single_page", page=2)),
    "compound keyset, late": SmallCase(Quirks(filter="compound", paginator="single_page", page=2, late=1000)),
    "unique keyset": SmallCase(Quirks(filter="unique", paginator="single_page", page=2, ids="rising"), records=6),
    "stable tokens": SmallCase(Quirks(**TOKENS)),
    "stable tokens, late": SmallCase(Quirks(**TOKENS | {"late": 1000})),
    "stable tokens, exclusive": SmallCase(Quirks(**TOKENS | {"filter": "exclusive"})),
    "stable tokens, null keys first": SmallCase(Quirks(**TOKENS | TOLD)),
    "stable tokens, null keys last": SmallCase(Quirks(**TOKENS | TOLD | {"nulls_turned": True})),
    "restart keyset, offsets": SmallCase(Quirks(**TOKENS | {"paginator": "offset"})),
    "restart keyset, page numbers": SmallCase(Quirks(**TOKENS | {"paginator": "page_number"})),
    "single page": SmallCase(Quirks(**TOKENS | {"paginator": "single_page", "page": 5})),
    "descending, tokens": SmallCase(Quirks(**TOKENS | {"order": "desc", "filter": "none"})),
    "descending, offsets": SmallCase(Quirks(**TOKENS | {"order": "desc", "filter": "none", "paginator": "offset"})),
    "descending, page numbers": SmallCase(
        Quirks(**TOKENS | {"order": "desc", "filter": "none", "paginator": "page_number"})
    ),
    "descending, null keys first": SmallCase(
        Quirks(**TOKENS | TOLD | {"order": "desc", "filter": "none", "nulls_turned": True})
    ),
    "unordered, null keys": SmallCase(Quirks(**TOKENS | TOLD | {"order": "none"})),
    "unordered, tokens": SmallCase(Quirks(**TOKENS | {"order": "none"})),
    "unordered, offsets": SmallCase(Quirks(**TOKENS | {"order": "none", "paginator": "offset"})),
    "windows": SmallCase(Quirks(**TOKENS | {"step": 3000})),
    "sweep, tokens": SmallCase(Quirks(**TOKENS | {"order": "none", "filter": "sweep"})),
    "sweep, offsets": SmallCase(Quirks(**TOKENS | {"order": "none", "filter": "sweep", "paginator": "offset"})),
    "sweep, pages in order of time": SmallCase(Quirks(**TOKENS | {"filter": "sweep", "paginator": "page_number"})),
    "traversal": SmallCase(Quirks(**TOKENS | {"filter": "traversal"})),
}
"""By a name; pages hold two records, but for the single page, which must hold a tie and one record more."""
