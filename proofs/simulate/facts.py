"""What an honest configuration states of the quirks, and with which errors a walk may refuse them."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from proofs.simulate.api import Api, written
from proofs.simulate.quirks import BASE, Quirks
from proofs.simulate.transport import SimulatedClient
from tap_restextract.config.reading import read_settings
from tap_restextract.config.streams import StreamSettings
from tap_restextract.plan.bookmarks.protocol import Bookmark
from tap_restextract.plan.bookmarks.state import from_state
from tap_restextract.plan.derived import lookup_plan, null_key_plan
from tap_restextract.plan.plan import Plan, plans_for
from tap_restextract.singer.stream import reader_of
from tap_restextract.walks.combined import NULLS
from tap_restextract.walks.sweep import LOOKUP

INITIAL: Final = BASE + 1_500
KEY_TYPES: Final = {"text": "string"}


def tie_breaker(quirks: Quirks) -> str:
    """The property that orders records of one time."""
    return "id" if quirks.tie == "id" else "rank"


def schema_for(quirks: Quirks) -> dict[str, Any]:
    """The records' schema, as far as a plan looks at it."""
    ranked = {} if quirks.tie == "id" else {"rank": {"type": "integer"}}
    return {"properties": {"id": {"type": KEY_TYPES.get(quirks.ids, "integer")}, **ranked}}


@dataclass(frozen=True)
class Source:
    """A stream as production wires it: its plan, its parents', and a client for each list that is asked."""

    plan: Plan
    parents: Plan | None
    clients: Mapping[str, SimulatedClient]

    def bookmark(self, state: Mapping[str, Any]) -> Bookmark | None:
        """Where a STATE says that the stream is."""
        return from_state(self.plan, state)


@functools.lru_cache(maxsize=4096)
def source_of(quirks: Quirks) -> Source:
    """The stream for the configuration that states the quirks' facts honestly.

    Raises:
        ConfigurationError: where no walk is safe for them.
    """
    by_name = {plan.stream.name: plan for plan in plans_for(settings_for(quirks))}
    plan, parents = by_name["list"], by_name.get("parents")
    asked = {"": plan}
    if parents is not None:
        asked["parents"] = parents
    if quirks.null_request:
        asked[NULLS] = null_key_plan(plan)
    if quirks.looked_up:
        asked[LOOKUP] = lookup_plan(plan)
    # One in two streams reads rows, as production does where no stream map wants whole records.
    reader = reader_of(plan, parents) if zlib.crc32(repr(quirks).encode()) % 2 else None
    return Source(plan, parents, {name: SimulatedClient(each.stream, reader) for name, each in asked.items()})


def settings_for(quirks: Quirks) -> Sequence[StreamSettings]:
    """The configuration that states the quirks' facts honestly."""
    stream: dict[str, Any] = {
        "name": "list",
        "path": "/parents/{parent.parents.id}/list" if quirks.parents else "/list",
        "records": "data",
        "primary_key": ["id"],
        "paginator": _paginator(quirks),
        "schema": schema_for(quirks),
        "concurrency": quirks.concurrency,
    }
    if quirks.keeps_places:
        stream["fixed_order"] = True
    if quirks.looked_up:
        stream["lookup"] = {"path": "/list/{key.id}", "records": "data"}
    if quirks.filter == "sweep":
        stream["sweep"] = True
    elif quirks.filter == "unique":
        stream["incremental"] = {"cursor_path": "id", "order": "asc", "filter": "exclusive"}
        stream["params"] = {"after": "{cursor.id}"}
    elif quirks.filter != "traversal":
        stream["incremental"] = _incremental(quirks)
        stream["params"] = {} if quirks.filter == "none" else {"since": "{cursor.updated_at}"}
        if quirks.filter == "compound":
            stream["params"]["after"] = f"{{cursor.{tie_breaker(quirks)}}}"
        if quirks.ranges:
            stream["params"]["until"] = "{until.updated_at}"
        if quirks.audit:
            stream["sweep_every"] = "PT1S"
    parents = {
        "name": "parents",
        "path": "/parents",
        "fixed_order": True,
        **{key: stream[key] for key in ("records", "primary_key", "paginator")},
    }
    if quirks.paginator == "single_page":
        parents["paginator"] = {"type": "single_page"}
    streams = [parents, stream] if quirks.parents else [stream]
    return read_settings({"base_url": "http://api", "max_attempts": 3, "streams": streams})


