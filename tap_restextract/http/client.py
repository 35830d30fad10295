"""The client: the one place that opens sockets.

A thin shell around `requests`: it sends what pure functions made, tries again as `retry` decides (the loop is
`backoff`'s), bounds what it reads, and turns every fault into an error that names stream, status and redacted address.
The environment (proxies, certificates) is read once a stream, not once a request, and never credentials from a netrc.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import random
import re
import ssl
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

import backoff
import msgspec
import requests
import urllib3.exceptions
from requests.utils import get_environ_proxies

from tap_restextract.config.settings import Plugin, StreamSettings
from tap_restextract.errors import AnswerError, ApiError, ConfigurationError, NoAnswerError, QuotaError
from tap_restextract.exchange import rates, response_rules, retry
from tap_restextract.exchange.auth import TokenRequest, authenticated, secrets_of
from tap_restextract.exchange.paginators import following, paged, total_of
from tap_restextract.exchange.request import Answer, Request, redacted, redacted_request, request_for
from tap_restextract.exchange.retry import Verdict
from tap_restextract.exchange.validators import asked_unless, validator_of, without_condition, without_validators
from tap_restextract.http.pacing import Pacers, TooLongError
from tap_restextract.http.session import HttpSession, content_of
from tap_restextract.http.signers import Unsigned, signature_headers, signer
from tap_restextract.http.tokens import TokenKeeper
from tap_restextract.values.paths import Missing, find_list
from tap_restextract.values.rows import Reader, Row, any_json
from tap_restextract.walks.steps import Page, PageRequest

CONNECT_SECONDS: Final = 10.0
CHUNK_BYTES: Final = 1 << 16
PUBLIC_FIELDS: Final = frozenset({"grant_type", "scope", "client_id", "audience", "resource"})
MAX_REDIRECTS: Final = 5
MIN_LOGGED_WAIT_SECONDS: Final = 5.0
MAX_ERROR_BYTES: Final = 1 << 16
MIN_SECRET_CHARACTERS: Final = 6
NO_ADDRESS: Final = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)

# Its debug lines hold whole addresses, with secrets in their queries; `_sent` writes redacted ones.
logging.getLogger("urllib3.connectionpool").addFilter(lambda line: line.levelno > logging.DEBUG)

# A field for a password, in what is no JSON: a login page, which no other try will turn into an answer.
_LOGIN: Final = re.compile(r"<input\b[^>]*\btype\s*=\s*[\"']?password\b", re.IGNORECASE)

# An escaped backslash, a surrogate pair, or half of one, which is no character though APIs send it: a text that they
# cut in an emoji. Neither UTF-8 nor a database can hold it, and one such text must not stop a stream for ever.
_ESCAPES: Final = re.compile(
    rb"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


class TransientError(Exception):
    """A fault that another try may mend; one of rate limits doesn't count as an attempt."""

    def __init__(self, reason: str, wait: float | None = None, *, limited: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait = wait
        self.limited = limited


class JudgedAnswer(NamedTuple):
    """An answer and what it means; `rule` is the place of the response rule that says so, `why` why it isn't followed."""

    answer: Answer
    verdict: Verdict
    rule: int | None = None
    why: str = ""


class Client:
    """Fetches one stream's pages."""

    def __init__(  # noqa: PLR0913  what streams share, and what is each one's own
        self,
        stream: StreamSettings,
        keeper: TokenKeeper,
        log: logging.Logger,
        version: str,
        pacers: Pacers | None = None,
        *,
        reader: Reader | None = None,
    ) -> None:
        self._stream = stream
        self._decode = any_json.decode if reader is None else reader.body
        self._keeper = keeper
        self._log = log
        self._secrets = set(secrets_of(stream))
        self._user_agent = stream.user_agent or f"tap-restextract/{version}"
        self._pacer = (pacers or Pacers()).of(identity_of(stream))
        self._spacing = rates.spacing_of(stream.rate_limit)
        self._proxies = {
            _origin(address): get_environ_proxies(address)
            for address in (request_for_host(stream), getattr(stream.auth, "access_token_url", ""))
        }
        self._verify, self._certificate = certificates(stream)
        self._sign = signer(stream.auth.name) if isinstance(stream.auth, Plugin) else None
        self._here = threading.local()
        self._wires: list[HttpSession] = []

    def close(self) -> None:
        """Drop the connections."""
        for wire in self._wires:
            wire.close()

    @property
    def _session(self) -> HttpSession:
        """This thread's own: a session isn't made to be shared between threads."""
        wire: HttpSession | None = getattr(self._here, "wire", None)
        if wire is None:
            headers = {"User-Agent": self._user_agent, "Accept": "application/json"}
            wire = self._here.wire = HttpSession(headers, verify=self._verify, certificate=self._certificate)
            self._wires.append(wire)
        return wire

    def page(self, ask: PageRequest) -> Page:
        """The page that the walk asks for.

        Raises:
            ApiError: where no good answer comes.
        """
        request = paged(self._stream.paginator, request_for(self._stream, ask.cursor, ask.until, ask.scope), ask.at)
        answer, verdict, rule, _ = self.fetch(
            asked_unless(request, ask.validator), conditional=ask.validator is not None
        )
        if verdict is Verdict.UNCHANGED:
            server_time = retry.http_date(answer.headers.get("date", ""))
            return Page([], server_time=server_time, validator=ask.validator, unchanged=True)
        if verdict is Verdict.IGNORE:
            self._log.warning(
                "stream %s: %s was answered %d, which %s takes for an empty last page",
                self._stream.name,
                self._redacted(request),
                answer.status,
                response_rules.rule_name(self._stream.response_rules, rule or 0),
            )
            return Page([], None, retry.http_date(answer.headers.get("date", "")))
        try:
            return page_of(self._stream, ask, answer)
        except AnswerError as error:
            raise AnswerError(f"stream {self._stream.name}: {self._redacted(request)}: {error}") from error
        except ConfigurationError as error:
            raise ConfigurationError([f"stream {self._stream.name}: {fault}" for fault in error.faults]) from error

    def fetch(self, request: Request, *, conditional: bool = False) -> JudgedAnswer:
        """The answer to a request, to be accepted or ignored, after as many tries as it takes, up to `max_attempts`.

        Args:
            request: what is asked.
            conditional: an answer that nothing has changed (304) is a good one.

        Raises:
            ApiError: naming stream, status and redacted address.
        """
        token = self._keeper.access_token(self._stream, self._fetch_token)
        refreshed = False
        while True:
            if token:
                self._secrets.add(token)
            judged = self._insist(authenticated(request, self._stream, token), request)
            answer, verdict, rule, why = judged
            if verdict in {Verdict.ACCEPT, Verdict.IGNORE} or (conditional and verdict is Verdict.UNCHANGED):
                return judged
            if verdict is Verdict.UNAUTHORIZED and token and not refreshed:
                token, refreshed = self._keeper.access_token(self._stream, self._fetch_token, stale=token), True
                continue
            raise AnswerError(
                f"stream {self._stream.name}: {self._redacted(request)} was answered {answer.status} "
                f"{why or _reason(answer.body, self._all_secrets)}; {self._remedy(answer.status, rule)}",
                answer.status,
            )

    def _remedy(self, status: int, rule: int | None) -> str:
        if rule is None:
            return _remedy(status)
        told = self._stream.response_rules[rule].error_message
        return f"{response_rules.rule_name(self._stream.response_rules, rule)} refuses it{f': {told}' if told else ''}"

    def _insist(self, authentic: Request, plain: Request) -> JudgedAnswer:
        most = self._stream.max_attempts
        attempts = 0

        def given_up(fault: Exception) -> bool:
            nonlocal attempts
            attempts += not (isinstance(fault, TransientError) and fault.limited)
            return attempts >= most

        def waits() -> Generator[Any, Any, None]:
            transient = yield
            attempt = 0
            waited = 0.0
            while True:
                attempt += 1
                # A server that says "now" without end is asked more slowly after some time.
                longest = retry.max_backoff(attempt if transient.wait is None else attempt - most)
                jittered = random.uniform(longest / 2, longest)  # noqa: S311  jitter is no secret
                wait = max(transient.wait or 0.0, jittered if transient.wait is None or attempt > most else 0.0)
                waited += wait if transient.limited else 0.0
                if waited > self._stream.max_wait:
                    raise self._quota_error(plain, f"{transient.reason} for {waited:.0f} s of waiting,")
                if transient.wait and self._stream.concurrency > 1:
                    self._pacer.pause(transient.wait)
                transient = yield wait

        def told(details: Any) -> None:
            self._log.warning(
                "stream %s: %s: %s; trying again in %.1f s (%s)",
                self._stream.name,
                self._redacted(plain),
                details["exception"].reason,
                details["wait"],
                f"a rate limit is no failed try; up to {self._stream.max_wait:.0f} s of them are waited for (max_wait)"
                if details["exception"].limited
                else f"try {attempts} of {most} failed",
            )

        failed: list[TransientError] = []
        try:
            return self._once(authentic)
        except TransientError as fault:
            failed.append(fault)

        def once(request: Request) -> JudgedAnswer:
            """The try that has failed already, then others."""
            if failed:
                raise failed.pop()
            return self._once(request)

        attempt = backoff.on_exception(
            waits,
            TransientError,
            giveup=given_up,
            jitter=None,
            on_backoff=told,
            logger=None,
        )(once)
        try:
            judged: JudgedAnswer = attempt(authentic)
        except TransientError as fault:
            raise NoAnswerError(
                f"stream {self._stream.name}: {self._redacted(plain)}: {fault.reason}, {most} {'time' if most == 1 else 'times'}; "
                "check base_url, the API's health and the network, then run again: STATE is where the last page was written"
            ) from fault
        return judged

    def _quota_error(self, request: Request, said: str) -> QuotaError:
        return QuotaError(
            f"stream {self._stream.name}: {self._redacted(request)} {said} more than max_wait ({self._stream.max_wait:.0f} s) allows; "
            "run again then, or raise max_wait: STATE is where the last page was written",
            self._stream.quota_exit_code,
        )

    def _once(self, request: Request) -> JudgedAnswer:
        url = request.url
        params: Any = request.params
        for redirects in range(MAX_REDIRECTS):
            judged = self._judged(request, self._sent(request, url, params))
            answer = judged.answer
            if judged.verdict is not Verdict.REDIRECT:
                return judged._replace(answer=without_validators(answer)) if redirects else judged
            try:
                target = urljoin(answer.url, answer.headers.get("location", ""))
                here, there = urlsplit(answer.url), urlsplit(target)
            except ValueError:  # an IPv6 address that is none
                return judged._replace(why="and redirects to what is no web address")
            if why := _why_not_followed(request.method, here, there):
                return judged._replace(why=why)
            # What a place that is redirected to is known by says nothing of the one that is asked.
            request, url, params = without_condition(request), target, ()
        return judged._replace(why=f"the {MAX_REDIRECTS}th time in a row: its redirects have no end")

    def _judged(self, request: Request, answer: Answer) -> JudgedAnswer:
        """The answer and what it means, by the first response rule that fits, else by its status and content.

        Raises:
            TransientError: where it is worth another try.
            QuotaError: where the API asks for too long a wait.
        """
        quotas = rates.quotas(answer.headers, time.time())
        rule = response_rules.matching_rule(self._stream.response_rules, answer)
        if rule is not None:
            verdict = response_rules.VERDICTS[self._stream.response_rules[rule].action]
            because = f", which is a case of {response_rules.rule_name(self._stream.response_rules, rule)}"
        else:
            verdict, because = retry.verdict(answer.status), ""
            if answer.status == 403 and rates.exhausted(quotas) is not None:
                verdict = Verdict.RATE_LIMITED
        if verdict in {Verdict.RETRY, Verdict.RATE_LIMITED}:
            limited = verdict is Verdict.RATE_LIMITED
            wait = retry.retry_after(answer.headers, time.time())
            said = "with Retry-After"
            if wait is None and limited:
                wait, said = rates.exhausted(quotas), "with a quota that is empty for"
            if wait is not None and wait > self._stream.max_wait:
                raise self._quota_error(request, f"was answered {answer.status} {said} {wait:.0f} s{because},")
            raise TransientError(f"answered {answer.status}{because}", wait, limited=limited)
        if verdict is Verdict.ACCEPT and answer.fault and (answer.status != 204 or answer.body is not None):
            if isinstance(answer.body, str) and _LOGIN.search(answer.body):
                raise AnswerError(
                    f"stream {self._stream.name}: {self._redacted(request)} was answered by a login page ({answer.fault}); check the "
                    "credentials (auth and its secrets), and that base_url is the API's address, not that of its pages for people"
                )
            raise TransientError(f"answered {answer.fault}")
        return JudgedAnswer(answer, verdict, rule)

    def _sent(self, request: Request, url: str, params: Any) -> Answer:
        """What comes back when it is this request's turn.

        Raises:
            TransientError: where nothing whole comes.
        """
        body = None if request.json is None else msgspec.json.encode(request.json)
        self._wait(request)
        quotas: tuple[rates.Quota, ...] = ()
        try:
            address, query, headers = self._signed(request, url, params, body or b"")
            with self._session.request(
                request.method,
                address,
                params=query,
                headers=headers,
                data=body,
                timeout=(CONNECT_SECONDS, self._stream.timeout),
                proxies=self._proxies.get(_origin(url)),
            ) as response:
                told = {name.lower(): value for name, value in response.headers.items()}
                quotas = rates.quotas(told, time.time())
                content = self._content(response)
        except (requests.exceptions.InvalidHeader, UnicodeEncodeError) as error:
            raise ConfigurationError(
                [
                    f"stream {self._stream.name}: {self._redacted(request)} has a header that can't be sent: it holds a line break, a blank at its beginning, or a character beyond Latin-1; check headers, and the secret that auth puts there"
                ]
            ) from error
        except (*NO_ADDRESS, urllib3.exceptions.LocationParseError) as error:
            raise AnswerError(
                f"stream {self._stream.name}: {self._redacted(request)} is no web address; set base_url such as https://api.example.com/v1"
            ) from error
        except requests.RequestException as error:
            if "CERTIFICATE_VERIFY_FAILED" in repr(error):
                raise NoAnswerError(
                    f"stream {self._stream.name}: {self._redacted(request)}: {_fault(error)}; set ca_bundle where its CA is a private one, or have it mended"
                ) from error
            raise TransientError(_fault(error)) from error
        except ValueError as error:  # requests reads a redirect's target although it isn't followed
            raise AnswerError(
                f"stream {self._stream.name}: {self._redacted(request)} redirects to what is no web address; set base_url to where the API is now"
            ) from error
        finally:
            self._pacer.answered(quotas)
        if self._log.isEnabledFor(logging.DEBUG):
            self._log.debug(
                "stream %s: %s was answered %d with %d bytes",
                self._stream.name,
                self._redacted(request),
                response.status_code,
                len(content),
            )
        return answer_of(response.url, response.status_code, told, content, self._decode)

    def _wait(self, request: Request) -> None:
        """Wait for the request's turn.

        Raises:
            QuotaError: where the API's quota is empty for too long.
        """

        def told(seconds: float) -> None:
            level = logging.INFO if seconds >= MIN_LOGGED_WAIT_SECONDS and seconds > self._spacing else logging.DEBUG
            self._log.log(level, "stream %s: waiting %.1f s for the API's quota", self._stream.name, seconds)

        try:
            self._pacer.wait(self._spacing, self._stream.max_wait, told)
        except TooLongError as error:
            raise self._quota_error(
                request, f"would be refused: the API's quota is empty for {error.seconds:.0f} s,"
            ) from error

    def _signed(self, request: Request, url: str, params: Any, body: bytes) -> tuple[str, Any, dict[str, str]]:
        """The address, query and headers to send, with those of the signer of auth type plugin."""
        headers = _typed(request)
        auth = self._stream.auth
        if self._sign is None or not isinstance(auth, Plugin):
            return url, params, headers
        address = requests.Request(request.method, url, params=params).prepare().url or url
        sent = {"User-Agent": self._user_agent, "Accept": "application/json", **headers}
        unsigned = Unsigned(request.method, address, sent, body, auth_settings(self._stream), auth.options)
        try:
            added = signature_headers(auth.name, self._sign, unsigned)
        except ConfigurationError as error:
            raise ConfigurationError([f"stream {self._stream.name}: {fault}" for fault in error.faults]) from error
        self._here.signature = {value for value in added.values() if len(value) >= MIN_SECRET_CHARACTERS}
        names = {name.lower() for name in added}
        return address, (), {name: value for name, value in headers.items() if name.lower() not in names} | added

    @property
    def _all_secrets(self) -> set[str]:
        """The secrets known until now, and what this thread's last signature was."""
        return self._secrets | getattr(self._here, "signature", set())

    def _content(self, response: requests.Response) -> bytes:
        chunks = []
        stated = response.headers.get("Content-Length", "")
        size = int(stated) if stated.isdecimal() and self._is_too_large(int(stated)) else 0
        for chunk in () if size else content_of(response, CHUNK_BYTES):
            size += len(chunk)
            if self._is_too_large(size):
                break
            chunks.append(chunk)
        if self._is_too_large(size):
            raise ApiError(
                f"stream {self._stream.name}: an answer is larger than max_response_bytes ({self._stream.max_response_bytes}); "
                "ask for smaller pages, or raise it"
            )
        return b"".join(chunks)

    def _is_too_large(self, size: int) -> bool:
        return size > self._stream.max_response_bytes

    def _fetch_token(self, asked: TokenRequest) -> dict[str, object]:
        self._secrets |= {value for name, value in asked.form.items() if name not in PUBLIC_FIELDS and value}
        place = f"stream {self._stream.name}: the token endpoint {redacted_request(Request('POST', asked.url), self._secrets)}"

        def once() -> requests.Response:
            try:
                response = self._session.post(
                    asked.url,
                    data=asked.form,
                    headers=asked.headers,
                    timeout=(CONNECT_SECONDS, self._stream.timeout),
                    proxies=self._proxies.get(_origin(asked.url)),
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
            backoff.expo,
            TransientError,
            max_tries=self._stream.max_attempts,
            max_value=retry.MAX_BACKOFF_SECONDS,
            logger=None,
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
                + (
                    "it redirects to another place; set auth.access_token_url to where the endpoint is now"
                    if 300 <= response.status_code < 400
                    else "check auth_client_id, auth_client_secret and auth_refresh_token"
                )
            )
        for name in ("access_token", "refresh_token"):
            if isinstance(body.get(name), str):
                self._secrets.add(body[name])
        return body

    def _redacted(self, request: Request) -> str:
        return redacted_request(request, self._all_secrets)


def answer_of(
    url: str,
    status: int,
    headers: dict[str, str],
    content: bytes,
    decode: Callable[[bytes], Any] = any_json.decode,
) -> Answer:
    """The answer that these bytes are."""
    if not content or content.isspace():
        return Answer(url, status, headers, None, "an empty body")
    plain = content.removeprefix(b"\xef\xbb\xbf")
    try:
        return Answer(url, status, headers, decode(plain))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            whole = _ESCAPES.sub(lambda escape: escape[1] or rb"\ufffd", plain)
            if whole != plain:
                return Answer(url, status, headers, decode(whole))
        kind = headers.get("content-type", "no content type").split(";")[0]
        text = content[:MAX_ERROR_BYTES].decode(errors="replace")
        return Answer(url, status, headers, text, f"{len(content)} bytes of {kind} that aren't JSON")


def page_of(stream: StreamSettings, ask: PageRequest, answer: Answer) -> Page:
    """The page that an answer is.

    Raises:
        AnswerError: where its records, or what its paginator needs, don't lie where the configuration says.
    """
    records = [] if answer.status == 204 else find_list(stream.records, answer.body)
    if isinstance(records, Missing):
        raise AnswerError(
            f"there is no list of records at {stream.records!r} in the answer ({_outline(answer.body)}); set `records` to the path where they lie"
        )
    if not all(issubclass(kind, (dict, Row)) for kind in set(map(type, records))):
        raise AnswerError(f"a record at {stream.records!r} is no JSON object; set `records` to the list of objects")
    behind = following(stream.paginator, answer, ask.at, len(records))
    known_by = validator_of(stream, answer)
    total = total_of(stream.paginator, answer)
    return Page(records, behind, retry.http_date(answer.headers.get("date", "")), total, known_by)


def _typed(request: Request) -> dict[str, str]:
    """The request's headers; those of one with a body say that it is JSON, unless the configuration says what it is."""
    typed = request.json is None or any(name.lower() == "content-type" for name in request.headers)
    return dict(request.headers) if typed else {"Content-Type": "application/json", **request.headers}


def certificates(stream: StreamSettings) -> tuple[str | bool, str | tuple[str, str] | None]:
    """What TLS connections are verified with (True: requests' own bundle), and this client's own certificate.

    Raises:
        ConfigurationError: for a file that can't be read, or that holds no certificate or key.
    """
    bundle = stream.ca_bundle or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    own = stream.client_certificate
    faults = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    addresses = (request_for_host(stream), getattr(stream.auth, "access_token_url", ""))
    # One that the environment names concerns plain HTTP only where it meets an HTTPS proxy, whose error names it then.
    if bundle and (stream.ca_bundle or any(address.lower().startswith("https:") for address in addresses)):
        try:
            _check_bundle(bundle)
        except OSError as error:
            name = "ca_bundle" if stream.ca_bundle else "the variable REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"
            faults.append(f"stream {stream.name}: {name}: {bundle} holds no certificates ({_file_fault(error)})")
    if own:
        try:
            context.load_cert_chain(own, stream.client_key, password="")
        except (OSError, ValueError) as error:
            faults.append(
                f"stream {stream.name}: client_certificate {own} and client_key {stream.client_key or own} are no unencrypted "
                f"certificate and its key ({_file_fault(error)})"
            )
    if faults:
        raise ConfigurationError(faults)
    return bundle or True, (own, stream.client_key) if own and stream.client_key else own


@functools.lru_cache(maxsize=64)
def _check_bundle(bundle: str) -> None:
    """Read the certificates, once for all streams: it takes longer than a page.

    Raises:
        OSError: where there are none.
    """
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
        **{"capath" if Path(bundle).is_dir() else "cafile": bundle}
    )


