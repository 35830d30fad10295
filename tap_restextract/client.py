"""The client: the one place that opens sockets.

A thin shell around `requests`: it sends what pure functions made, tries again as `retry` decides (the loop is
`backoff`'s), bounds what it reads, and turns every fault into an error that names stream, status and redacted address.
The environment (proxies, certificates) is read once a stream, not once a request, and never credentials from a netrc.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Generator
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import backoff
import msgspec
import requests
import urllib3.exceptions
from requests.utils import get_environ_proxies

from tap_restextract import retry
from tap_restextract.auth import TokenRequest, authenticated, secrets_of
from tap_restextract.errors import AnswerError, ApiError, ConfigurationError, NoAnswerError
from tap_restextract.paginators import following, paged, total_of
from tap_restextract.paths import Missing, find_list
from tap_restextract.request import Answer, Request, redacted, request_for, shown
from tap_restextract.settings import StreamSettings
from tap_restextract.steps import Ask, Page
from tap_restextract.tokens import TokenKeeper

CONNECT_SECONDS: Final = 10.0
CHUNK_BYTES: Final = 1 << 16
PUBLIC_FIELDS: Final = frozenset({"grant_type", "scope", "client_id", "audience", "resource"})
MOST_REDIRECTS: Final = 5
MOST_SECONDS_TO_WAIT: Final = 3600.0
NO_ADDRESS: Final = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)

# Its debug lines hold whole addresses, with secrets in their queries; `_sent` writes redacted ones.
logging.getLogger("urllib3.connectionpool").addFilter(lambda line: line.levelno > logging.DEBUG)

_decoder: Final = msgspec.json.Decoder(float_hook=Decimal)


class TransientError(Exception):
    """A fault that another try may mend."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait = wait


