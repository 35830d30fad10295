"""Cases: every row of the walk table, each with the quirks that make sense with it, alone and drawn together."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any, Final

from proofs.simulate.quirks import Quirks
from proofs.simulate.schedule import Size

KEYSET: Final = {"filter": "compound", "paginator": "single_page"}
TOKENS: Final = {"filter": "inclusive", "paginator": "cursor"}
DESC: Final = {"order": "desc", "filter": "none"}
UNORDERED: Final = {"order": "none", "filter": "inclusive"}
SWEEP: Final = {"order": "none", "filter": "sweep"}
OFFSET: Final = {"paginator": "offset"}
PAGES: Final = {"paginator": "page_number"}
WINDOWS: Final = {"filter": "inclusive", "paginator": "cursor", "step": 3000}
TOLD: Final = {"nulls": True, "nulls_told": True}
BOTH: Final = {"null_request": True, "nulls_told": True, "nulls_turned": True}
SHIFTY: Final = {"paginator": "cursor", "stable": False}

CASES: Final[dict[str, dict[str, Any]]] = {
    "keyset": KEYSET,
    "keyset, milliseconds": KEYSET | {"tick": 1},
    "keyset, tokens": KEYSET | {"paginator": "cursor", "has_more": True},
    "keyset, short and empty pages": KEYSET | {"paginator": "cursor", "short_pages": True, "empty_pages": True},
    "keyset, late": KEYSET | {"late": 3000},
    "keyset, future": KEYSET | {"future": 20_000},
    "keyset, no clock": KEYSET | {"clock": False},
    "keyset, epoch": KEYSET | {"writing": "epoch_s"},
    "keyset, minutes": KEYSET | {"tick": 60_000},
    "keyset, skew": KEYSET | {"skew": 3000},
    "keyset, text ids": KEYSET | {"ids": "text", "zone": 330},
    "keyset, duplicates": KEYSET | {"duplicates": True},
    "keyset, initial value": KEYSET | {"initial": True, "tick": 1},
    "keyset, faults": KEYSET | {"faults": True, "late": 1000},
    "keyset, nulls": KEYSET | {"nulls": True},
    "unique keyset": {"filter": "unique", "paginator": "single_page"},
    "unique keyset, links": {"filter": "unique", "paginator": "json_link", "short_pages": True},
    "unique keyset, faults": {"filter": "unique", "paginator": "single_page", "faults": True},
    "tokens": TOKENS,
    "tokens, exclusive": TOKENS
    | {"filter": "exclusive", "paginator": "json_link", "short_pages": True, "empty_pages": True},
    "tokens, precision": TOKENS | {"tick": 1, "precision": 1000},
    "tokens, exclusive, precision": TOKENS | {"filter": "exclusive", "tick": 1, "precision": 1000},
    "tokens, days": TOKENS | {"filter": "exclusive", "tick": 1, "precision": 86_400_000, "zone": -300},
    "tokens, precision in a zone": TOKENS | {"filter": "exclusive", "tick": 1, "precision": 7000, "zone": 61},
    "tokens, late and future": TOKENS | {"late": 2000, "future": 5000},
    "tokens, no clock": TOKENS | {"clock": False},
    "tokens, trimmed": TOKENS | {"tick": 1, "writing": "trimmed", "filter": "exclusive"},
    "tokens, expiring": TOKENS | {"expiring": True},
    "tokens, in a circle": TOKENS | {"cycle": 2},
    "tokens, in a wide circle": TOKENS | {"cycle": 4, "page": 3},
    "tokens, overlap and duplicates": TOKENS | {"overlap": True, "duplicates": True},
    "tokens, initial value": TOKENS | {"initial": True},
    "tokens, faults": TOKENS | {"faults": True, "expiring": True},
    "tokens, nulls": TOKENS | {"nulls": True},
    "restart, offsets": TOKENS | OFFSET,
    "restart, offsets, total": TOKENS | OFFSET | {"filter": "exclusive", "total": True},
    "restart, offsets, window": TOKENS | OFFSET | {"window": 8, "page": 3},
    "restart, pages": TOKENS | PAGES,
    "restart, pages, has more": TOKENS | PAGES | {"has_more": True, "precision": 1000, "tick": 1},
    "restart, pages, numbers as text": TOKENS | PAGES | {"writing": "text_ms", "filter": "exclusive", "tick": 1},
    "restart, tokens": TOKENS | SHIFTY,
    "restart, tokens, in a circle": TOKENS | SHIFTY | {"cycle": 2, "page": 2},
    "restart, links": TOKENS | {"paginator": "json_link", "stable": False, "short_pages": True},
    "restart, late and future": TOKENS | OFFSET | {"late": 2000, "future": 30_000},
    "restart, unstable ties": TOKENS | OFFSET | {"unstable_ties": True, "page": 10},
    "restart, wide unstable ties": TOKENS | PAGES | {"unstable_ties": True, "page": 3},
    "restart, minutes": TOKENS | OFFSET | {"tick": 60_000, "page": 10},
    "restart, faults": TOKENS | OFFSET | {"faults": True},
    "descending, tokens": DESC | {"filter": "inclusive", "paginator": "cursor"},
    "descending, links, short and empty pages": DESC
    | {"paginator": "json_link", "short_pages": True, "empty_pages": True},
    "descending, offsets": DESC | OFFSET,
    "descending, pages, total": DESC | PAGES | {"filter": "exclusive", "total": True},
    "descending, late and future": DESC | OFFSET | {"late": 2000, "future": 5000},
    "descending, precision": DESC | SHIFTY | {"filter": "inclusive", "tick": 1, "precision": 1000},
    "descending, unstable ties": DESC | OFFSET | {"unstable_ties": True},
    "descending, one page each, unstable ties": DESC
    | {"paginator": "cursor", "stable": False, "unstable_ties": True, "page": 60},
    "descending, in a circle": DESC | {"paginator": "cursor", "cycle": 3},
    "descending, no clock": DESC | {"paginator": "cursor", "clock": False},
    "descending, initial value": DESC | {"paginator": "cursor", "initial": True, "tick": 1},
    "descending, faults": DESC | {"paginator": "cursor", "faults": True, "expiring": True},
    "descending, window": DESC | OFFSET | {"window": 20},
    "descending, nulls": DESC | {"paginator": "cursor", "nulls": True},
    "unordered, tokens": UNORDERED | {"paginator": "cursor"},
    "unordered, offsets": UNORDERED | OFFSET,
    "unordered, offsets, oldest change first": UNORDERED | OFFSET | {"hidden": "oldest", "page": 3},
    "unordered, links, newest change first": UNORDERED | {"paginator": "json_link", "hidden": "newest", "page": 3},
    "unordered, pages": UNORDERED | PAGES | {"filter": "exclusive", "tick": 1, "precision": 1000},
    "unordered, late and future": UNORDERED | OFFSET | {"late": 2000, "future": 5000},
    "unordered, epoch": UNORDERED | {"paginator": "cursor", "writing": "epoch_ms", "tick": 1},
    "unordered, minutes, skew": UNORDERED | {"paginator": "cursor", "tick": 60_000, "skew": 2000},
    "unordered, no clock": UNORDERED | {"paginator": "cursor", "clock": False},
    "unordered, in a circle": UNORDERED | {"paginator": "cursor", "cycle": 2},
    "unordered, initial value": UNORDERED | {"paginator": "cursor", "initial": True, "writing": "trimmed", "tick": 1},
    "unordered, faults": UNORDERED | {"paginator": "json_link", "faults": True},
    "sweep, tokens": SWEEP | {"paginator": "cursor", "silent": True},
    "sweep, offsets, total": SWEEP | OFFSET | {"silent": True, "total": True},
    "sweep, pages, oldest change first": SWEEP | PAGES | {"hidden": "oldest", "page": 3},
    "sweep, pages": SWEEP | PAGES | {"order": "asc", "silent": True, "revive": True},
    "sweep, newest first": SWEEP | OFFSET | {"order": "desc"},
    "sweep, links, empty pages": SWEEP
    | {"paginator": "json_link", "empty_pages": True, "short_pages": True, "revive": True},
    "sweep, faults": SWEEP | {"paginator": "cursor", "faults": True, "expiring": True},
    "sweep, one page": SWEEP | {"paginator": "single_page", "silent": True, "revive": True},
    "sweep, one page, ETag": SWEEP | {"paginator": "single_page", "etag": "strong", "silent": True, "undone": True},
    "sweep, one page, weak ETag, faults": SWEEP
    | {"paginator": "single_page", "etag": "weak", "faults": True, "undone": True, "order": "desc"},
    "sweep, in a circle": SWEEP | {"paginator": "cursor", "cycle": 3},
    "single page": TOKENS | {"paginator": "single_page", "page": 20},
    "single page, exclusive": TOKENS | {"paginator": "single_page", "page": 20, "filter": "exclusive", "tick": 1},
    "single page, wide ties": TOKENS | {"paginator": "single_page", "page": 4},
    "single page, faults": TOKENS | {"paginator": "single_page", "page": 12, "faults": True, "late": 1500},
    "windows": WINDOWS,
    "windows, several at once": WINDOWS | {"concurrency": 3, "filter": "exclusive", "tick": 1},
    "windows, newest first": WINDOWS | PAGES | {"order": "desc", "concurrency": 2},
    "windows, late and future": WINDOWS | {"late": 2000, "future": 9000, "order": "none"},
    "windows, offsets": WINDOWS | OFFSET | {"precision": 1000, "tick": 1},
    "windows, result window": WINDOWS | OFFSET | {"window": 12, "declared": True, "page": 3, "total": True, "tick": 1},
    "windows, result window without a step": TOKENS | {"window": 15, "declared": True, "page": 4, "total": True},
    "windows, both ends required": WINDOWS | {"ends": "required"},
    "windows, both ends required, late, offsets": WINDOWS
    | OFFSET
    | {"ends": "required", "late": 2000, "concurrency": 3},
    "windows, no clock": WINDOWS | {"clock": False},
    "windows, faults": WINDOWS | {"faults": True, "expiring": True, "concurrency": 4, "writing": "epoch_ms"},
    "children, keyset": KEYSET | {"parents": 4},
    "children, tokens, several at once": TOKENS | {"parents": 6, "concurrency": 3, "faults": True},
    "children, offsets": TOKENS | OFFSET | {"parents": 3, "page": 3},
    "children, late": TOKENS | {"parents": 4, "late": 2000, "page": 3},
    "children, unordered": UNORDERED | {"paginator": "cursor", "parents": 4},
    "children, traversal": {"filter": "traversal", "paginator": "cursor", "parents": 5, "concurrency": 2},
    "audit, keyset": KEYSET | {"audit": True, "silent": True},
    "audit, tokens": TOKENS | {"audit": True, "silent": True, "revive": True},
    "audit, descending": DESC | {"paginator": "cursor", "audit": True, "silent": True},
    "audit, restart, faults": TOKENS | OFFSET | {"audit": True, "silent": True, "faults": True},
    "nulls by request, keyset": KEYSET | {"null_request": True, "silent": True},
    "nulls by request, tokens": TOKENS | {"null_request": True, "faults": True},
    "nulls by request, swept": KEYSET | {"null_request": True, "audit": True, "silent": True},
    "nulls by request, pages": TOKENS | PAGES | {"null_request": True},
    "lookback, tokens": TOKENS | {"lookback": True, "late": 3000},
    "lookback, keyset, no clock": KEYSET | {"lookback": True, "late": 3000},
    "lookback, offsets": TOKENS | OFFSET | {"lookback": True, "late": 2000},
    "lookback, descending": DESC | {"paginator": "cursor", "lookback": True, "late": 3000},
    "lookback, unordered": UNORDERED | {"paginator": "cursor", "lookback": True, "late": 3000},
    "traversal, tokens": {"filter": "traversal", "paginator": "cursor", "faults": True},
    "traversal, pages": {"filter": "traversal", "paginator": "page_number"},
    "traversal, in a circle": {"filter": "traversal", "paginator": "json_link", "cycle": 2},
    "nulls first, tokens": TOKENS | TOLD,
    "nulls last, tokens": TOKENS | TOLD | {"nulls_turned": True},
    "nulls last, links, short and empty pages, faults": TOKENS
    | TOLD
    | {"paginator": "json_link", "filter": "exclusive", "nulls_turned": True}
    | {"short_pages": True, "empty_pages": True, "faults": True},
    "nulls first, descending": DESC | TOLD | {"paginator": "cursor", "nulls_turned": True},
    "nulls last, descending, offsets": DESC | TOLD | OFFSET | {"filter": "inclusive"},
    "nulls last, descending, pages": DESC | TOLD | PAGES,
    "nulls, unordered, tokens": UNORDERED | TOLD | {"paginator": "cursor"},
    "nulls, unordered, offsets": UNORDERED | TOLD | OFFSET,
    "nulls last, children": TOKENS | TOLD | {"parents": 4, "nulls_turned": True},
    "nulls first, audit": TOKENS | TOLD | {"audit": True, "silent": True},
    "nulls listed and by request, keyset": KEYSET | BOTH,
    "nulls listed first and by request, keyset": KEYSET | BOTH | {"nulls_turned": False, "initial": True},
    "nulls listed and by request, tokens": TOKENS | BOTH | {"silent": True},
    "nulls listed first and by request, tokens": TOKENS | BOTH | {"nulls_turned": False},
    "nulls listed and by request, offsets": TOKENS | OFFSET | BOTH,
    "nulls listed and by request, descending": DESC | OFFSET | BOTH,
    "nulls listed and by request, swept": TOKENS | BOTH | {"audit": True, "silent": True},
}
"""By a name; what isn't said is as in `Quirks`."""


