"""Which server a stream of Redis is on: the only one, the primary that sentinels name, or a node of a cluster.

Theory of operation. A server is looked up when it is first needed, and again once something was wrong (`forget`).
Sentinels are asked with each new connection, so that connections are all that has to be forgotten. Of a cluster, the
ranges of slots are remembered, which any node tells; a stream's slot is that of its name. The clients repeat nothing on
their own, follow no redirection, and know no topology but this.
"""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    from redis import Redis

SLOTS: Final = 16384
"""In which a cluster shares out its keys."""

Address: TypeAlias = tuple[str, int]
"""Host and port."""


class UnservedError(Exception):
    """No server is known for a stream; the text says why."""


class Servers(Protocol):
    """Where streams are."""

    def of(self, stream: str) -> Redis:
        """Return a client of the server that a stream is on.

        Raises:
            UnservedError: there is none.
            RedisError: nobody could be asked.
        """

    def at(self, host: str, port: int) -> Redis:
        """Return a client of the server at an address, which an answer has named."""

    def forget(self) -> None:
        """Give connections up, and what is known of who serves what."""

    def close(self) -> None:
        """Close all connections."""


class One:
    """One server, or the one that sentinels name as primary."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    def of(self, stream: str) -> Redis:  # noqa: ARG002  all are there
        """Return its client."""
        return self._client

    def at(self, host: str, port: int) -> Redis:
        """Refuse: it sends nobody elsewhere.

        Raises:
            UnservedError: always.
        """
        raise UnservedError(
            f"it is a node of a cluster, and sends to {host}:{port}: give its nodes as cluster, not as url"
        )

    def forget(self) -> None:
        """Disconnect."""
        self._client.connection_pool.disconnect()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


class Cluster:
    """The nodes of a cluster, each a primary of some ranges of slots."""

    def __init__(self, redis: Any, nodes: Sequence[Address], options: Mapping[str, Any]) -> None:
        """Connect to nothing yet.

        Args:
            redis: the client library.
            nodes: some of the cluster, any of which tells of all.
            options: of each connection.
        """
        self._redis = redis
        self._nodes = nodes
        self._options = options
        self._clients: dict[Address, Redis] = {}
        self._ends: list[int] = []
        self._ranges: list[tuple[int, Address]] = []  # the first slot of each range and its primary, by their ends

    def of(self, stream: str) -> Redis:
        """Return a client of the stream's node."""
        if not self._ranges:
            self._look()
        slot = self._redis.crc.key_slot(stream.encode())
        place = bisect.bisect_left(self._ends, slot)
        if place == len(self._ends) or self._ranges[place][0] > slot:
            self.forget()
            raise UnservedError("no node of the cluster serves the slot of a stream")
        return self.at(*self._ranges[place][1])

    def at(self, host: str, port: int) -> Redis:
        """Return a client of a node."""
        client = self._clients.get((host, port))
        if client is None:
            client = self._clients[host, port] = self._redis.Redis(host=host, port=port, **self._options)
        return client

    def _look(self) -> None:
        """Ask the nodes, one after the other, who serves what."""
        failure: Exception | None = None
        for host, port in dict.fromkeys((*self._nodes, *self._clients)):
            client: Any = self.at(host, port)
            try:
                told = client.execute_command("CLUSTER SLOTS")
            except (self._redis.exceptions.RedisError, OSError) as error:
                client.connection_pool.disconnect()
                failure = error
                continue
            if found := ranges(told, host):
                self._ends = [end for _, end, _ in found]
                self._ranges = [(start, address) for start, _, address in found]
                return
        raise failure or UnservedError("its nodes are not a cluster yet: they serve no slot")

    def forget(self) -> None:
        """Disconnect, and have the nodes asked again; a node that is gone is not asked for long."""
        self._ends, self._ranges = [], []
        for client in self._clients.values():
            client.connection_pool.disconnect()

    def close(self) -> None:
        """Close all connections."""
        while self._clients:
            with contextlib.suppress(self._redis.exceptions.RedisError, OSError):
                self._clients.popitem()[1].close()


def ranges(told: Any, asked: str) -> list[tuple[int, int, Address]]:
    """Return (first slot, last slot, primary) in their order, of what CLUSTER SLOTS answers.

    Args:
        told: as the client gives it: primaries by pairs of slots, or the protocol's own lists.
        asked: the host that was asked: a node that doesn't know its own address gives none.
    """
    if isinstance(told, Mapping):
        pairs = [(start, end, each["primary"]) for (start, end), each in told.items()]
    else:
        pairs = [(start, end, primary) for start, end, primary, *_ in told]
    return sorted(
        (int(start), int(end), (_text(primary[0]) or asked, int(primary[1]))) for start, end, primary in pairs
    )


def _text(host: Any) -> str:
    text = host.decode() if isinstance(host, bytes) else host or ""
    return "" if text == "?" else text


def addresses(nodes: Sequence[str]) -> list[Address]:
    """Return hosts and ports of texts like host:6379 or [::1]:6379.

    Raises:
        ValueError: one is not.
    """
    found = []
    for node in nodes:
        host, _, port = node.rpartition(":")
        if (
            not host
            or not (port.isascii() and port.isdigit())
            or "/" in node
            or "@" in node
            or not 0 < int(port) < 65536
        ):
            raise ValueError("is to be a list of addresses like host:6379")
        found.append((host.removeprefix("[").removesuffix("]"), int(port)))
    return found