def _incremental(quirks: Quirks) -> dict[str, Any]:
    incremental: dict[str, Any] = {"cursor_path": "updated_at", "order": quirks.order, "filter": quirks.filter}
    if quirks.filter == "compound" or (quirks.order != "none" and not quirks.unstable_ties):
        incremental["tie_breaker"] = tie_breaker(quirks)
    if quirks.precision > 1:
        number = quirks.precision // 1000 if quirks.epoch == "s" else quirks.precision
        incremental["precision"] = str(number) if quirks.epoch else f"{quirks.precision}ms"
    if quirks.lag:
        incremental["lag"] = f"{quirks.lag}ms"
    if quirks.epoch:
        incremental["epoch"] = quirks.epoch
    if quirks.initial or quirks.ranges:
        incremental["initial_value"] = written(quirks, INITIAL if quirks.initial else BASE)
    if quirks.step:
        number = quirks.step // 1000 if quirks.epoch == "s" else quirks.step
        incremental["step"] = str(number) if quirks.epoch else f"{number}ms"
    if quirks.declared:
        incremental["max_window_results"] = quirks.window
    if quirks.ends:
        incremental["end"] = quirks.ends
    if quirks.lookback:
        incremental["lookback"] = f"{quirks.late + quirks.tick}ms"
    if quirks.nulls_told:
        incremental["nulls"] = quirks.nulls_at
    if quirks.null_request:
        incremental["null_params"] = {"nulls": "1"}
    return incremental


def _paginator(quirks: Quirks) -> dict[str, Any]:
    paginator: dict[str, Any] = {"type": quirks.paginator}
    match quirks.paginator:
        case "cursor":
            paginator |= {"cursor_path": "next", "cursor_param": "token", "stable": quirks.stable}
        case "json_link":
            paginator |= {"next_url_path": "next", "stable": quirks.stable}
        case "page_number" if quirks.first:
            paginator["base_page"] = quirks.first
        case "offset":
            paginator["limit"] = quirks.page
        case "single_page" if not quirks.whole:
            paginator["limit"] = quirks.page
    if quirks.total and (quirks.counted or quirks.paginator == "cursor"):
        paginator["total_path"] = "total"
    if quirks.has_more and (quirks.counted or quirks.paginator == "cursor"):
        paginator["has_more_path"] = "has_more"
    return paginator


def excused(quirks: Quirks, api: Api, message: str, *, busy: bool) -> bool:
    """Whether this error is the right one to refuse these quirks with: T4's, with what would make the walk safe."""
    named = "stream list" in message or (quirks.parents and "stream parents" in message)
    return bool(named) and any(sign in message for sign in _excuses(quirks, api, busy=busy))


def _excuses(quirks: Quirks, api: Api, *, busy: bool) -> list[str]:
    single = quirks.paginator == "single_page"
    wide = api.widest_tie() >= quirks.page
    by_time = quirks.filter in {"inclusive", "exclusive"}
    # A range has the ties of both its edges, and one page more may not fit behind them.
    too_wide = quirks.declared and 2 * api.widest_tie() + quirks.page > quirks.window
    needs_clock = quirks.ranges or (quirks.order == "none" and not quirks.timeless)
    needs_clock = needs_clock or (bool(quirks.parents) and not quirks.timeless)
    needs_clock = needs_clock or (quirks.lookback and quirks.order == "asc")
    repeating = quirks.duplicates or quirks.overlap
    signs = {
        "it is null": quirks.nulls and not quirks.nulls_told,
        "there is no way to ask for what comes after it": single and quirks.null_request,
        "go in a circle": bool(quirks.cycle),
        "was answered 400": bool(quirks.window) and not quirks.declared,
        "the most that the API gives for one question": too_wide,
        "needs the server's clock": needs_clock and not quirks.clock,
        "was answered 410": quirks.expiring and busy,
        "run again: STATE is where the last page was written": quirks.faults and busy,
        "isn't in ascending order": quirks.filter in {"compound", "unique"} and repeating,
        "isn't after it": quirks.filter in {"compound", "unique"} and repeating,
        "so the rest can't be asked for": single and by_time and (wide or busy or quirks.duplicates),
    }
    return [sign for sign, applies in signs.items() if applies] + _seams(quirks, wide=wide, busy=busy)


def _seams(quirks: Quirks, *, wide: bool, busy: bool) -> list[str]:
    if quirks.stable and quirks.tokens:
        return []
    moving = quirks.unstable_ties or quirks.duplicates or quirks.overlap or quirks.short_pages or quirks.empty_pages
    whole = quirks.order in {"desc", "none"} or quirks.ranges or bool(quirks.parents)
    signs = {
        "order changed each of": quirks.order == "asc"
        and (busy or (moving and (wide or quirks.counted or quirks.short_pages or quirks.empty_pages))),
        "shifted between two pages": whole and (busy or moving),
        "hold the same records, and did again": quirks.unstable_ties and quirks.page < 5,
        "lie on two pages": quirks.order in {"asc", "desc"} and quirks.unstable_ties,
    }
    return [sign for sign, applies in signs.items() if applies]
