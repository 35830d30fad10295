"""Webhooks through a proxy: a real one on loopback, by tunnels and by whole addresses, itself with TLS and without."""

from __future__ import annotations

import ssl
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trustme

from target_eventgen import publishers
from target_eventgen.errors import SettingsError, UnreachableError
from target_eventgen.publishers.protocol import Delivered, Failed
from tests.support.messages import event
from tests.support.ports import free_port
from tests.support.proxy import ForwardProxy
from tests.support.receiver import Answer, Receiver

pytestmark = pytest.mark.in_process

SHOWN = "Basic bWU6czNjcmV0"  # me:s3cret


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> str:
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    return str(tmp_path / "authority.pem")


def serving(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def opened(url: str, proxy: str, **settings: Any) -> Any:
    given = {"url": url, "proxy": proxy, "allow_private_addresses": True, "timeout": 5.0}
    return closing(publishers.open_publisher("hook", "webhook", given | settings))


def why(url: str, proxy: str, **settings: Any) -> str:
    """Why nothing could be sent, without the proxy's password."""
    with opened(url, proxy, **settings) as publisher, pytest.raises(UnreachableError) as caught:
        publisher.publish([event(1)])
    assert "s3cret" not in str(caught.value)
    return str(caught.value)


def test_a_receiver_with_tls_is_verified_through_a_tunnel_whose_credentials_it_does_not_see(
    authority: trustme.CA, trusted: str
) -> None:
    with Receiver(serving(authority, "localhost")) as receiver, ForwardProxy() as proxy:
        with opened(receiver.url, proxy.url, certificate_authority=trusted) as publisher:
            assert publisher.publish([event(number, str(number)) for number in range(3)]) == [Delivered()] * 3
            assert publisher.publish([event(9)]) == [Delivered()]
        assert set(proxy.asked) == {("CONNECT", f"localhost:{receiver.port}", SHOWN)}
        assert len(proxy.asked) == receiver.connections <= 3
        assert not any("proxy-authorization" in request.headers for request in receiver.requests)


def test_a_receiver_with_tls_is_verified_through_a_proxy_that_is_verified_itself(
    authority: trustme.CA, trusted: str
) -> None:
    with (
        Receiver(serving(authority, "localhost")) as receiver,
        ForwardProxy(serving(authority, "127.0.0.1")) as proxy,
        opened(receiver.url, proxy.url, certificate_authority=trusted) as publisher,
    ):
        assert publisher.publish([event(1)]) == [Delivered()]
        assert publisher.publish([event(2)]) == [Delivered()]
        assert proxy.asked == [("CONNECT", f"localhost:{receiver.port}", SHOWN)]
        assert [request.id for request in receiver.requests] == ["id-1", "id-2"]


def test_a_receiver_or_a_proxy_that_is_not_to_be_trusted_gets_nothing(authority: trustme.CA, trusted: str) -> None:
    other = trustme.CA()
    with Receiver(serving(other, "localhost")) as receiver, ForwardProxy() as proxy:
        told = why(receiver.url, proxy.url, certificate_authority=trusted)
        assert "the certificate is not trusted" in told
        assert f"localhost:{receiver.port}" in told
    with Receiver(serving(authority, "localhost")) as receiver, ForwardProxy(serving(other, "127.0.0.1")) as proxy:
        told = why(receiver.url, proxy.url, certificate_authority=trusted)
        assert "the certificate is not trusted" in told
        assert f"the proxy https://127.0.0.1:{proxy.port}" in told
        assert proxy.asked == []
        assert receiver.requests == []


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_a_receiver_without_tls_is_asked_for_by_its_whole_address(
    receiver: Receiver, authority: trustme.CA, trusted: str, *, secure: bool
) -> None:
    with (
        ForwardProxy(serving(authority, "127.0.0.1") if secure else None) as proxy,
        opened(f"{receiver.url}?a=b", proxy.url, certificate_authority=trusted) as publisher,
    ):
        assert publisher.publish([event(1)]) == [Delivered()]
        assert proxy.asked == [("POST", f"http://localhost:{receiver.port}/hook?a=b", SHOWN)]
    (request,) = receiver.requests
    assert request.path == "/hook?a=b"
    assert request.headers["host"] == f"localhost:{receiver.port}"


def test_a_proxy_that_is_down_or_refuses_is_named_and_no_event_is_blamed(authority: trustme.CA, trusted: str) -> None:
    with Receiver(serving(authority, "localhost")) as receiver, ForwardProxy() as proxy:
        told = why(receiver.url, f"http://me:s3cret@127.0.0.1:{free_port()}")
        assert "the proxy http://127.0.0.1:" in told
        assert "can't be reached (Connection refused)" in told
        proxy.refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"
        assert "answered 407, since it wants other credentials" in why(receiver.url, proxy.url)
        proxy.refusal = b"HTTP/1.1 403 Forbidden\r\nx: y\r\n\r\n"
        assert "opened no tunnel: it answered 403" in why(receiver.url, proxy.url)
        proxy.refusal = b"hello"
        assert "gave no answer to CONNECT" in why(receiver.url, proxy.url)
        proxy.refusal = None
        with opened(receiver.url, proxy.url, certificate_authority=trusted) as publisher:
            assert publisher.publish([event(1)]) == [Delivered()]


def test_a_proxy_that_says_nothing_is_given_up_in_time(authority: trustme.CA, trusted: str) -> None:
    with (
        Receiver(serving(authority, "localhost")) as receiver,
        ForwardProxy() as proxy,
        opened(receiver.url, proxy.url, certificate_authority=trusted, timeout=0.3) as publisher,
    ):
        proxy.hold()
        try:
            outcomes = publisher.publish([event(1)])
        except UnreachableError as error:
            outcomes = [Failed(str(error), cause="away")]
        assert [outcome.cause for outcome in outcomes if isinstance(outcome, Failed)] == ["away"]


def test_a_redirect_to_another_receiver_goes_through_the_proxy(authority: trustme.CA, trusted: str) -> None:
    context = serving(authority, "localhost")
    with Receiver(context) as receiver, Receiver(context) as other, ForwardProxy() as proxy:
        receiver.answer = lambda _: Answer(307, {"Location": other.url})
        settings: dict[str, Any] = {"certificate_authority": trusted, "follow_redirects": True}
        with opened(receiver.url, proxy.url, **settings) as publisher:
            assert publisher.publish([event(1)]) == [Delivered()]
        assert [address for _, address, _ in proxy.asked] == [f"localhost:{receiver.port}", f"localhost:{other.port}"]
        assert len(other.requests) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "10.0.0.1", "169.254.169.254", "localhost", "a.localhost."])
def test_an_address_of_the_proxys_own_net_is_asked_for_only_where_that_is_allowed(host: str) -> None:
    with ForwardProxy() as proxy:
        told = why(f"https://{host}/", proxy.url, allow_private_addresses=False)
        assert "leads to an address that is not one of the internet" in told
        assert proxy.asked == []


def test_a_proxy_of_the_environment_is_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with ForwardProxy() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        given = {"url": receiver.url, "allow_private_addresses": True}
        with closing(publishers.open_publisher("hook", "webhook", given)) as publisher:
            assert publisher.publish([event(1)]) == [Delivered()]
        assert proxy.asked == []


@pytest.mark.parametrize(
    "proxy",
    [
        "",
        "proxy:3128",
        "socks5://me:s3cret@h:1",
        "http://",
        "http://me:s3cret@h:99999",
        "http://h/path",
        "http://h?a",
        "http://hö",
    ],
)
def test_an_address_that_is_no_proxys_is_refused_without_being_quoted(proxy: str) -> None:
    with pytest.raises(SettingsError) as caught:
        publishers.open_publisher("hook", "webhook", {"url": "https://h", "proxy": proxy})
    assert "proxy must look like http://host:3128" in str(caught.value)
    assert "s3cret" not in str(caught.value)
