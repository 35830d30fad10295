"""Postgres behind a real SSH server: the database's name is none that this machine knows."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import pytest

from target_eventgen.errors import SettingsError
from target_eventgen.model.ssh_tunnel import parse
from target_eventgen.store import tunnel
from tests.support.loading import Loader
from tests.support.messages import lines, schema, state, version
from tests.support.processes import environment
from tests.support.relaying import lines_of
from tests.support.ssh import USER, SshServer
from tests.support.tls import Authority, TlsPostgres
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = [{"type": "created", "stream": "subscriptions", "on": "created"}]
SECRET = "passphrase-of-the-key"


@pytest.fixture
def bastion(database: str) -> Iterator[SshServer]:
    with SshServer(urlsplit(database).port or 5432, password=SECRET) as server:
        yield server


@pytest.fixture
def behind(loader: Loader, bastion: SshServer) -> Loader:
    """A target that knows the database by a name behind the SSH server alone."""
    parts = urlsplit(loader.database)
    place = f"{parts.netloc.rpartition('@')[0]}@postgres.behind.invalid:5432".removeprefix("@")
    settings = {"ssh_tunnel": bastion.settings(private_key_password=SECRET)}
    return replace(loader, database=parts._replace(netloc=place).geturl(), settings=settings)


def secrets_of(bastion: SshServer) -> list[str]:
    """Pieces of what no output may show."""
    return [SECRET, *(line for line in bastion.private_key.splitlines() if "KEY" not in line)]


def shown(text: str, bastion: SshServer) -> list[str]:
    return [secret for secret in secrets_of(bastion) if secret in text]


def test_a_load_through_the_tunnel_reaches_a_database_that_only_the_ssh_server_knows(
    loader: Loader, behind: Loader, bastion: SshServer
) -> None:
    done = behind.run([schema(), version(1, 1, 5), state(1)], events=RULES)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert loader.events() == [("created", "1")]
    assert set(bastion.asked) == {("postgres.behind.invalid", 5432)}
    assert bastion.sessions == 1
    assert not shown(done.stderr, bastion)


def test_a_key_without_a_password_may_be_a_file_and_known_hosts_may_have_the_servers_other_key(
    behind: Loader, database: str
) -> None:
    with SshServer(urlsplit(database).port or 5432) as server:
        key = written_text(behind.folder, "id_ed25519", server.private_key)
        known = written_text(behind.folder, "known_hosts", server.known_hosts(key=1))
        given = server.settings(private_key=str(key), host_key=None, known_hosts=str(known))
        assert behind.load([schema(), version(1, 1, 5), state(1)], ssh_tunnel=given) == [1]


def test_an_ssh_server_with_another_key_is_an_error_at_once_that_shows_no_secret(
    behind: Loader, bastion: SshServer, database: str
) -> None:
    with SshServer(urlsplit(database).port or 5432) as other:
        given = bastion.settings(private_key_password=SECRET, host_key=other.public_key)
        message = behind.refused([schema(), state(1)], ssh_tunnel=given)
    assert "has another key than those of ssh_tunnel.host_key" in message
    assert bastion.asked == []
    assert not shown(message, bastion)


def test_a_tunnel_without_a_host_key_is_refused_before_anything_is_connected(
    behind: Loader, bastion: SshServer
) -> None:
    message = behind.refused([schema(), state(1)], ssh_tunnel=bastion.settings(host_key=None))
    assert "ssh_tunnel needs host_key" in message
    assert bastion.sessions == 0


def test_a_host_key_that_is_not_verified_is_said_in_the_log(behind: Loader, bastion: SshServer) -> None:
    given = bastion.settings(private_key_password=SECRET, host_key=None, verify_host_key=False)
    done = behind.run([schema(), version(1, 1, 5), state(1)], ssh_tunnel=given)
    assert done.returncode == 0, done.stderr
    assert "ssh_tunnel.verify_host_key is false: whoever answers at 127.0.0.1" in done.stderr


def test_a_key_that_the_server_does_not_know_is_an_error_at_once(
    behind: Loader, bastion: SshServer, database: str
) -> None:
    with SshServer(urlsplit(database).port or 5432) as other:
        message = behind.refused([schema(), state(1)], ssh_tunnel=bastion.settings(private_key=other.private_key))
        assert f'doesn\'t let the user "{USER}" in' in message
        assert not shown(message, other)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"private_key_password": None}, "ssh_tunnel.private_key_password is needed to open ssh_tunnel.private_key"),
        (
            {"private_key_password": "wrong-pass"},
            "ssh_tunnel.private_key_password does not open ssh_tunnel.private_key",
        ),
        ({"private_key": "-----BEGIN RUBBISH-----"}, "ssh_tunnel.private_key is not a private key"),
        (
            {"private_key": "S3cretPiece"},
            "the file of ssh_tunnel.private_key can't be read (No such file or directory)",
        ),
        ({"host_key": "rubbish"}, "ssh_tunnel.host_key is no public key"),
        ({"host_key": None, "known_hosts": "/nowhere"}, "the file of ssh_tunnel.known_hosts can't be read"),
    ],
)
def test_a_key_that_is_none_is_named_and_not_shown(
    behind: Loader, bastion: SshServer, changed: dict[str, Any], said: str
) -> None:
    given = bastion.settings(**{"private_key_password": SECRET, **changed})
    message = behind.refused([schema(), state(1)], ssh_tunnel=given)
    assert said in message
    assert not shown(message, bastion)
    assert not [secret for secret in ("wrong-pass", "RUBBISH", "S3cretPiece") if secret in message]


def test_an_ssh_server_that_leads_nowhere_says_why(behind: Loader, bastion: SshServer) -> None:
    bastion.refuses = True
    message = behind.refused([schema(), state(1)])
    assert "can't connect to Postgres at postgres.behind.invalid:5432" in message
    assert "doesn't lead there (not allowed here)" in message


def test_an_ssh_server_that_is_down_is_named(behind: Loader, bastion: SshServer) -> None:
    bastion.down()
    message = behind.refused([schema(), state(1)])
    bastion.up()
    assert f"can't connect to the SSH server at 127.0.0.1:{bastion.port}" in message


@pytest.mark.parametrize("times", [1, 5])
def test_a_tunnel_that_dies_in_mid_load_is_made_again_and_nothing_is_lost_or_told_twice(
    loader: Loader, behind: Loader, bastion: SshServer, times: int
) -> None:
    process = behind.start(events=RULES, batch_size_rows=1)
    assert process.stdin is not None
    process.stdin.write(lines([schema()]))
    for cut in range(times):
        messages = [message for key in range(50) for message in (version(cut * 50 + key, 1, 5), state(cut * 50 + key))]
        process.stdin.write(lines(messages))
        process.stdin.flush()
        wait_until(functools.partial(has_more, loader, cut * 50), what="rows of this piece")
        bastion.cut()
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert out.splitlines()[-1] == str(times * 50 - 1)
    assert loader.query("select count(*), max(_eventgen_version) from subscriptions") == [(times * 50, 1)]
    assert loader.query("select count(*), count(distinct id) from eventgen.events") == [(times * 50, times * 50)]
    assert "is lost" in said
    assert bastion.sessions > 1
    assert not shown(said, bastion)


def has_more(loader: Loader, rows: int) -> bool:
    if loader.query("select to_regclass('subscriptions') is null") == [(True,)]:
        return False
    return bool(loader.query(f"select count(*) > {rows} from subscriptions")[0][0])


def test_a_tunnel_that_stays_away_ends_the_run_by_the_schedule_of_lost_connections(
    behind: Loader, bastion: SshServer
) -> None:
    process = behind.start(reconnect_seconds=1, batch_size_rows=1)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(lines([schema(), version(1, 1, 5), state(1)]))
    process.stdin.flush()
    assert process.stdout.readline() == "1\n"
    bastion.down()
    _, said = process.communicate(lines([version(2, 1, 5), state(2)]), timeout=60)
    bastion.up()
    assert process.returncode == 1
    assert "can't connect to the SSH server" in said.splitlines()[-1]
    assert "Traceback" not in said


def test_a_relay_that_listens_goes_through_the_tunnel_and_goes_on_after_it_died(
    loader: Loader, behind: Loader, bastion: SshServer, tmp_path: Path
) -> None:
    received = tmp_path / "events.jsonl"
    publishers = [{"type": "file", "path": str(received)}]
    behind.load([schema(), version(1, 1, 5), state(1)], events=RULES, publishers=publishers, delivery="relay")
    asked = len(bastion.asked)
    config = behind.write_config(events=RULES, publishers=publishers, delivery="relay")
    process = subprocess.Popen(
        [sys.executable, "-m", "target_eventgen", "relay", "--follow", "--config", str(config)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=behind.folder,
        env=environment(),
    )
    try:
        wait_until(lambda: subjects(received) == ["subscriptions/1"], what="the first event")
        bastion.cut()
        loader.load([schema(), version(2, 1, 5), state(2)], events=RULES, publishers=publishers, delivery="relay")
        wait_until(lambda: subjects(received) == ["subscriptions/1", "subscriptions/2"], what="the second event")
        listening = "select count(*) from pg_stat_activity where application_name like '%relay, listening'"
        wait_until(lambda: loader.query(listening) == [(1,)], what="a listener")
        assert set(bastion.asked[asked:]) == {("postgres.behind.invalid", 5432)}
        assert bastion.sessions > 1
    finally:
        process.terminate()
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 0, said
    assert not shown(said, bastion)


def subjects(path: Path) -> list[str]:
    """Of the events in a file; one that was not marked as delivered when the tunnel died is there twice."""
    return list(dict.fromkeys(event.subject for event in lines_of(path))) if path.exists() else []


def test_companions_read_the_tunnel_from_the_variables_that_meltano_sets(
    behind: Loader, bastion: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind.load([schema(), version(1, 1, 5), state(1)], events=RULES)
    given = {**bastion.settings(private_key_password=SECRET), "enable": "true"}
    variables = {f"TARGET_EVENTGEN_SSH_TUNNEL_{name.upper()}": str(value) for name, value in given.items()}
    variables["TARGET_EVENTGEN_DATABASE_URL"] = behind.database
    monkeypatch.setattr(Loader, "environment", staticmethod(lambda: {**environment(), **variables}))
    done = behind.run_command(["events", "--json"])
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()] == ["created"]
    variables["TARGET_EVENTGEN_SSH_TUNNEL_HOST_KEY"] = ""
    done = behind.run_command(["events"])
    assert done.returncode == 1
    assert "ssh_tunnel needs host_key" in done.stderr


def test_rules_are_tried_on_the_server_behind_the_tunnel(behind: Loader, bastion: SshServer, tmp_path: Path) -> None:
    given = tmp_path / "input.singer"
    given.write_text(lines([schema(), version(1, 1, 5), state(1)]))
    config = behind.write_config(events=RULES)
    done = behind.run_command(["rules", "try", "--config", str(config), "--input", str(given)])
    assert done.returncode == 0, done.stderr
    assert "created" in done.stdout
    assert bastion.sessions == 1


@pytest.mark.parametrize("form", ["a url", "settings"])
def test_tls_through_the_tunnel_verifies_the_name_of_the_database_and_not_that_of_its_end_on_loopback(
    loader: Loader, behind: Loader, tmp_path: Path, form: str
) -> None:
    authority = Authority(tmp_path / "tls", names=["postgres.behind.invalid"])
    with encrypted(loader, authority) as (front, server):
        given = verifying(behind, server, authority, form=form)
        done = given.run([schema(), version(1, 1, 5), state(1)], events=RULES)
        assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
        assert loader.events() == [("created", "1")]
        assert set(server.asked) == {("postgres.behind.invalid", 5432)}
        assert front.refused == 0


@pytest.mark.parametrize("names", [["other.behind.invalid"], ["127.0.0.1", "localhost"]])
def test_a_certificate_of_another_name_is_refused_through_the_tunnel_also_where_it_is_that_of_loopback(
    loader: Loader, behind: Loader, tmp_path: Path, names: list[str]
) -> None:
    authority = Authority(tmp_path / "tls", names=names)
    with encrypted(loader, authority) as (_, server):
        message = verifying(behind, server, authority).refused([schema(), version(1, 1, 5), state(1)])
        assert "can't connect to Postgres at postgres.behind.invalid:5432" in message
        assert re.search(r'server certificate for .* does not match host name "postgres\.behind\.invalid"', message)
        assert server.asked != []
    assert loader.query("select to_regclass('subscriptions') is null") == [(True,)]


def test_a_certificate_of_an_unknown_authority_is_refused_through_the_tunnel(
    loader: Loader, behind: Loader, tmp_path: Path
) -> None:
    right, wrong = (Authority(tmp_path / name, names=["postgres.behind.invalid"]) for name in ("right", "wrong"))
    with encrypted(loader, right) as (_, server):
        message = verifying(behind, server, wrong).refused([schema(), version(1, 1, 5), state(1)])
        assert "certificate verify failed" in message


@contextlib.contextmanager
def encrypted(loader: Loader, authority: Authority) -> Iterator[tuple[TlsPostgres, SshServer]]:
    """The database behind TLS, and an SSH server that leads there."""
    with (
        TlsPostgres(urlsplit(loader.database).port or 5432, authority) as front,
        SshServer(front.port, password=SECRET) as server,
    ):
        yield front, server


def verifying(behind: Loader, server: SshServer, authority: Authority, *, form: str = "a url") -> Loader:
    """A target that goes through an SSH server, and verifies the database's certificate and name."""
    settings = {"ssh_tunnel": server.settings(private_key_password=SECRET)}
    if form == "a url":
        query = urlencode({"sslmode": "verify-full", "sslrootcert": authority.authority})
        return replace(behind, database=urlsplit(behind.database)._replace(query=query).geturl(), settings=settings)
    text = Path(authority.authority).read_text()
    return replace(behind, settings={**settings, "ssl_mode": "verify-full", "ssl_certificate_authority": text})


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch, bastion: SshServer) -> None:
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    parsed = parse(bastion.settings())
    assert parsed is not None
    with pytest.raises(SettingsError, match=r"pip install 'tap-restextract\[ssh\]'"):
        tunnel.Tunnel(parsed)


def test_the_log_of_the_ssh_library_stays_out_of_the_targets(behind: Loader, bastion: SshServer) -> None:
    done = behind.run([schema(), version(1, 1, 5), state(1)])
    assert "asyncssh" not in done.stderr
    assert bastion.sessions == 1
    assert logging.getLogger("asyncssh").level > logging.INFO


def written_text(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path
