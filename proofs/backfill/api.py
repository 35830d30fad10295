"""A long list behind HTTP, in a process of its own: a million records of which fifty thousand share each timestamp.

A record is made from its number when it is asked for, so the list takes no memory, and an answer a millisecond.
`/keyset` answers strictly behind (`since`, `after`); `/tokens` from `since` on, with a token that names a position;
`/asked` says how many pages were asked for.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import datetime, timedelta, timezone
from email.utils import formatdate
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

BEGIN: Final = datetime(2024, 1, 1, tzinfo=timezone.utc)
RECORD: Final = (
    '{"id":%d,"updated_at":"%s","customer":"Zo\u00eb %d Ltd","plan_id":"plan-%d","quantity":%d,"value":%d.25,"status":"active",'
    '"created_at":"2023-06-01T12:00:00Z","note":"as agreed by telephone, to be renewed each year unless told otherwise"}'
)


class Shape(NamedTuple):
    """How many records there are, how many share a timestamp, and how many an answer holds."""

    records: int
    ties: int
    page: int


def stamp(shape: Shape, index: int) -> str:
    """The timestamp of the record with this index; ids rise with time, and begin at 1."""
    return (BEGIN + timedelta(seconds=index // shape.ties)).strftime("%Y-%m-%dT%H:%M:%SZ")


def page(shape: Shape, start: int) -> str:
    """The records from this index on, as many as an answer holds."""
    end = min(start + shape.page, shape.records)
    return ",".join(
        RECORD % (index + 1, stamp(shape, index), index % 977, index % 7, index % 13, index % 20_000)
        for index in range(start, end)
    )


def first(shape: Shape, since: str | None) -> int:
    """The index of the first record of this timestamp or a later one."""
    if since is None:
        return 0
    seconds = (datetime.fromisoformat(since.replace("Z", "+00:00")) - BEGIN).total_seconds()
    return max(0, -int(-seconds // 1) * shape.ties)


def answer(shape: Shape, path: str, params: dict[str, str]) -> str:
    """The body for a list's page."""
    since = first(shape, params.get("since"))
    if path == "/keyset":
        start = max(since, min(since + shape.ties, int(params.get("after", 0))))
        return f'{{"data":[{page(shape, start)}]}}'
    start = int(params.get("token", since))
    behind = start + shape.page
    following = json.dumps(str(behind) if behind < shape.records else None)
    return f'{{"data":[{page(shape, start)}],"next":{following}}}'


class Connection(asyncio.Protocol):
    """Requests without bodies, one after another on a connection that stays open."""

    asked = 0

    def __init__(self, shape: Shape) -> None:
        self.shape, self.held = shape, b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.held += data
        while b"\r\n\r\n" in self.held:
            head, self.held = self.held.split(b"\r\n\r\n", 1)
            split = urlsplit(head.split(b" ", 2)[1].decode())
            if split.path == "/asked":
                body = str(Connection.asked).encode()
            else:
                Connection.asked += 1
                body = answer(self.shape, split.path, dict(parse_qsl(split.query))).encode()
            head = f"HTTP/1.1 200 OK\r\nDate: {formatdate(usegmt=True)}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            self.transport.write(head + body)


async def serve(port: int, shape: Shape) -> None:
    """Answer until the process is ended."""
    server = await asyncio.get_running_loop().create_server(lambda: Connection(shape), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    asyncio.run(serve(given[0], Shape(*given[1:])))
