"""Events a second to a webhook, next to a plain loop of an HTTP client over the same receiver.

    python -m benchmarks.webhook [--events 5000] [--rounds 3]

The receiver is a process of its own that reads each request whole and answers 200 at once. The plain loops post the
same bodies over connections that are kept: with requests, as most people would, and with http.client, the least that
can be done. Each line is the median of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import http.client
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
import requests

from target_eventgen import publishers
from target_eventgen.publishers import cloudevent
from target_eventgen.publishers.cloudevent import CloudEvent
from target_eventgen.publishers.protocol import Delivered

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()


def events(number: int) -> list[CloudEvent]:
    """Return so many events, each of another key."""
    data = msgspec.Raw(
        b'{"old": null, "new": {"id": 412, "value": 10640, "text": "' + b"x" * 300 + b'"}, "changed": []}'
    )
    return [
        CloudEvent(
            id=f"{place:064x}",
            source="target-eventgen/db",
            type="subscription.created",
            subject=f"subscriptions/{place}",
            partitionkey=str(place),
            sequence=f"{place:019d}",
            data=data,
        )
        for place in range(number)
    ]


async def receive() -> None:
    """Be the receiver; prints its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def with_requests(url: str, given: list[CloudEvent]) -> None:
    """Post by requests."""
    headers = {"content-type": cloudevent.STRUCTURED}
    with requests.Session() as session:
        for event in given:
            session.post(url, data=cloudevent.structured(event), headers=headers, timeout=15).raise_for_status()


def with_http_client(port: int, given: list[CloudEvent]) -> None:
    """Post by http.client."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    for event in given:
        connection.request("POST", "/", cloudevent.structured(event), {"content-type": cloudevent.STRUCTURED})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
    connection.close()


def side_by_side(work: Callable[[list[CloudEvent]], None], given: list[CloudEvent], number: int) -> None:
    """Share the events out to threads."""
    with ThreadPoolExecutor(number) as pool:
        for future in [pool.submit(work, given[place::number]) for place in range(number)]:
            future.result()


def ours(url: str, given: list[CloudEvent], **settings: object) -> None:
    """Publish."""
    publisher = publishers.open_publisher(
        "hook", "webhook", {"url": url, "allow_private_addresses": True, "secrets": [SECRET], **settings}
    )
    start = 0
    while start < len(given):
        outcomes = publisher.publish(given[start : start + publisher.most])
        assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        start += len(outcomes)
    publisher.close()


def main() -> None:
    """Measure, and print a line a case."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--receive", action="store_true", help="be the receiver")
    options = parser.parse_args()
    if options.receive:
        asyncio.run(receive())
        return
    given = events(options.events)
    with subprocess.Popen([sys.executable, __file__, "--receive"], stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        port = int(receiver.stdout.readline())
        url = f"http://127.0.0.1:{port}/"
        cases: dict[str, Callable[[], None]] = {
            "requests, a loop": lambda: with_requests(url, given),
            "http.client, a loop": lambda: with_http_client(port, given),
            "ours, 1 connection, signed": lambda: ours(url, given, connections=1),
            "requests, 8 threads": lambda: side_by_side(lambda part: with_requests(url, part), given, 8),
            "http.client, 8 threads": lambda: side_by_side(lambda part: with_http_client(port, part), given, 8),
            "ours, 8 connections, signed": lambda: ours(url, given),
            "ours, batches of 100, signed": lambda: ours(url, given, mode="batch"),
        }
        seconds: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(options.rounds):
            for name, case in cases.items():
                began = time.perf_counter()
                case()
                seconds[name].append(time.perf_counter() - began)
        receiver.kill()
    for name, times in seconds.items():
        print(f"{name:32}{options.events / statistics.median(times):10,.0f} events/s")


if __name__ == "__main__":
    main()
