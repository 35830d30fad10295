"""Certificates and keys that the settings hold as text, in files for as long as libpq reads them: while it connects."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from psycopg2 import extensions

from target_eventgen.model.pem import is_pem, pem

PARAMETERS: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
"""libpq's parameters that name a file of certificates, or of a key."""


@contextlib.contextmanager
def in_files(dsn: str) -> Iterator[str]:
    """Give a dsn whose certificates are files, which nobody else may read and which are removed at the end.

    Args:
        dsn: a postgresql:// URL or libpq's `name=value` form, in which a file's path may be the file's text.
    """
    if "-----BEGIN" not in dsn:
        yield dsn
        return
    given = extensions.parse_dsn(dsn)
    texts = {name: given[name] for name in PARAMETERS if is_pem(given.get(name, ""))}
    # Its folder is closed to others, and so is each file in it: libpq refuses a key that is not.
    with tempfile.TemporaryDirectory(prefix="eventgen-") as folder:
        for name, text in texts.items():
            file = Path(folder, name)
            file.touch(mode=0o600)
            file.write_text(pem(text), encoding="ascii", errors="replace")
        yield str(extensions.make_dsn(dsn, **{name: str(Path(folder, name)) for name in texts}))
