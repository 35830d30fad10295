"""Ways to reach Postgres: a pooler in transaction mode, TLS with a client's certificate, a role without CREATE."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg2
import pytest

from tests.support.loading import Loader
from tests.support.messages import lines, schema, state, version
from tests.support.pgbouncer import bouncer
from tests.support.processes import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = [
    {"type": "created", "stream": "subscriptions", "on": "created"},
    {"type": "passed", "stream": "subscriptions", "enters": "value > 10"},
]


def checkpoints(keys: int) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [schema()]
    for second in range(4):
        for key in range(keys):
            messages += [version(key, second, 15 if second % 2 else 5), state(second * keys + key)]
    return messages


# -- PgBouncer --------------------------------------------------------------------------------------------------------


@pytest.fixture
def pooled(database: str) -> Iterator[str]:
    with bouncer(database, "auth_type = any\n") as parts:
        yield parts._replace(netloc=f"postgres@{parts.netloc}", query="sslmode=disable").geturl()


def test_pgbouncer_in_transaction_mode_carries_each_checkpoint_on_any_connection(loader: Loader, pooled: str) -> None:
    through = replace(loader, database=pooled)
    crowd = [psycopg2.connect(pooled) for _ in range(2)]
    try:
        assert through.load(checkpoints(5), events=RULES, batch_size_rows=1)[-1] == 19
        process = through.start(events=RULES, batch_size_rows=1)
        for client in crowd:  # others leave settings and tables behind on the shared connections
            with client.cursor() as cursor:
                cursor.execute("set datestyle = 'German'; set timezone = 'Asia/Tokyo'; set search_path = pg_temp")
                cursor.execute("create temp table if not exists events (x int)")
            client.commit()
        out, said = process.communicate(lines([schema(), version(1, 9, 20), state(99)]), timeout=60)
    finally:
        for client in crowd:
            client.close()
    assert (process.returncode, out) == (0, "99\n"), said
    assert loader.query("select count(*), sum(_eventgen_version) from subscriptions") == [(5, 21)]
    assert loader.query("select type, count(*), max(time)::text from eventgen.events group by 1 order by 1") == [
        ("created", 5, "2026-01-01 00:00:00+00"),
        ("passed", 10, "2026-01-01 00:00:03+00"),
    ]
    assert loader.query("select extract(epoch from updated_at)::bigint from subscriptions where id = 1") == [
        (1767225609,)
    ]


# -- TLS --------------------------------------------------------------------------------------------------------------


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A CA; a certificate for 127.0.0.1, and one for the role `loading`."""
    folder = tmp_path / "certificates"
    folder.mkdir()
    days = ("-days", "2")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(folder, "req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=tests", *days)
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name, subject, extra in (("server", "localhost", ("-extfile", "names")), ("client", "loading", ())):
        openssl(folder, "req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={subject}")
        signed = ("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial")
        openssl(folder, *signed, "-out", f"{name}.crt", *days, *extra)
    (folder / "client.key").chmod(0o600)
    return folder


@pytest.fixture
def encrypted(database: str, certificates: Path) -> Iterator[str]:
    """The address of a server that lets the role `loading` in by its certificate alone.

    It is PgBouncer's, since the embedded Postgres is built without TLS.
    """
    (certificates / "users").write_text('"loading" ""\n')
    settings = "".join(
        f"{name} = {value}\n"
        for name, value in {
            "auth_type": "cert",
            "auth_file": "{folder}/users",
            "client_tls_sslmode": "verify-full",
            "client_tls_ca_file": "{folder}/ca.crt",
            "client_tls_cert_file": "{folder}/server.crt",
            "client_tls_key_file": "{folder}/server.key",
        }.items()
    )
    files = [certificates / name for name in ("users", "ca.crt", "server.crt", "server.key")]
    with bouncer(database, settings, files) as parts:
        yield parts._replace(netloc=f"loading@{parts.netloc}").geturl()


def test_tls_with_verify_full_and_a_certificate_of_the_client(
    loader: Loader, encrypted: str, certificates: Path
) -> None:
    client = f"&sslcert={certificates}/client.crt&sslkey={certificates}/client.key"
    authority = f"?sslmode=verify-full&sslrootcert={certificates}/ca.crt"
    through = replace(loader, database=encrypted + authority + client)
    assert through.load([schema(), version(1, 1, 15), state(1)], events=RULES) == [1]
    assert sorted(loader.events()) == [("created", "1"), ("passed", "1")]
    stranger = f"?sslmode=verify-full&sslrootcert={certificates}/client.crt"
    for refused in (authority, stranger + client):
        message = replace(loader, database=encrypted + refused).refused([schema(), state(2)])
        assert "can't connect to Postgres at 127.0.0.1" in message


def test_tls_with_certificates_and_a_key_that_are_texts_leaves_no_file_behind(
    loader: Loader, encrypted: str, certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(Loader, "environment", staticmethod(lambda: environment(TMPDIR=str(temporary))))
    names = {
        "ssl_certificate_authority": "ca.crt",
        "ssl_client_certificate": "client.crt",
        "ssl_client_private_key": "client.key",
    }
    texts = {setting: (certificates / file).read_text() for setting, file in names.items()}
    through = replace(loader, database=encrypted, settings={"ssl_mode": "verify-full", **texts})
    done = through.run([schema(), version(1, 1, 15), state(1)], events=RULES)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    config = through.write_config(events=RULES)
    done = through.run_command(["events", "--config", str(config)])
    assert "created" in done.stdout, done.stderr
    stranger = {**texts, "ssl_certificate_authority": texts["ssl_client_certificate"]}
    message = through.refused([schema(), state(2)], **stranger)
    assert "can't connect to Postgres at 127.0.0.1" in message
    assert "PRIVATE KEY" not in message
    assert list(temporary.iterdir()) == []


# -- rights -----------------------------------------------------------------------------------------------------------


def test_a_role_that_may_create_nothing_loads_tables_that_exist(loader: Loader) -> None:
    loader.load([schema(), version(1, 1, 5), state(1)], events=RULES)
    role = "loading_" + urlsplit(loader.database).path[-8:]
    loader.query(
        f"create role {role} login password 'secret'; revoke create on schema public from public;"
        f"grant usage on schema public, eventgen to {role};"
        f"grant select, insert, update, delete on all tables in schema public, eventgen to {role}"
    )
    parts = urlsplit(loader.database)
    own = parts._replace(netloc=f"{role}:secret@{parts.hostname}:{parts.port}").geturl()
    try:
        restricted = replace(loader, database=own)
        assert restricted.load([schema(), version(1, 2, 15), version(2, 2, 5), state(2)], events=RULES) == [2]
        assert loader.events() == [("created", "1"), ("passed", "1"), ("created", "2")]
        message = restricted.refused([schema("new", {"id": {"type": "integer"}}, version=None)])
        assert "permission denied" in message
        assert "grant the user the right" in message
    finally:
        loader.query(f"drop owned by {role}; drop role {role}")
