"""What an honest configuration states of the quirks, and with which errors a walk may refuse them."""

from __future__ import annotations

import functools
from typing import Any, Final

from tap_restextract.plan import Plan, plan_for
from tap_restextract.settings import StreamSettings, read
from tests.simulator.api import Api, written
from tests.simulator.quirks import BASE, Quirks
from tests.simulator.transport import SimulatedClient

INITIAL: Final = BASE + 1_500
KEY_TYPES: Final = {"text": "string"}


def schema_for(quirks: Quirks) -> dict[str, Any]:
    """The records' schema, as far as a plan looks at it."""
    return {"properties": {"id": {"type": KEY_TYPES.get(quirks.ids, "integer")}}}


@functools.lru_cache(maxsize=4096)
def planned(quirks: Quirks) -> Plan:
    """The walk for the configuration that states the quirks' facts honestly.

    Raises:
        ConfigurationError: where no walk is safe for them.
    """
    return plan_for(settings_for(quirks), schema_for(quirks))


@functools.lru_cache(maxsize=4096)
def client_for(quirks: Quirks) -> SimulatedClient:
    """The stream's client; its transport is to be set."""
    return SimulatedClient(planned(quirks).stream)


def settings_for(quirks: Quirks) -> StreamSettings:
    """The stream's configuration that states the quirks' facts honestly."""
    stream: dict[str, Any] = {
        "name": "list",
        "path": "/list",
        "records": "data",
        "primary_key": ["id"],
        "paginator": _paginator(quirks),
    }
    if quirks.filter == "sweep":
        stream["sweep"] = True
    elif quirks.filter == "unique":
        stream["incremental"] = {"cursor_path": "id", "order": "asc", "filter": "exclusive"}
        stream["params"] = {"after": "{cursor.id}"}
    elif quirks.filter != "traversal":
        stream["incremental"] = _incremental(quirks)
        stream["params"] = {} if quirks.filter == "none" else {"since": "{cursor.updated_at}"}
        if quirks.filter == "compound":
            stream["params"]["after"] = "{cursor.id}"
    (settings,) = read({"base_url": "http://api", "max_attempts": 3, "streams": [stream]})
    return settings


def _incremental(quirks: Quirks) -> dict[str, Any]:
    incremental: dict[str, Any] = {"cursor_path": "updated_at", "order": quirks.order, "filter": quirks.filter}
    if quirks.filter == "compound" or (quirks.order != "none" and not quirks.unstable_ties):
        incremental["tie_breaker"] = "id"
    if quirks.precision > 1:
        number = quirks.precision // 1000 if quirks.epoch == "s" else quirks.precision
        incremental["precision"] = str(number) if quirks.epoch else f"{quirks.precision}ms"
    if quirks.lag:
        incremental["lag"] = f"{quirks.lag}ms"
    if quirks.epoch:
        incremental["epoch"] = quirks.epoch
    if quirks.initial:
        incremental["initial_value"] = written(quirks, INITIAL)
    return incremental


def _paginator(quirks: Quirks) -> dict[str, Any]:
    paginator: dict[str, Any] = {"type": quirks.paginator}
    match quirks.paginator:
        case "cursor":
            paginator |= {"cursor_path": "next", "cursor_param": "token", "stable": quirks.stable}
        case "json_link":
            paginator |= {"next_url_path": "next", "stable": quirks.stable}
        case "offset":
            paginator["limit"] = quirks.page
        case "single_page":
            paginator["limit"] = quirks.page
    if quirks.total and quirks.counted:
        paginator["total_path"] = "total"
    if quirks.has_more and (quirks.counted or quirks.paginator == "cursor"):
        paginator["has_more_path"] = "has_more"
    return paginator


def excused(quirks: Quirks, api: Api, message: str, *, busy: bool) -> bool:
    """Whether this error is the right one to refuse these quirks with: T4's, with what would make the walk safe."""
    return "stream list" in message and any(sign in message for sign in _excuses(quirks, api, busy=busy))


def _excuses(quirks: Quirks, api: Api, *, busy: bool) -> list[str]:
    signs = []
    wide = api.widest_tie() >= quirks.page
    if quirks.nulls:
        signs.append("it is null")
    if quirks.cycle:
        signs.append("go in a circle")
    if quirks.window:
        signs.append("was answered 400")
    if quirks.expiring and busy:
        signs.append("was answered 410")
    if quirks.faults and busy:
        signs.append("run again: STATE is where the last page was written")
    if quirks.order == "none" and not quirks.timeless and not quirks.clock:
        signs.append("needs the server's clock")
    if quirks.filter in {"compound", "unique"} and (quirks.duplicates or quirks.overlap):
        signs += ["isn't in ascending order", "isn't behind it"]
    if (
        quirks.paginator == "single_page"
        and quirks.filter in {"inclusive", "exclusive"}
        and (wide or busy or quirks.duplicates)
    ):
        signs.append("so those behind can't be asked for")
    if not (quirks.stable and quirks.tokens):
        moving = quirks.unstable_ties or quirks.duplicates or quirks.overlap or quirks.short_pages or quirks.empty_pages
        if quirks.order == "asc" and (busy or (moving and (wide or quirks.counted))):
            signs.append("order changed each of")
        if quirks.order in {"desc", "none"} and (busy or moving):
            signs.append("the list shifted between two pages")
        if quirks.order in {"asc", "desc"} and quirks.unstable_ties:
            signs.append("lie on two pages")
    return signs