def case(name: str) -> Quirks:
    """The quirks of a named case."""
    return Quirks(**CASES[name])


def drawn(name: str, rng: random.Random) -> Quirks:
    """The case with more quirks, as many as the dice say, none of which contradicts it or another."""
    quirks, given = case(name), CASES[name]
    for quirk, values in _sensible(quirks).items():
        if quirk not in given and rng.random() < 0.18:
            quirks = replace(quirks, **{quirk: rng.choice(values)})
    return _consistent(quirks)


def size_of(rng: random.Random) -> Size:
    """How long the schedule is: most are short, some have hundreds of rows or many runs."""
    match rng.randrange(60):
        case 0:
            return Size(rows=250, runs=3)
        case 1:
            return Size(rows=60, runs=12)
        case 2:
            return Size(writes=6)
    return Size()


def _sensible(quirks: Quirks) -> dict[str, list[Any]]:
    values: dict[str, list[Any]] = {
        "page": [2, 3, 7, 20],
        "ids": ["text"],
        "revive": [True],
        "faults": [True],
        "clock": [False],
    }
    if quirks.order == "none":
        values["hidden"] = ["oldest", "newest"]
    if not quirks.timeless:
        values |= {
            "tick": [1, 1, 60_000],
            "late": [1500, 4000],
            "future": [3000, 90_000],
            "skew": [2500, -4000],
            "writing": ["trimmed", "epoch_ms", "text_ms", "epoch_s"],
            "zone": [120, -210],
            "initial": [True],
        }
    if quirks.filter in {"inclusive", "exclusive"}:
        values |= {"precision": [1000, 60_000], "filter": ["inclusive", "exclusive"]}
    if quirks.tokens:
        values |= {
            "short_pages": [True],
            "empty_pages": [True],
            "expiring": [True],
            "cycle": [2, 3, 5],
            "overlap": [True],
        }
    if quirks.counted:
        values |= {"total": [True], "window": [20]}
    if quirks.paginator != "single_page":
        values |= {"has_more": [True], "unstable_ties": [True]}
    if quirks.paginator != "offset":
        values["duplicates"] = [True]
    if quirks.filter == "sweep":
        values["silent"] = [True]
    return values


