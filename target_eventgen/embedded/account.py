"""Whom the server runs as: Postgres refuses root, which then becomes another account."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from target_eventgen.errors import EmbeddedPostgresError

ROOTS_HOME: Final = Path("/var/lib/target-eventgen")
"""Where root's clusters and binaries live when the server's account can't reach the project's folder or the venv."""


class Account(Struct, frozen=True):
    """The account that root becomes to run the server; None instead: nothing changes."""

    name: str
    uid: int
    gid: int


def server_account(data: os.stat_result | None = None) -> Account | None:
    """Return root's stand-in: the data's owner, else postgres, else nobody. None where this process isn't root."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    import pwd  # noqa: PLC0415  Unix has it, and only root needs it

    if data is not None and data.st_uid != 0:
        return Account(str(data.st_uid), data.st_uid, data.st_gid)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedPostgresError(
        "Postgres refuses to run as root, and this machine has neither a user postgres nor a user nobody to run it "
        "as. Run as an ordinary user, or give target-eventgen a database_url."
    )


def run_as(account: Account | None) -> dict[str, Any]:
    """Return the options with which subprocess runs a command as the account."""
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


def reaches(account: Account, folder: Path) -> bool:
    """Return whether the account can enter the folder, by trying it, so that ACLs and mounts count."""
    command = ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)]
    finished = subprocess.run(command, cwd="/", capture_output=True, check=False, **run_as(account))  # noqa: S603  constant
    return finished.returncode == 0


def secure_home() -> Path:
    """Return the folder of root's clusters, which only root may write to."""
    ROOTS_HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
    status = ROOTS_HOME.lstat()
    if ROOTS_HOME.is_symlink() or status.st_uid != 0 or status.st_mode & 0o022:
        raise EmbeddedPostgresError(
            f"{ROOTS_HOME} must belong to root and be writable by root alone, for a server's files lie in it."
        )
    return ROOTS_HOME
