"""The fixture: one HTTP server, a path a case, that counts its requests and cuts off a client that never ends.

    python -m proofs.scoreboard.server        prints its address; ends with its standard input

Theory of operation. Each reader (a tool, or one of its configurations) has each case's API to itself, below
/READER/CASE/: no reader sees what another one did. The API begins in its first phase; POST /control/READER/CASE?phase=N
brings it into another, which also counts requests anew and lets go of one that stalls. GET of the same address tells
what the reader did. All answers are functions of the case, the phase and the request's number; only the one case whose
records are of the present, and the wait after a 429, follow the real clock.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby, islice
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from proofs.scoreboard.cases import CASES
from proofs.scoreboard.model import NOW, START, Api, Case, Record

MOST_REQUESTS: Final = 300  # of one run; the longest that ends needs 26
RETRY_AFTER: Final = 3
Params = dict[str, str]


class RefusedError(Exception):
    """A request that the API answers 400, and why."""


def instant(text: str) -> datetime:
    """A point in time; UTC where the text says nothing of it."""
    try:
        value = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise RefusedError("since and until are instants in ISO 8601") from error
    return value if value.tzinfo else value.replace(tzinfo=timezone.utc)


def floored(value: datetime, precision: int) -> datetime:
    """The value rounded down to so many seconds; itself for none."""
    return (
        START + (value - START) // timedelta(seconds=precision) * timedelta(seconds=precision) if precision else value
    )


def wanted(api: Api, held: Sequence[Record], params: Params) -> list[Record]:
    """The records that pass the request's filter, in the API's order."""
    found = list(held)
    if "since" in params and api.filter != "none":
        since = floored(instant(params["since"]) + timedelta(hours=api.hours), api.precision)
        if api.behind and "after_id" in params:
            place = (since, int(params["after_id"]))
            found = [shown for shown in found if (instant(shown["updated_at"]), shown["id"]) > place]
        elif api.filter == ">=":
            found = [shown for shown in found if floored(instant(shown["updated_at"]), api.precision) >= since]
        else:
            found = [shown for shown in found if floored(instant(shown["updated_at"]), api.precision) > since]
    if "until" in params and api.filter != "none":
        until = floored(instant(params["until"]), api.precision)
        found = [shown for shown in found if instant(shown["updated_at"]) <= until]
    found.sort(key=lambda shown: shown["id"])
    found.sort(key=lambda shown: instant(shown["updated_at"]), reverse=api.order == "descending")
    return found


def reordered(listed: Sequence[Record], turn: int) -> list[Record]:
    """The list with the records of each tie in another order for each turn; 0 leaves them."""
    ties = (list(tie) for _, tie in groupby(listed, key=lambda shown: shown["updated_at"]))
    return [
        shown for tie in ties for shown in sorted(tie, key=lambda shown: shown["id"] * 7 * turn % 13 if turn else 0)
    ]


def in_orders(listed: Sequence[Record], sizes: Sequence[int]) -> list[Record]:
    """Orders, each with so many of the records as its lines."""
    left = iter(listed)
    return [{"order": number, "lines": [*islice(left, size)]} for number, size in enumerate(sizes, 1)]


def page_of(api: Api, listed: Sequence[Record], params: Params) -> dict[str, Any] | None:
    """The page that the request asks for; None where it is answered 404."""
    params = {name: value for name, value in params.items() if name not in api.ignored}
    if api.orders:
        listed = in_orders(listed, api.orders)
    size = min(_count(params, "limit", api.size, least=1), api.size)
    match api.pages:
        case "page":
            start = (_count(params, "page", 1, least=1) - 1) * size
        case "offset":
            start = _count(params, "offset", 0)
        case "token":
            start = _token(params)
    if api.window is not None and start + size > api.window:
        raise RefusedError(f"offset + limit may be {api.window} at most")
    ended = start + size >= len(listed)
    first = max(start - 1, 0) if api.overlap else start
    if api.not_found and first >= len(listed):
        return None
    shown = [each for each in listed[first : start + size] if each.get("id") not in api.hidden]
    if api.pages != "token":
        return {"data": shown, "hasMore": not ended}
    following = size if api.circle and ended else start + size
    token: Any = f"t{following}" if api.circle or api.endless or api.end_flag or not ended else None
    for key in reversed(api.token_path):
        token = {key: token}
    return {"data": shown, **token, **({"end": ended} if api.end_flag else {})}


def _count(params: Params, name: str, default: int, *, least: int = 0) -> int:
    text = params.get(name) or str(default)
    if not text.isdecimal() or int(text) < least:
        raise RefusedError(f"{name} is a number from {least} on")
    return int(text)


def _token(params: Params) -> int:
    text = params.get("cursor") or "t0"
    if not text.startswith("t") or not text[1:].isdecimal():
        raise RefusedError("cursor is the token of an answer")
    return int(text[1:])


@dataclass
class Reading:
    """One reader's API of one case."""

    case: Case
    phase: int = 0
    requests: int = 0
    early: int = 0
    held: list[Record] = field(default_factory=list)
    barred_until: float = 0.0
    stalled: bool = False
    let_go: threading.Event = field(default_factory=threading.Event)

    def enter(self, phase: int) -> None:
        """Begin a phase; records of the present are younger than all that was read before."""
        if self.case.api.clock == "real":
            time.sleep(1 - time.time() % 1)
        present = datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
        self.held = [
            {**shown, "updated_at": present} if shown["updated_at"] == NOW else shown
            for shown in self.case.phases[phase]
        ]
        self.phase, self.requests, self.stalled = phase, 0, False
        self.let_go.set()
        self.let_go = threading.Event()

    @property
    def told(self) -> dict[str, Any]:
        """What the reader did in this phase."""
        return {
            "requests": self.requests,
            "cut_off": self.requests > MOST_REQUESTS,
            "stalled": self.stalled,
            "early": self.early,
        }

    @property
    def date(self) -> str:
        """The API's clock as a Date header."""
        clock = self.case.api.clock
        if clock == "real":
            now = datetime.now(timezone.utc)
        elif clock:
            now = START + timedelta(seconds=clock[self.phase])
        else:
            now = max(instant(shown["updated_at"]) for shown in self.case.phases[self.phase]) + timedelta(seconds=1)
        return format_datetime(now, usegmt=True)

    def list_of(self, path: str, params: Params) -> dict[str, Any] | None:
        """The page at a path below the case; None where there is nothing."""
        api = self.case.api
        match path.strip("/").split("/"):
            case ["items"] if not self.case.parents:
                turn = self.requests if api.restless else 0
                if self.phase or (api.failover is not None and self.requests >= api.failover):
                    turn = turn or int(api.failover is not None)
                return page_of(api, reordered(wanted(api, self.held, params), turn), params)
            case ["items", key] if not self.case.parents:
                alone = [shown for shown in self.held if str(shown["id"]) == key]
                return {"data": alone[0]} if alone else None
            case ["parents"] if self.case.parents:
                parents = [{"id": key, "updated_at": START.isoformat()} for key in self.case.parents]
                return page_of(Api(size=1), parents, params)
            case ["parents", key, "children"] if self.case.parents:
                below = [shown for shown in self.held if str(shown["parent_id"]) == key]
                return page_of(api, wanted(api, below, params), params)
        return None


