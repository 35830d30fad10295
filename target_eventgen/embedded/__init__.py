"""The Postgres of a project: made, started and found in the project's folder, so that no database need be set up.

Theory of operation. The folder (`.eventgen/postgres` of the project) holds:

    lock        held by whoever makes, starts or stops the server
    location    only where the cluster can't live in the folder: where it lives instead
    cluster/    data/        Postgres's data directory
                password     the superuser's, made with the cluster
                server.log

*Is it up?* is answered by a connection and by nothing else. The port stands in `data/postmaster.pid`, which may be
left over from a killed server: by then its port may belong to a stranger and its process id to anybody. So the answer
counts only where the server proves over SCRAM that it knows this cluster's random password (a stranger can't, and is
never sent it), and where it runs on this data directory (the folder may be a copy of another project's).

*Made whole or not at all*: initdb works in a folder of another name, renamed to `cluster` when all is in it. What a
killed process left under such names is removed by the next one.

*Started once*: a process that doesn't find it running takes the lock and looks again. The server is no process's child:
pg_ctl gives it a session of its own and a log instead of the caller's streams, so it outlives its starter, and no pipe
waits for it.

*As root*: Postgres refuses to run as root. It then runs as the owner of the data, else as `postgres`, else as
`nobody`. Where that account can't reach the folder (`/root` is closed to it), no mode is changed: the cluster lives in
a folder of its own under /var/lib/target-eventgen, which `location` names. Its name is random, not made of the
project's path: who removes the project and begins again at the same path gets an empty database, not the old one. The
binaries are copied there too where the account can't reach them.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from target_eventgen.embedded.binaries import extra
from target_eventgen.embedded.cluster import connected, existing, named, postmaster, recorded_home, run
from target_eventgen.embedded.creation import created
from target_eventgen.embedded.start import START_SECONDS, started
from target_eventgen.errors import EmbeddedPostgresError

_THREADS: Final = threading.Lock()  # the file lock excludes processes only


def default_folder() -> Path:
    """Return the folder of the current project: `.eventgen/postgres` in the working directory."""
    return Path.cwd() / ".eventgen" / "postgres"


def resolve(database_url: str | None, folder: Path | None = None) -> str:
    """Return the URL of the database to use: the given one, else that of the folder's instance, started as needed."""
    return database_url or up(folder)


def url(folder: Path | None = None) -> str | None:
    """Return the URL of the folder's instance, or None when it isn't running. Start nothing and take no lock."""
    folder = _absolute(folder)
    with _explained(folder):
        cluster = existing(folder)
        return None if cluster is None else connected(cluster)


def up(folder: Path | None = None) -> str:
    """Make and start the folder's instance as needed; return its URL.

    Raises:
        EmbeddedPostgresError: it can't be made or started; the message says why, and what to do.
    """
    folder = _absolute(folder)
    with _explained(folder):
        cluster = existing(folder)
        if cluster is not None and (running := connected(cluster)):
            return running
        _make_folder(folder)
        with _locked(folder):
            cluster = existing(folder)
            if cluster is None:
                cluster = created(folder)
            return connected(cluster) or started(cluster)


def down(folder: Path | None = None) -> bool:
    """Stop the folder's instance and wait for its end; return False where nothing was running. The data stay."""
    folder = _absolute(folder)
    with _explained(folder):
        if existing(folder) is None:
            return False
        with _locked(folder):
            cluster = existing(folder)
            if cluster is None or postmaster(cluster) is None:
                return False
            arguments = ["stop", "-D", named(cluster.data), "-w", "-m", "fast", "-t", str(START_SECONDS)]
            status, output = run(cluster, "pg_ctl", arguments, cluster.path)
            if status and postmaster(cluster) is not None:
                raise EmbeddedPostgresError(f"The embedded Postgres in {folder} doesn't stop: {output}")
            return True


def exists(folder: Path | None = None) -> bool:
    """Return whether the folder has a cluster, running or not."""
    folder = _absolute(folder)
    with _explained(folder):
        return existing(folder) is not None


def remove(folder: Path | None = None) -> bool:
    """Stop the folder's instance and delete its cluster with all data; return False where there was none."""
    folder = _absolute(folder)
    down(folder)
    with _explained(folder):
        cluster, home = existing(folder), recorded_home(folder)
        if cluster is None and home is None:
            return False
        with _locked(folder):
            if cluster is not None:
                shutil.rmtree(cluster.path)
            (folder / "location").unlink(missing_ok=True)
            if home is not None:
                shutil.rmtree(home, ignore_errors=True)
        return cluster is not None


def _absolute(folder: Path | None) -> Path:
    return (folder or default_folder()).absolute()


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn the operating system's refusals into errors that name the folder and the remedy."""
    try:
        yield
    except PermissionError as error:
        raise EmbeddedPostgresError(
            f"The embedded Postgres in {folder} can't be used by this user: {error}. "
            "Run as the user who made it, or give target-eventgen a database_url."
        ) from error
    except OSError as error:
        raise EmbeddedPostgresError(
            f"The embedded Postgres in {folder} can't be used: {error}. "
            "Make room or choose another folder, or give target-eventgen a database_url."
        ) from error


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    fasteners = extra("fasteners")
    with _THREADS, fasteners.InterProcessLock(folder / "lock"):
        yield
