"""TLS with a CA of one's own, client certificates, and proxies that a request really goes through."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme

from tap_restextract.errors import ConfigurationError, NoAnswerError
from tap_restextract.http.client import Client
from tap_restextract.http.failures import cause_of, tls_mismatch
from tap_restextract.http.tokens import TokenKeeper
from tap_restextract.walks.steps import Page, PageRequest
from tests.support.api import Api, Reply, scripted, serving
from tests.support.processes import tap
from tests.support.proxy import ForwardProxy
from tests.support.streams import config, stream

LOG = logging.getLogger("test")
GOOD = Reply([{"id": 1}])


def fetched(url: str, **keys: Any) -> Page:
    with closing(Client(stream(base_url=url, **keys), TokenKeeper(), LOG, "0")) as client:
        return client.page(PageRequest())


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    """The CA's certificate in a file."""
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return str(file)


@contextmanager
def encrypted(authority: trustme.CA, *, mutual: bool = False) -> Iterator[tuple[Api, str]]:
    """A server with the CA's certificate for localhost; a mutual one wants one of the client, too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    if mutual:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    with serving(scripted(GOOD)) as api:
        api.socket = context.wrap_socket(api.socket, server_side=True)
        yield api, f"https://localhost:{api.server_address[1]}"


def test_the_setting_names_the_certificates_to_trust(authority: trustme.CA, bundle: str) -> None:
    with encrypted(authority) as (_, url):
        assert len(fetched(url, ca_bundle=bundle).records) == 1


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_so_does_the_environment(
    authority: trustme.CA, bundle: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, bundle)
    with encrypted(authority) as (_, url):
        assert len(fetched(url).records) == 1


def test_the_setting_comes_before_the_environment(
    authority: trustme.CA, bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    with encrypted(authority) as (_, url):
        assert len(fetched(url, ca_bundle=bundle).records) == 1


def test_an_unknown_ca_is_refused_at_once_with_the_remedy(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    with encrypted(authority) as (api, url), pytest.raises(NoAnswerError, match=r"can't be verified; set ca_bundle"):
        fetched(url)
    assert api.asked == []


def test_a_certificate_for_another_host_is_refused(authority: trustme.CA, bundle: str) -> None:
    with encrypted(authority) as (_, url), pytest.raises(NoAnswerError, match="can't be verified"):
        fetched(url.replace("localhost", "127.0.0.1"), ca_bundle=bundle)


@contextmanager
def listening(talk: Callable[[socket.socket], None]) -> Iterator[tuple[int, list[int]]]:
    """A server that talks to each connection as a function says; its port, and the connections until now."""
    taken: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    taken.append(1)
                    with connection, contextlib.suppress(OSError):
                        talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], taken
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def in_plain(connection: socket.socket) -> None:
    """Answer HTTP without TLS."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def with_an_alert(connection: socket.socket) -> None:
    """Answer plain HTTP as a server of TLS does: by the alert "unexpected message"."""
    connection.recv(65536)
    connection.sendall(b"\x15\x03\x03\x00\x02\x02\x0a")


def of_an_old_version(connection: socket.socket) -> None:
    """Refuse the client's hello by the alert "protocol version"."""
    connection.recv(65536)
    connection.sendall(b"\x15\x03\x01\x00\x02\x02\x46")


@pytest.mark.parametrize(
    ("talk", "scheme", "told"),
    [
        (in_plain, "https", "the server doesn't speak TLS at this address, perhaps plain HTTP; write http:// in the address"),
        (with_an_alert, "http", "the server speaks TLS at this address; write https:// in the address"),
        (of_an_old_version, "https", "the server and this client speak no common version of TLS; have the server speak TLS 1.2"),
    ],
)  # fmt: skip
def test_a_mismatch_is_told_at_once_with_its_remedy(
    talk: Callable[[socket.socket], None], scheme: str, told: str
) -> None:
    with listening(talk) as (port, taken), pytest.raises(NoAnswerError) as caught:
        fetched(f"{scheme}://127.0.0.1:{port}")
    assert f"/things: {told}" in str(caught.value)
    assert len(taken) == 1


def test_a_mismatch_at_the_token_endpoint_is_told_with_its_remedy() -> None:
    with listening(in_plain) as (port, taken):
        auth = {"type": "oauth2_client_credentials", "access_token_url": f"https://127.0.0.1:{port}/token"}
        with pytest.raises(NoAnswerError) as caught:
            fetched("http://127.0.0.1:1", auth=auth, auth_client_id="i", auth_client_secret="s")
    assert "the token endpoint POST" in str(caught.value)
    assert "perhaps plain HTTP; write http:// in the address" in str(caught.value)
    assert len(taken) == 1


def test_a_connection_that_breaks_off_in_its_handshake_is_tried_again() -> None:
    with listening(lambda _: None) as (port, taken), pytest.raises(NoAnswerError, match="2 times"):
        fetched(f"https://127.0.0.1:{port}", max_attempts=2)
    assert len(taken) == 2