def _consistent(quirks: Quirks) -> Quirks:
    """Without the combinations that no honest configuration can state, or that no API has."""
    if quirks.filter == "unique":
        quirks = replace(quirks, ids="rising", revive=False)
    if not quirks.clock and quirks.lag:
        quirks = replace(quirks, clock=True)
    if quirks.writing == "epoch_s":
        quirks = replace(
            quirks, tick=max(quirks.tick, 1000), precision=quirks.precision if quirks.precision >= 1000 else 1
        )
    if quirks.epoch:
        quirks = replace(quirks, zone=0)
    if not quirks.clock:
        # Nothing tells a row that is dated ahead from one of now.
        quirks = replace(quirks, future=0)
    if quirks.nulls or quirks.cycle:
        quirks = replace(quirks, initial=False)
    return _readable(quirks)


def _readable(quirks: Quirks) -> Quirks:
    """Likewise, of what the walk is derived from."""
    if quirks.stable and quirks.tokens:
        quirks = replace(quirks, unstable_ties=False)
    if quirks.filter in {"compound", "unique"}:
        quirks = replace(quirks, unstable_ties=False)
    if quirks.order != "none":
        quirks = replace(quirks, hidden="hash")
    if quirks.ranges:
        # Minutes of ties fit in no range, and a range that is endless fits no window.
        quirks = replace(
            quirks, tick=min(quirks.tick, 1000), precision=min(quirks.precision, 1000), nulls=False, cycle=0
        )
    if quirks.ends:
        # What is dated ahead comes once its time has come, which no run here waits for; nor for a clock that is behind.
        quirks = replace(quirks, future=0, skew=max(quirks.skew, 0), initial=False)
    if quirks.parents:
        quirks = replace(quirks, cycle=0, window=0)
    if quirks.audit:
        quirks = replace(quirks, unstable_ties=False, initial=False)
    if quirks.null_request and not quirks.silent:
        quirks = replace(quirks, nulls=False)
    if quirks.filter in {"sweep", "traversal"} or quirks.order == "none" or (quirks.null_request and quirks.counted):
        # No pages read a list whose order is another one at each request; of a few records it may even look still.
        quirks = replace(quirks, unstable_ties=False)
    return quirks
