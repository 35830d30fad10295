"""One thread's connections to an API: `requests`, with what each page's request has in common done once.

Theory of operation. `Session.request` prepares every request from scratch, merges settings, and looks for a redirect's
target; `iter_content` carries a body through a queue of chunks. For a page of a hundred records that costs as much as
the records. So a GET's address and headers are prepared once, by `requests`, and sent by its adapter, which pools
connections, verifies certificates and turns faults into its exceptions; `bounded` reads a body whose length is stated
at once. All else (a request with a body, an address with a password in it) takes the long way.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast
from urllib.parse import urlencode, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import extract_cookies_to_jar
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util import Timeout

from tap_restextract.exchange.request import origin_of as host_origin
from tap_restextract.http.bounded import BoundedResponse, bound_answers

Certificate = str | tuple[str, str] | None
CONNECT_SECONDS: Final = 10.0
MAX_PREPARED_HEADERS: Final = 64

_here = threading.local()


def notify_when_sent(callback: Callable[[], None]) -> None:
    """Call back once, when this thread's next request is about to leave; if it never does, `on_request_sent` calls."""
    _here.callback = callback


def on_request_sent() -> None:
    """Call back what waits for this thread's request to leave, if it wasn't called yet."""
    callback: Callable[[], None] | None = getattr(_here, "callback", None)
    if callback is not None:
        _here.callback = None
        callback()


class _Connection(HTTPConnection):
    response_class = BoundedResponse

    def connect(self) -> None:
        on_request_sent()
        super().connect()

    def send(self, data: Any) -> None:
        on_request_sent()
        super().send(data)


class _SecureConnection(_Connection, HTTPSConnection):
    """`_Connection` over TLS."""


class _Pool(HTTPConnectionPool):
    """urllib3's pool, which knows its connections also while an answer is read from them."""

    ConnectionCls = _Connection

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._made: list[weakref.ref[Any]] = []

    def _new_conn(self) -> Any:
        connection = super()._new_conn()
        self._made = [*(made for made in self._made if made() is not None), weakref.ref(connection)]
        return connection

    def abort(self) -> None:
        """End each connection, also one that another thread reads from: its reader sees the end at once."""
        for made in self._made:
            connected = getattr(made(), "sock", None)
            # TLS within TLS, as through an HTTPS proxy, has the socket below it.
            below = getattr(connected, "socket", connected)
            if below is not None:
                with contextlib.suppress(OSError):
                    below.shutdown(socket.SHUT_RDWR)