@pytest.mark.parametrize(
    ("host", "times", "told"),
    [
        ("127.0.0.1", {}, "it is another host's; ask by a name that is in the certificate"),
        ("localhost", {"not_after": datetime(2020, 1, 1, tzinfo=timezone.utc)}, "it has expired; have it renewed"),
    ],
)
def test_a_certificate_that_does_not_fit_is_told_at_once_with_what_is_wrong(
    authority: trustme.CA, bundle: str, host: str, times: dict[str, Any], told: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", **times).configure_cert(context)

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True):
            pass

    with listening(talk) as (port, taken), pytest.raises(NoAnswerError) as caught:
        fetched(f"https://{host}:{port}", ca_bundle=bundle)
    assert f"the server's TLS certificate can't be verified: {told}" in str(caught.value)
    assert len(taken) == 1


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "the server asks for a certificate of this client"),
        ("TLSV1_ALERT_UNKNOWN_CA", "the server doesn't accept this client's certificate"),
        ("RECORD_LAYER_FAILURE", "the server doesn't speak TLS at this address, perhaps plain HTTP"),
        ("UNEXPECTED_EOF_WHILE_READING", None),
        ("DECRYPTION_FAILED_OR_BAD_RECORD_MAC", None),
    ],
)
def test_only_what_stays_is_a_mismatch(code: str, cause: str | None) -> None:
    error = requests.exceptions.SSLError(ssl.SSLError(1, f"[SSL: {code}] some words (_ssl.c:1000)"))
    mismatch = tls_mismatch(error)
    assert (mismatch and mismatch.cause) == cause
    assert cause_of(error) == (cause or f"the TLS connection failed ({code})")


def test_a_proxy_that_does_not_speak_tls_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(in_plain) as (port, taken):
        monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{port}")
        with pytest.raises(NoAnswerError) as caught:
            fetched("https://api.invalid")
    assert "the proxy doesn't speak TLS; write its address with http:// in HTTPS_PROXY" in str(caught.value)
    assert len(taken) == 1


@pytest.mark.parametrize("own", ["one file", "two files"])
def test_a_client_certificate_is_shown_to_the_server(
    authority: trustme.CA, bundle: str, tmp_path: Path, own: str
) -> None:
    issued = authority.issue_cert("client@example.com")
    both, certificate, key = (tmp_path / name for name in ("both.pem", "certificate.pem", "key.pem"))
    issued.private_key_and_cert_chain_pem.write_to_path(str(both))
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    keys = {
        "one file": {"client_certificate": str(both)},
        "two files": {"client_certificate": str(certificate), "client_key": str(key)},
    }[own]
    with encrypted(authority, mutual=True) as (api, url):
        assert len(fetched(url, ca_bundle=bundle, **keys).records) == 1
        asked = len(api.asked)
        with pytest.raises(NoAnswerError):
            fetched(url, ca_bundle=bundle, max_attempts=1)
        assert len(api.asked) == asked


@pytest.mark.parametrize("setting", ["ca_bundle", "client_certificate"])
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_without_certificates_is_reported_before_anything_is_asked(
    tmp_path: Path, setting: str, content: str | None
) -> None:
    file = tmp_path / "file.pem"
    if content is not None:
        file.write_text(content)
    with serving(scripted(GOOD)) as api:
        with pytest.raises(ConfigurationError, match=rf"stream things: {setting}:? .*file\.pem"):
            fetched(api.url, **{setting: str(file)})
        assert api.asked == []


def test_a_key_without_its_certificate_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigurationError, match="client_key is set, but no client_certificate"):
        stream(client_key="key.pem")


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    with ForwardProxy() as proxy:
        yield proxy


def test_http_goes_through_the_proxy_of_the_environment_with_its_credentials(
    proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    with serving(scripted(GOOD)) as api:
        assert len(fetched(api.url).records) == 1
        assert proxy.asked == [("GET", f"{api.url}/things", "Basic bWU6czNjcmV0")]


def test_https_goes_through_a_tunnel(
    authority: trustme.CA, bundle: str, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with encrypted(authority) as (api, url):
        assert len(fetched(url, ca_bundle=bundle).records) == 1
        assert [asked[0] for asked in proxy.asked] == ["CONNECT"]
        assert len(api.asked) == 1


def test_no_proxy_names_the_hosts_that_are_asked_directly_the_token_endpoints_too(
    proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "localhost")
    with serving(scripted(Reply({"access_token": "t"}))) as identity, serving(scripted(GOOD)) as api:
        token_url = f"http://localhost:{identity.server_address[1]}/token"
        auth = {"type": "oauth2_client_credentials", "access_token_url": token_url}
        fetched(api.url, auth=auth, auth_client_id="i", auth_client_secret="s")
        assert [asked[1] for asked in proxy.asked] == [f"{api.url}/things"]
        assert len(identity.asked) == 1


def test_the_environment_is_read_once(proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(scripted(GOOD)) as api, closing(Client(stream(base_url=api.url), TokenKeeper(), LOG, "0")) as client:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        client.page(PageRequest())
        assert proxy.asked == []


def test_a_proxy_that_is_not_there_is_reported_without_its_password(tmp_path: Path) -> None:
    with serving(scripted(GOOD)) as api:
        env = {"HTTP_PROXY": "http://me:s3cret@127.0.0.1:9"}
        run = tap(tmp_path, config(api.url, max_attempts=1), env=env)
        assert api.asked == []
    assert run.code == 1
    assert "s3cret" not in run.err
    (told,) = run.told
    assert "/things: " in told