class Client:
    """Fetches one stream's pages."""

    def __init__(self, stream: StreamSettings, keeper: TokenKeeper, log: logging.Logger, version: str) -> None:
        self._stream = stream
        self._keeper = keeper
        self._log = log
        self._secrets = set(secrets_of(stream))
        self._user_agent = stream.user_agent or f"tap-restextract/{version}"
        self._proxies = get_environ_proxies(request_for_host(stream))
        self._verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        self._here = threading.local()
        self._sessions: list[requests.Session] = []

    def close(self) -> None:
        """Drop the connections."""
        for session in self._sessions:
            session.close()

    @property
    def _session(self) -> requests.Session:
        """This thread's own: a session isn't made to be shared between threads."""
        session: requests.Session | None = getattr(self._here, "session", None)
        if session is None:
            session = self._here.session = requests.Session()
            session.headers.update({"User-Agent": self._user_agent, "Accept": "application/json"})
            session.proxies, session.verify, session.trust_env = self._proxies, self._verify, False
            self._sessions.append(session)
        return session

    def page(self, ask: Ask) -> Page:
        """The page that the walk asks for.

        Raises:
            ApiError: where no good answer comes.
        """
        request = paged(self._stream.paginator, request_for(self._stream, ask.cursor, ask.until, ask.scope), ask.at)
        answer = self.fetch(request)
        try:
            return page_of(self._stream, ask, answer)
        except AnswerError as error:
            raise AnswerError(f"stream {self._stream.name}: {self._shown(request)}: {error}") from error
        except ConfigurationError as error:
            raise ConfigurationError([f"stream {self._stream.name}: {fault}" for fault in error.faults]) from error

    def fetch(self, request: Request) -> Answer:
        """The answer to a request, after as many tries as it takes, up to `max_attempts`.

        Raises:
            ApiError: naming stream, status and redacted address.
        """
        token = self._keeper.access_token(self._stream, self._fetch_token)
        refreshed = False
        while True:
            if token:
                self._secrets.add(token)
            answer = self._insist(authenticated(request, self._stream, token), request)
            verdict = retry.verdict(answer.status)
            if verdict is retry.Verdict.ACCEPT:
                return answer
            if verdict is retry.Verdict.UNAUTHORIZED and token and not refreshed:
                token, refreshed = self._keeper.access_token(self._stream, self._fetch_token, stale=token), True
                continue
            raise AnswerError(
                f"stream {self._stream.name}: {self._shown(request)} was answered {answer.status} "
                f"{_reason(answer.body, self._secrets)}; {_remedy(answer.status)}",
                answer.status,
            )

    def _insist(self, signed: Request, plain: Request) -> Answer:
        def waits() -> Generator[Any, Any, None]:
            transient = yield
            attempt = 0
            while True:
                attempt += 1
                longest = retry.longest_wait(attempt)
                wait = transient.wait if transient.wait is not None else random.uniform(longest / 2, longest)  # noqa: S311  jitter is no secret
                transient = yield wait

        def told(details: Any) -> None:
            self._log.warning(
                "stream %s: %s: %s; trying again in %.1f s (%d of %d)",
                self._stream.name,
                self._shown(plain),
                details["exception"].reason,
                details["wait"],
                details["tries"],
                self._stream.max_attempts,
            )

        attempt = backoff.on_exception(
            waits,
            TransientError,
            max_tries=self._stream.max_attempts,
            jitter=None,
            on_backoff=told,
            logger=None,
        )(self._once)
        try:
            answer: Answer = attempt(signed)
        except TransientError as fault:
            raise NoAnswerError(
                f"stream {self._stream.name}: {self._shown(plain)}: {fault.reason}, {self._stream.max_attempts} times; "
                "check base_url, the API's health and the network, then run again: STATE is where the last page was written"
            ) from fault
        return answer

    def _once(self, request: Request) -> Answer:
        url = request.url
        params: Any = request.params
        for _ in range(MOST_REDIRECTS):
            answer = self._sent(request, url, params)
            if retry.verdict(answer.status) is not retry.Verdict.REDIRECT:
                return answer
            try:
                target = urljoin(answer.url, answer.headers.get("location", ""))
                here, there = urlsplit(answer.url), urlsplit(target)
            except ValueError:  # an IPv6 address that is none
                return answer
            if request.method != "GET" or (here.scheme, here.netloc) != (there.scheme, there.netloc):
                return answer
            url, params = target, ()
        return answer

    def _sent(self, request: Request, url: str, params: Any) -> Answer:
        try:
            with self._session.request(
                request.method,
                url,
                params=params,
                headers=_typed(request),
                data=None if request.json is None else msgspec.json.encode(request.json),
                timeout=(CONNECT_SECONDS, self._stream.timeout),
                allow_redirects=False,
                stream=True,
            ) as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                content = self._content(response)
        except (requests.exceptions.InvalidHeader, UnicodeEncodeError) as error:
            raise ConfigurationError(
                [
                    f"stream {self._stream.name}: {self._shown(request)} has a header that can't be sent: it holds a line break, a blank at its beginning, or a character beyond Latin-1; check headers, and the secret that auth puts there"
                ]
            ) from error
        except (*NO_ADDRESS, urllib3.exceptions.LocationParseError) as error:
            raise AnswerError(
                f"stream {self._stream.name}: {self._shown(request)} is no web address; set base_url such as https://api.example.com/v1"
            ) from error
        except requests.RequestException as error:
            raise TransientError(_fault(error)) from error
        except ValueError as error:  # requests reads a redirect's target although it isn't followed
            raise AnswerError(
                f"stream {self._stream.name}: {self._shown(request)} redirects to what is no web address; set base_url to where the API is now"
            ) from error
        self._log.debug(
            "stream %s: %s was answered %d with %d bytes",
            self._stream.name,
            self._shown(request),
            response.status_code,
            len(content),
        )
        if retry.verdict(response.status_code) is retry.Verdict.RETRY:
            wait = retry.retry_after(headers, time.time())
            if wait is not None and wait > MOST_SECONDS_TO_WAIT:
                raise ApiError(
                    f"stream {self._stream.name}: {self._shown(request)} was answered {response.status_code} with Retry-After {wait:.0f} s, "
                    f"more than the {MOST_SECONDS_TO_WAIT:.0f} s that a run waits; run again then"
                )
            raise TransientError(f"answered {response.status_code}", wait)
        if not content.strip():
            if 200 <= response.status_code < 300 and response.status_code != 204:
                raise TransientError("answered an empty body")
            return Answer(response.url, response.status_code, headers, None)
        try:
            body = _decoder.decode(content.removeprefix(b"\xef\xbb\xbf"))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if retry.verdict(response.status_code) is not retry.Verdict.ACCEPT:
                return Answer(response.url, response.status_code, headers, None)
            kind = headers.get("content-type", "no content type").split(";")[0]
            raise TransientError(f"answered {len(content)} bytes of {kind} that aren't JSON") from error
        return Answer(response.url, response.status_code, headers, body)

    def _content(self, response: requests.Response) -> bytes:
        chunks = []
        size = 0
        for chunk in response.iter_content(CHUNK_BYTES):
            size += len(chunk)
            if size > self._stream.max_response_bytes:
                raise ApiError(
                    f"stream {self._stream.name}: an answer is larger than max_response_bytes ({self._stream.max_response_bytes}); "
                    "ask for smaller pages, or raise it"
                )
            chunks.append(chunk)
        return b"".join(chunks)

    def _fetch_token(self, asked: TokenRequest) -> dict[str, object]:
        self._secrets |= {value for name, value in asked.form.items() if name not in PUBLIC_FIELDS and value}
        place = f"stream {self._stream.name}: the token endpoint {shown(Request('POST', asked.url), self._secrets)}"

        def once() -> requests.Response:
            try:
                response = self._session.post(
                    asked.url,
                    data=asked.form,
                    headers=asked.headers,
                    timeout=(CONNECT_SECONDS, self._stream.timeout),
                    allow_redirects=False,
                )
            except requests.ConnectionError as error:
                # A refresh that may have reached the server isn't sent twice: only a connection that never was is tried again.
                if isinstance(error, requests.exceptions.ConnectTimeout) or "NewConnectionError" in repr(error):
                    raise TransientError(_fault(error)) from error
                raise NoAnswerError(f"{place}: {_fault(error)}; run again") from error
            except requests.RequestException as error:
                raise NoAnswerError(f"{place}: {_fault(error)}; run again") from error
            if response.status_code in {429, 503}:
                raise TransientError(
                    f"answered {response.status_code}",
                    retry.retry_after({k.lower(): v for k, v in response.headers.items()}, time.time()),
                )
            return response

        attempt = backoff.on_exception(
            backoff.expo, TransientError, max_tries=self._stream.max_attempts, max_value=retry.LONGEST_WAIT, logger=None
        )(once)
        try:
            response = attempt()
        except TransientError as fault:
            raise NoAnswerError(f"{place}: {fault.reason}; check auth.access_token_url") from fault
        try:
            body = msgspec.json.decode(response.content)
        except msgspec.MsgspecError:
            body = None
        if response.status_code != 200 or not isinstance(body, dict) or not isinstance(body.get("access_token"), str):
            raise ApiError(
                f"{place} was answered {response.status_code} without an access token {_reason(body, self._secrets)}; "
                "check auth_client_id, auth_client_secret and auth_refresh_token"
            )
        for name in ("access_token", "refresh_token"):
            if isinstance(body.get(name), str):
                self._secrets.add(body[name])
        return body

    def _shown(self, request: Request) -> str:
        return shown(request, self._secrets)