def _file_fault(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
    return str(reason or type(error).__name__)


def identity_of(stream: StreamSettings) -> object:
    """What APIs count requests by: the host, and the credentials used there."""
    return _origin(request_for_host(stream)), msgspec.json.encode(stream.auth), tuple(sorted(secrets_of(stream)))


def auth_settings(stream: StreamSettings) -> dict[str, str]:
    """The stream's settings auth_…, where they are set, for a signer."""
    names = [field.name for field in msgspec.structs.fields(stream) if field.name.startswith("auth_")]
    return {name: value for name in names if (value := getattr(stream, name))}


@functools.lru_cache(maxsize=256)
def _origin(address: str) -> str:
    try:
        split = urlsplit(address)
    except ValueError:  # an IPv6 address that is none
        return address
    return f"{split.scheme}://{split.netloc}"


def request_for_host(stream: StreamSettings) -> str:
    """The address whose host the stream's requests go to."""
    return stream.path if "://" in stream.path else stream.base_url


def _fault(error: requests.RequestException) -> str:
    """What happened, in words without an address: requests' own text holds the query."""
    if isinstance(error, requests.exceptions.SSLError):
        if any(sign in repr(error) for sign in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")):
            return "the server doesn't speak TLS at this address, perhaps plain HTTP"
        return "the server's TLS certificate can't be verified"
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
    said = next(response_rules.error_texts(body), "") if isinstance(body, dict) else ""
    return f"({redacted(' '.join(said.split())[:200], secrets)})" if said else "without a reason"


def _why_not_followed(method: str, here: SplitResult, there: SplitResult) -> str:
    """Why a redirect isn't followed; empty where it is. Of its target no more is told than scheme and host."""
    target = f"{there.scheme}://{there.hostname or ''}"
    if method != "GET":
        return f"and redirects to {target}, which a {method} isn't sent to again"
    if (here.scheme, here.netloc) == (there.scheme, there.netloc):
        return ""
    if here.scheme == "https" and there.scheme != "https":
        return f"and redirects to {target}, where all could be read on its way"
    return f"and redirects to {target}, another place, where credentials aren't sent to"


def _remedy(status: int) -> str:
    remedies = {
        401: "check the credentials (auth and its secrets)",
        403: "the credentials lack the right to read this; check their scopes",
        404: "check base_url and path",
        405: "check method",
        400: "check params, headers and json: `tap-restextract plan` shows what is sent",
        422: "check params, headers and json: `tap-restextract plan` shows what is sent",
    }
    if status == 304:
        return "nobody asked whether anything has changed: take If-None-Match and If-Modified-Since out of headers, or have the API, or a cache before it, mended"
    if 300 <= status < 400:
        return "it redirects to another place; set base_url to where the API is now"
    return remedies.get(status, "check the request: `tap-restextract plan` shows what is sent")
