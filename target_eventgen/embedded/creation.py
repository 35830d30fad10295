"""How a cluster is made: whole, or not at all."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

from target_eventgen.embedded.account import reaches, secure_home, server_account
from target_eventgen.embedded.binaries import binaries
from target_eventgen.embedded.cluster import Cluster, recorded_home, run, tail
from target_eventgen.errors import EmbeddedPostgresError

SWEEP_SECONDS: Final = 10
"""Seconds that the removal of a half-made cluster may take; then it stays, and does no harm."""

_MAX_PATH_BYTES: Final = 900  # Postgres's own buffers end at 1024, and its files' names come on top


def created(folder: Path) -> Cluster:
    """Make a cluster in the folder or, where root's stand-in can't reach the folder, under root's home; return it."""
    if len(os.fsencode(folder)) > _MAX_PATH_BYTES or "\n" in str(folder):
        raise EmbeddedPostgresError(
            f"Postgres can't work in a path of more than {_MAX_PATH_BYTES} bytes or with a line break in it: {folder}. "
            "Choose another folder, or give target-eventgen a database_url."
        )
    account = server_account()
    binaries(account)  # without them, nothing is made
    home = folder
    if account is not None and not reaches(account, folder):
        home = recorded_home(folder) or Path(tempfile.mkdtemp(prefix="postgres-", dir=secure_home()))
        home.mkdir(exist_ok=True)
        home.chmod(0o755)
        (folder / "location").write_text(json.dumps({"home": str(home), "folder": str(folder)}) + "\n")
    cluster = Cluster(home, account)
    if cluster.data.is_dir():
        return cluster
    if cluster.path.exists():
        raise EmbeddedPostgresError(
            f"{cluster.path} is not a Postgres cluster: its folder data is missing. Restore it, or remove it to begin "
            "with an empty database."
        )
    for left_over in home.glob("making-*"):
        _remove(left_over)
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
        status, output = run(cluster, "initdb", arguments, staging)
        if status:
            raise EmbeddedPostgresError(
                f"The embedded Postgres can't be made in {home}: initdb ended with {status}: {tail(output)}"
            )
        with (staging / "data" / "postgresql.conf").open("a") as settings:
            settings.write("\n# target-eventgen\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\n")
        staging.rename(cluster.path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return cluster


def _remove(left_over: Path) -> None:
    """Remove a folder that a killed process left. Its initdb may still be writing: it ends when its files are gone."""
    deadline = time.monotonic() + SWEEP_SECONDS
    while left_over.exists() and time.monotonic() < deadline:
        shutil.rmtree(left_over, ignore_errors=True)
        time.sleep(0.05)