def page_of(stream: StreamSettings, ask: Ask, answer: Answer) -> Page:
    """The page that an answer is.

    Raises:
        AnswerError: where its records, or what its paginator needs, don't lie where the configuration says.
    """
    records = [] if answer.status == 204 else find_list(stream.records, answer.body)
    if isinstance(records, Missing):
        raise AnswerError(
            f"there is no list of records at {stream.records!r} in the answer ({_outline(answer.body)}); set `records` to the path where they lie"
        )
    if not all(isinstance(record, dict) for record in records):
        raise AnswerError(f"a record at {stream.records!r} is no JSON object; set `records` to the list of objects")
    behind = following(stream.paginator, answer, ask.at, len(records))
    return Page(records, behind, retry.http_date(answer.headers.get("date", "")), total_of(stream.paginator, answer))


def _typed(request: Request) -> dict[str, str]:
    """The request's headers; those of one with a body say that it is JSON, unless the configuration says what it is."""
    typed = request.json is None or any(name.lower() == "content-type" for name in request.headers)
    return dict(request.headers) if typed else {"Content-Type": "application/json", **request.headers}


def request_for_host(stream: StreamSettings) -> str:
    """The address whose host the stream's requests go to."""
    return stream.path if "://" in stream.path else stream.base_url


def _fault(error: requests.RequestException) -> str:
    """What happened, in words without an address: requests' own text holds the query."""
    if isinstance(error, requests.exceptions.SSLError):
        return "the TLS certificate can't be verified (a private CA goes into REQUESTS_CA_BUNDLE)"
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, requests.exceptions.ReadTimeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy refused"
    text = repr(error)
    for sign, meaning in (
        ("NameResolutionError", "the host's name can't be resolved"),
        ("Connection refused", "the connection was refused"),
        ("IncompleteRead", "the answer was cut off"),
        ("Connection reset", "the connection was reset"),
        ("RemoteDisconnected", "the connection was closed without an answer"),
    ):
        if sign in text:
            return meaning
    return f"the connection failed ({type(error).__name__})"


def _outline(body: Any) -> str:
    """What a body is, without what it says."""
    if isinstance(body, dict):
        keys = ", ".join(key[:40] for key in list(body)[:8])
        return f"an object with the keys {keys}" if keys else "an empty object"
    return {list: "a list", str: "a string", type(None): "null"}.get(type(body), "a number")


def _reason(body: Any, secrets: set[str]) -> str:
    """The API's own words for an error, where it has some in the usual places; bounded and redacted."""
    if isinstance(body, dict):
        for name in ("message", "detail", "error_description", "error", "title"):
            value = body.get(name)
            if isinstance(value, dict):
                value = value.get("message")
            if isinstance(value, str) and value:
                return f"({redacted(' '.join(value.split())[:200], secrets)})"
    return "without a reason"


def _remedy(status: int) -> str:
    remedies = {
        401: "check the credentials (auth and its secrets)",
        403: "the credentials lack the right to read this; check their scopes",
        404: "check base_url and path",
        405: "check method",
        400: "check params, headers and json: `tap-restextract plan` shows what is sent",
        422: "check params, headers and json: `tap-restextract plan` shows what is sent",
    }
    if 300 <= status < 400:
        return "it redirects to another place; set base_url to where the API is now"
    return remedies.get(status, "check the request: `tap-restextract plan` shows what is sent")