class _SecurePool(_Pool, HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


POOLS: Final[dict[str, type[HTTPConnectionPool]]] = {"http": _Pool, "https": _SecurePool}


class Response(requests.Response):
    """requests' own; `received` are its headers under lower-case names."""

    received: Mapping[str, str]


class _Timeout(Timeout):
    """urllib3's, checked once, and not with each copy that a request makes before it starts one."""

    def clone(self) -> _Timeout:
        fresh = object.__new__(type(self))
        fresh.__dict__.update(self.__dict__)
        return fresh


class _Adapter(HTTPAdapter):
    """requests' own, over connections that call back when a request leaves; what pages have in common is done once.

    It serves one `HttpSession`, so that verification and certificate are always the same. Cookies are the session's
    business.
    """

    def __init__(self) -> None:
        super().__init__()
        self._pools: dict[tuple[str, tuple[tuple[str, str], ...]], HTTPConnectionPool] = {}

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*arguments, **options)
        manager.pool_classes_by_scheme = POOLS
        return manager

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> HTTPConnectionPool:
        key = origin_of(request.url or ""), tuple(proxies.items()) if proxies else ()
        pool = self._pools.get(key)
        # A manager keeps some pools, and closes those that it drops.
        if pool is None or pool.pool is None:
            pool = cast("HTTPConnectionPool", super().get_connection_with_tls_context(request, verify, proxies, cert))
            super().cert_verify(pool, request.url or "", verify, cert)  # type: ignore[no-untyped-call]  # requests' own
            self._pools[key] = pool
        return pool

    def abort(self) -> None:
        """End each connection, whoever uses it."""
        for pool in [*self._pools.values()]:
            if isinstance(pool, _Pool):
                pool.abort()

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: certificates are checked when a pool is made."""

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        url = request.url or ""
        return super().request_url(request, proxies) if proxies else url[len(origin_of(url)) :].partition("#")[0]

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> Response:
        response = Response()
        response.status_code, response.reason, response.raw = resp.status, resp.reason, resp
        merged = dict(resp.headers.itermerged())
        response.headers = CaseInsensitiveDict(merged)
        response.received = {name.lower(): value for name, value in merged.items()}
        response.url, response.request = req.url or "", req
        response.connection = self
        return response


class HttpSession:
    """A session and its adapter; an answer may take `max_seconds` from its first byte to its last."""

    def __init__(
        self, headers: Mapping[str, str], *, verify: str | bool, certificate: Certificate, max_seconds: float
    ) -> None:
        self._session = requests.Session()
        self._adapter = _Adapter()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, self._adapter)
        self._session.headers.update(headers)
        self._session.verify, self._session.cert, self._session.trust_env = verify, certificate, False
        self._verify, self._certificate = verify, certificate
        self._prepared: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
        self._max_seconds = max_seconds

    def close(self) -> None:
        """Drop the connections; an answer that another thread still reads ends there, as a fault of the connection."""
        self._adapter.abort()
        self._session.close()

    def request(  # noqa: PLR0913  the arguments of requests' own
        self,
        method: str,
        url: str,
        *,
        params: Iterable[tuple[str, str]],
        headers: Mapping[str, str],
        data: bytes | None,
        timeout: tuple[float, float],
        proxies: dict[str, str] | None,
    ) -> Response:
        """Return the answer, its body still to be read; redirects aren't followed.

        Raises:
            requests.RequestException: where none comes.
            TooSlowError: where its head takes too long.
        """
        bound_answers(self._max_seconds)
        if method != "GET" or data is not None or "@" in urlsplit(url).netloc:
            answer = self._session.request(
                method,
                url,
                params=params,
                headers=headers,
                data=data,
                timeout=timeout,
                proxies=proxies,
                allow_redirects=False,
                stream=True,
            )
            return cast("Response", answer)  # the adapter's
        request = requests.PreparedRequest()
        request.method, request.url = method, _with_query(_address(url), urlencode([*params]))
        request.headers = self._headers(headers)  # type: ignore[assignment]  # urllib3 copies them, and a dict's copy is cheap
        if len(self._session.cookies):
            request.headers = request.headers.copy()
            request.prepare_cookies(self._session.cookies)
        sent = self._adapter.send(
            request,
            stream=True,
            timeout=_timeout(*timeout),  # type: ignore[arg-type]  # requests takes urllib3's, too, as it documents
            verify=self._verify,
            cert=self._certificate,
            proxies=proxies,
        )
        response = cast("Response", sent)
        if "set-cookie" in response.received:
            extract_cookies_to_jar(self._session.cookies, request, response.raw)  # type: ignore[no-untyped-call]  # requests' own
        return response

    def post_form(
        self,
        url: str,
        form: Mapping[str, str],
        *,
        headers: Mapping[str, str],
        timeout: tuple[float, float],
        proxies: dict[str, str] | None,
    ) -> requests.Response:
        """Return the answer to a form, its body still to be read; redirects aren't followed.

        Raises:
            requests.RequestException: where none comes.
            TooSlowError: where its head takes too long.
        """
        bound_answers(self._max_seconds)
        return self._session.post(
            url, data=form, headers=headers, timeout=timeout, proxies=proxies, allow_redirects=False, stream=True
        )

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        key = tuple(headers.items())
        prepared = self._prepared.get(key)
        if prepared is None:
            request = requests.PreparedRequest()
            merged = CaseInsensitiveDict[str | bytes](self._session.headers)
            merged.update(headers)
            request.prepare_headers(merged)
            prepared = dict(request.headers.items())
            if len(self._prepared) >= MAX_PREPARED_HEADERS:
                self._prepared.clear()
            self._prepared[key] = prepared
        return prepared


def environment_proxies(*addresses: str) -> dict[str, dict[str, str]]:
    """Return the environment's proxies for each address's origin, read once."""
    return {host_origin(address): get_environ_proxies(address) for address in addresses}


def origin_of(url: str) -> str:
    """Return scheme, host and port of a prepared address: what stands before its path."""
    end = url.find("/", url.find("://") + 3)
    return url if end < 0 else url[:end]


@functools.lru_cache(maxsize=64)
def _timeout(connect: float, read: float) -> _Timeout:
    """Return the timeout of these seconds, which no request starts: each takes a copy."""
    return _Timeout(connect=connect, read=read)


@functools.lru_cache(maxsize=1024)
def _address(url: str) -> str:
    """Return the address as requests would send it."""
    request = requests.PreparedRequest()
    request.prepare_url(url, None)
    return request.url or url


def _with_query(address: str, query: str) -> str:
    if not query:
        return address
    before, mark, fragment = address.partition("#")
    return f"{before}{'&' if '?' in before else '?'}{query}{mark}{fragment}"
