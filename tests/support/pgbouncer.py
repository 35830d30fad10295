"""PgBouncer, where the machine has it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.support.ports import free_port
from tests.support.servers import unprivileged
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from urllib.parse import SplitResult


@contextlib.contextmanager
def bouncer(database: str, settings: str, files: Iterable[Path] = ()) -> Iterator[SplitResult]:
    """PgBouncer in transaction mode, whose two server connections everybody shares: its address, without a user.

    Args:
        database: what is behind it.
        settings: lines of its configuration; `{folder}` is where its files are.
        files: to be copied there.
    """
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        why = "PgBouncer isn't here: install it (apt-get install pgbouncer), else nothing proves that it is supported"
        assert "CI" not in os.environ, why
        pytest.skip(why)
    parts = urlsplit(database)
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-", dir="/tmp"))  # pytest's own folders are closed to other users
    folder.chmod(0o755)
    for file in files:
        Path(shutil.copy(file, folder)).chmod(0o644)
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        "[databases]\n"
        f"{parts.path[1:]} = host={parts.hostname} port={parts.port} user={parts.username} password={parts.password}\n"
        "[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        "pool_mode = transaction\ndefault_pool_size = 2\nserver_round_robin = 1\n" + settings.format(folder=folder)
    )

    def answers() -> bool:
        assert process.poll() is None, process.stderr and process.stderr.read()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True
        return False

    process = subprocess.Popen([program, configuration], stderr=subprocess.PIPE, **unprivileged())
    try:
        wait_until(answers, what="a PgBouncer that takes connections")
        yield parts._replace(netloc=f"127.0.0.1:{port}", query="")
    finally:
        process.terminate()
        process.communicate(timeout=20)
        shutil.rmtree(folder)
