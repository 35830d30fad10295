"""An API that serves bytes made beforehand, so that it is never what is measured.

All records lie encoded in one block; a page is a stretch of it between two short texts. Nothing is parsed but the
request's first line. It runs in a process of its own:

    python -m benchmarks.api RECORDS [SHAPE]       prints its port, serves until its standard input ends

    /PAGE/MILLISECONDS/tokens      ?cursor=     the token of the next page at `next`
    /PAGE/MILLISECONDS/pages       ?page=       from 1 on
    /PAGE/MILLISECONDS/offsets     ?offset=
    /PAGE/MILLISECONDS/keyset      ?after=ID    after (updated_at, id), which the id alone determines here
    /PAGE/MILLISECONDS/slices      ?since=&until=&cursor=     inclusive
    /span                          since the last such question: requests, seconds from the first one to the last
                                   answer, and the sum of the seconds between each request and its answer

MILLISECONDS pass between a request and its answer. Every answer of a list states whether more follow, and the total.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from bisect import bisect_left, bisect_right
from datetime import timedelta
from email.utils import format_datetime
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from benchmarks import inputs

# A clock that stands still behind the last record: what is asked for by time must not become more from year to year.
NOW: Final = format_datetime(inputs.START + inputs.SPAN + timedelta(days=1), usegmt=True)
HEAD: Final = (
    f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: {NOW}\r\nContent-Length: {{length}}\r\n\r\n".format
)


class Block:
    """The records, encoded."""

    def __init__(self, count: int, shape: inputs.Shape) -> None:
        self.offsets = [0]
        self.moments: list[str] = []
        parts = []
        for record in shape.rows(count):
            # As APIs answer: ASCII with escapes, without blanks.
            parts.append(json.dumps(record, separators=(",", ":")).encode() + b",")
            self.offsets.append(self.offsets[-1] + len(parts[-1]))
            self.moments.append(record["updated_at"])
        self.bytes = memoryview(b"".join(parts))
        self.count = count

    def page(self, first: int, last: int, size: int) -> tuple[bytes, memoryview, bytes]:
        """Return the body of the page that begins at `first` in the list that ends before `last`."""
        behind = min(first + size, last)
        more = behind < last
        shown = {"next": str(behind) if more else None, "has_more": more, "total": self.count}
        stretch = self.bytes[self.offsets[first] : max(self.offsets[first], self.offsets[behind] - 1)]
        return b'{"data":[', stretch, b"]," + json.dumps(shown).encode()[1:]


class Span:
    """From the first request to the last answer."""

    def __init__(self) -> None:
        self.requests = 0
        self.first = self.last = self.held = 0.0

    def asked(self) -> float:
        """Note that a request came now, and return the instant."""
        now = time.perf_counter()
        self.requests += 1
        self.first = self.first or now
        return now

    def answered(self, asked: float) -> None:
        """Note that the request of that instant is answered now."""
        self.last = time.perf_counter()
        self.held += self.last - asked

    def told(self) -> bytes:
        """Return what was seen since the last call, and forget it."""
        body = json.dumps({"requests": self.requests, "seconds": self.last - self.first, "held": self.held}).encode()
        self.__init__()  # type: ignore[misc]  # it begins anew
        return body


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, block: Block, span: Span) -> None:
        self.block = block
        self.span = span
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            line = self.received[: self.received.find(b"\r\n")].decode()
            self.received = self.received[end + 4 :]
            self.answer(line.split(" ")[1])

    def answer(self, target: str) -> None:
        """Answer one request, when its time has come."""
        split = urlsplit(target)
        if split.path == "/span":
            self.send([self.span.told()], None)
            return
        begun = self.span.asked()
        asked = dict(parse_qsl(split.query))
        _, size, wait, kind = split.path.split("/")
        block, first, last = self.block, 0, self.block.count
        match kind:
            case "tokens":
                first = int(asked.get("cursor", 0))
            case "pages":
                first = (int(asked.get("page", 1)) - 1) * int(size)
            case "offsets":
                first = int(asked.get("offset", 0))
            case "keyset":
                first = int(asked.get("after", 0))
            case "slices":
                since, until = asked.get("since", ""), asked.get("until")
                last = bisect_right(block.moments, until) if until else last
                first = int(asked.get("cursor", bisect_left(block.moments, since)))
        parts = block.page(min(first, last), last, int(size))
        if wait == "0":
            self.send(parts, begun)
        else:
            asyncio.get_running_loop().call_later(int(wait) / 1000, self.send, parts, begun)

    def send(self, parts: list[bytes] | tuple[bytes | memoryview, ...], asked: float | None) -> None:
        """Write an answer to what was asked then."""
        head = HEAD(length=sum(map(len, parts))).encode()
        if not self.transport.is_closing():
            self.transport.write(b"".join((head, *parts)))
        if asked is not None:
            self.span.answered(asked)


async def serve(count: int, shape: inputs.Shape) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    block, span = Block(count, shape), Span()
    server = await loop.create_server(lambda: Connection(block, span), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1]), inputs.SHAPES[sys.argv[2] if sys.argv[2:] else "plain"]))
