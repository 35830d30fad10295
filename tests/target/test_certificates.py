"""Certificates that are given as text: files while Postgres's client reads them, and nothing after."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

import pytest
from psycopg2.extensions import parse_dsn

from target_eventgen.model import settings
from target_eventgen.model.pem import is_pem, pem
from target_eventgen.store.certificates import in_files

pytestmark = pytest.mark.in_process

TEXT = "-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----\n"
KEY = TEXT.replace("CERTIFICATE", "PRIVATE KEY")


def dsn_of(**given: str) -> str:
    parsed = settings.parse({"database_url": "postgresql://me:secret@db/x", "ssl_mode": "verify-full", **given})
    assert parsed.dsn is not None
    return parsed.dsn


def test_texts_are_private_files_while_it_connects_and_are_removed_also_after_an_error() -> None:
    dsn = dsn_of(ssl_certificate_authority=TEXT, ssl_client_certificate="/a/file.crt", ssl_client_private_key=KEY)
    for fails in (False, True):
        paths: dict[str, Path] = {}
        with contextlib.suppress(ConnectionRefusedError), in_files(dsn) as complete:
            given = parse_dsn(complete)
            paths |= {name: Path(given[name]) for name in ("sslrootcert", "sslkey")}
            assert {name: path.read_text() for name, path in paths.items()} == {"sslrootcert": TEXT, "sslkey": KEY}
            if os.name == "posix":
                assert {stat.S_IMODE(path.stat().st_mode) for path in paths.values()} == {0o600}
                assert {stat.S_IMODE(path.parent.stat().st_mode) for path in paths.values()} == {0o700}
            assert (given["sslcert"], given["sslmode"], given["host"]) == ("/a/file.crt", "verify-full", "db")
            if fails:
                refuse()
        assert len(paths) == 2
        assert [path for path in paths.values() if path.exists() or path.parent.exists()] == []


def refuse() -> None:
    raise ConnectionRefusedError


def test_a_dsn_without_texts_is_left_as_it_is() -> None:
    with in_files("postgresql://me@db/x?sslrootcert=/a/file.crt") as complete:
        assert complete == "postgresql://me@db/x?sslrootcert=/a/file.crt"


def test_a_text_on_one_line_may_write_its_line_breaks() -> None:
    assert pem(TEXT.strip().replace("\n", "\\n")) == TEXT == pem(f"\n{TEXT}")
    assert [is_pem(given) for given in (TEXT, f"\n {TEXT}", "/path/to/a.crt", "")] == [True, True, False, False]