class Server(ThreadingHTTPServer):
    """All cases for all readers, on a free loopback port."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.cases = {case.name: case for case in CASES}
        self.readings: dict[tuple[str, str], Reading] = {}

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def reading(self, reader: str, case: str) -> Reading | None:
        """The reader's API of a case, made where it isn't yet."""
        if case not in self.cases:
            return None
        if (reader, case) not in self.readings:
            self.readings[reader, case] = Reading(self.cases[case])
            self.readings[reader, case].enter(0)
        return self.readings[reader, case]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class Handler(BaseHTTPRequestHandler):
    """One request: its number decides what befalls it."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: Server

    def do_GET(self) -> None:
        """A page of a case, or what a reader did."""
        split = urlsplit(self.path)
        parts = split.path.strip("/").split("/", 2)
        if parts[0] == "control" and len(parts) == 3:
            with self.server.lock:
                reading = self.server.reading(parts[1], parts[2])
                told = reading.told if reading else None
            self._send(200 if told else 404, told or {})
            return
        with self.server.lock:
            reading = self.server.reading(parts[0], parts[1]) if len(parts) == 3 else None
        if reading is None:
            self._send(404, {"message": "no such case"})
            return
        self._answer(reading, parts[2], dict(parse_qsl(split.query)))

    def do_POST(self) -> None:
        """Bring a reader's API of a case into a phase."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        split = urlsplit(self.path)
        parts = split.path.strip("/").split("/", 2)
        phase = dict(parse_qsl(split.query)).get("phase", "")
        with self.server.lock:
            reading = self.server.reading(parts[1], parts[2]) if parts[0] == "control" and len(parts) == 3 else None
            known = reading is not None and phase.isdecimal() and int(phase) < len(reading.case.phases)
            if reading and known:
                reading.enter(int(phase))
        self._send(200 if known else 404, {})

    def _answer(self, reading: Reading, path: str, params: Params) -> None:
        api = reading.case.api
        with self.server.lock:
            reading.requests += 1
            number, first = reading.requests, reading.phase == 0
            is_barred = first and path in {f"parents/{key}/children" for key in api.barred}
            if number > MOST_REQUESTS:
                self._send(410, {"message": f"cut off after {MOST_REQUESTS} requests"}, reading.date)
                return
            fault = api.faults.get(number) if first else None
            if fault == "429" or time.monotonic() < reading.barred_until:
                reading.early += fault != "429"
                reading.barred_until = time.monotonic() + RETRY_AFTER
                self._send(429, {"message": "slow down"}, reading.date, retry_after=RETRY_AFTER)
                return
            if first and number in api.moves:
                moved = api.moves[number]
                reading.held = [*(shown for shown in reading.held if shown["id"] != moved["id"]), moved]
            try:
                page = reading.list_of(path, params)
                status, body = (404, {"message": "no such list"}) if page is None else (200, page)
            except RefusedError as refused:
                status, body = 400, {"message": str(refused)}
            reading.stalled = first and number == api.stalls
            stalled, let_go = reading.stalled, reading.let_go
        if stalled:
            let_go.wait(600)
            self.close_connection = True
            return
        if is_barred:
            status, body = 403, {"message": "this parent isn't yours yet"}
        if api.left_out and not body.get("data", True):
            del body["data"]
        if fault == "503":
            status, body = 503, {"message": "overloaded"}
        if fault == "error in 200":
            body = {"data": None, "error": {"code": "internal", "message": "the list can't be read now"}}
        follows = not api.has_more and bool(body.pop("hasMore", False))
        link = ""
        if follows and api.has_link:
            number = int(params.get("page", "1")) + 1
            link = f'<{self.server.url}{urlsplit(self.path).path}?page={number}>; rel="next"'
        self._send(status, body, reading.date, link=link, cut=fault == "cut off", half=fault == "half a body")

    def _send(
        self,
        status: int,
        body: Any,
        date: str = "",
        *,
        link: str = "",
        cut: bool = False,
        half: bool = False,
        retry_after: int = 0,
    ) -> None:
        content = json.dumps(body).encode()
        sent = content[: len(content) // 2] if cut or half else content
        self.send_response_only(status)
        if date:
            self.send_header("Date", date)
        if link:
            self.send_header("Link", link)
        if retry_after:
            self.send_header("Retry-After", str(retry_after))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent) if half else len(content)))
        self.end_headers()
        self.wfile.write(sent)
        self.close_connection = self.close_connection or cut

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the parent's name
        """Quietly."""


def check(cases: Sequence[Case] = CASES) -> None:
    """No two cases share a path."""
    doubled = [name for name, times in Counter(case.name for case in cases).items() if times > 1]
    assert not doubled, doubled


def main() -> None:
    """Serve until the standard input ends: whoever started it has gone then."""
    check()
    with Server() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
