"""The client: the one place that opens sockets.

A thin shell around `requests`: it sends what pure functions made, tries again as `exchange.retry` decides, bounds what
it reads, and turns every fault into an error that names stream, status and redacted address. The environment (proxies,
certificates) is read once a stream, not once a request, and never credentials from a netrc.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import msgspec
import requests
from msgspec.structs import replace

from tap_restextract.config.auth import Plugin
from tap_restextract.config.streams import StreamSettings
from tap_restextract.errors import AnswerError, ApiError, ConfigurationError, NoAnswerError
from tap_restextract.exchange import rates, response_rules
from tap_restextract.exchange.answer import Answer, answer_of, facts_of
from tap_restextract.exchange.auth import (
    TokenRequest,
    auth_settings,
    authenticated,
    quota_identity,
    secrets_of,
)
from tap_restextract.exchange.error_texts import is_error
from tap_restextract.exchange.judging import JudgedAnswer, judge, quota_error
from tap_restextract.exchange.paginators import page_before, page_remedy, paged
from tap_restextract.exchange.request import (
    Request,
    headers_of,
    host_address,
    origin_of,
    redacted_request,
    request_for,
)
from tap_restextract.exchange.retry import RetrySchedule, TransientError, Verdict
from tap_restextract.exchange.validators import asked_unless, without_condition, without_validators
from tap_restextract.http import failures
from tap_restextract.http.bounded import TooLargeError, TooSlowError, read_content
from tap_restextract.http.certificates import certificates
from tap_restextract.http.pacing import Pacers, TooLongError
from tap_restextract.http.pages import NOT_FOUND, is_behind_the_end, may_have_vanished, page_of
from tap_restextract.http.retrying import with_retries
from tap_restextract.http.session import CONNECT_SECONDS, HttpSession, environment_proxies
from tap_restextract.http.signers import Unsigned, signature_headers, signer
from tap_restextract.http.token_endpoint import fetch_token
from tap_restextract.http.tokens import TokenKeeper
from tap_restextract.values.rows import Reader, any_json
from tap_restextract.walks.steps import Page, PageRequest

MAX_REDIRECTS: Final = 5
MAX_VANISHED_PAGES: Final = 20
"""Of a counted list that has shrunk since the page before said that more follows."""
MAX_CLOSE_SECONDS: Final = 1.0
MIN_LOGGED_WAIT_SECONDS: Final = 5.0
MIN_SECRET_CHARACTERS: Final = 6

# Its debug lines hold whole addresses, with secrets in their queries; `_send` writes redacted ones.
logging.getLogger("urllib3.connectionpool").addFilter(lambda line: line.levelno > logging.DEBUG)


def _unless_behind_the_end(
    fetch: Callable[[], JudgedAnswer],
    stream: StreamSettings,
    page_request: PageRequest,
    is_ended_before: Callable[[], bool] | None,
) -> JudgedAnswer | None:
    """Fetch a page; None where the answer says, twice, that there is no such page behind the others.

    A 404 in passing, as gateways have them, would cut the list without a word. Where answers state the end, the page
    before, asked once more, must say that it is the last one now.

    Raises:
        AnswerError: where no good answer comes; with the paginator's remedy, where it has one.
    """
    for _ in range(2):
        try:
            return fetch()
        except AnswerError as error:
            if is_behind_the_end(stream, page_request, error.status):
                continue
            if is_ended_before is not None and may_have_vanished(stream, page_request, error.status):
                if is_ended_before():
                    return None
                raise AnswerError(
                    f"{error}; the page before it, asked for once more, doesn't say that it is the last one",
                    error.status,
                ) from error
            remedy = page_remedy(stream.paginator, page_request.at, error.status or 0)
            if error.rule is not None or not remedy:
                raise
            raise AnswerError(f"{error}{remedy}", error.status) from error
    return None


def _is_ended_before(stream: StreamSettings, page_request: PageRequest, page: Callable[[PageRequest], Page]) -> bool:
    """Ask for the counted pages before another one, up to one that is there; return whether that is the last one.

    An API that lost the whole list, or the right to read it, has none of them: only so many are asked for.
    """
    before = page_request.at
    for _ in range(MAX_VANISHED_PAGES):
        before = page_before(stream.paginator, before)
        if before is None:
            return False
        try:
            again = page(replace(page_request, at=before))
        except AnswerError as error:
            if error.status == NOT_FOUND:
                continue
            return False
        return again.following is None and not again.is_unreadable
    return False


class _FirstRequest:
    """The request for the first page of a list, which is made once for all pages of the list."""

    def __init__(self) -> None:
        # One tuple, since several threads read and replace it.
        self._last: tuple[PageRequest | None, Request] = None, Request("", "")

    def of(self, stream: StreamSettings, page_request: PageRequest) -> Request:
        """Return the request for the first page of the list that a page is of."""
        known, request = self._last
        # Values that are equal may be written in two ways.
        if (
            known is None
            or known.cursor is not page_request.cursor
            or known.until is not page_request.until
            or known.scope is not page_request.scope
        ):
            request = request_for(stream, page_request.cursor, page_request.until, page_request.scope)
            self._last = page_request, request
        return request


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
        self._pacer = (pacers or Pacers()).of(quota_identity(stream))
        self._spacing = rates.spacing_of(stream.rate_limit)
        self._proxies = environment_proxies(host_address(stream), getattr(stream.auth, "access_token_url", ""))
        self._verify, self._certificate = certificates(stream)
        self._sign = signer(stream.auth.name) if isinstance(stream.auth, Plugin) else None
        self._here = threading.local()
        self._sessions: list[HttpSession] = []
        self._sending: set[threading.Thread] = set()
        self._has_answered = False
        self._is_closed = False
        self._first = _FirstRequest()

    def close(self) -> None:
        """Drop the connections, also those that a thread uses for a page that nobody wants any more.

        Such a thread ends with an ApiError, which is waited for, `MAX_CLOSE_SECONDS` at most. One that waits for its
        turn, or before another try, has no connection: it ends when its wait does.
        """
        self._is_closed = True
        deadline = time.monotonic() + MAX_CLOSE_SECONDS
        for session in [*self._sessions]:
            session.close()
        for thread in [*self._sending]:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    @property
    def _session(self) -> HttpSession:
        """This thread's own: a session isn't made to be shared between threads."""
        session: HttpSession | None = getattr(self._here, "session", None)
        if session is None:
            headers = {"User-Agent": self._user_agent, "Accept": "application/json"}
            session = self._here.session = HttpSession(
                headers,
                verify=self._verify,
                certificate=self._certificate,
                max_seconds=self._stream.max_response_seconds,
            )
            self._sessions.append(session)
        return session

    def page(self, page_request: PageRequest) -> Page:
        """Fetch the page that the walk asks for; an empty one where only a probe has no good answer, whatever comes.

        Raises:
            ApiError: where no good answer comes.
        """
        try:
            return self._page(page_request)
        except ApiError:
            if page_request.probe:
                return Page([])
            raise

    def _page(self, page_request: PageRequest, *, may_vanish: bool = True) -> Page:
        validator = page_request.validator
        request = paged(self._stream.paginator, self._first.of(self._stream, page_request), page_request.at)
        fetch = partial(
            self.fetch, asked_unless(request, validator), conditional=validator is not None, once=page_request.probe
        )
        is_ended_before = partial(_is_ended_before, self._stream, page_request, partial(self._page, may_vanish=False))
        judged = _unless_behind_the_end(fetch, self._stream, page_request, is_ended_before if may_vanish else None)
        if judged is None:
            return Page([])
        answer, verdict, rule, _ = judged
        if verdict is Verdict.UNCHANGED:
            return Page([], server_time=answer.facts.server_time, validator=validator, unchanged=True)
        if verdict is Verdict.IGNORE:
            if page_request.probe:
                return Page([])
            self._log.warning(
                "stream %s: %s was answered %d, which %s takes for an empty last page",
                self._stream.name,
                self._redacted(request),
                answer.status,
                response_rules.rule_name(self._stream.response_rules, rule or 0),
            )
            return Page([], None, answer.facts.server_time, ignored=True)
        try:
            return page_of(self._stream, page_request, answer)
        except AnswerError as error:
            said = failures.said_by(answer.body, self._all_secrets) if is_error(answer.body) else ""
            more = f". The API says what went wrong {said}" if said else ""
            raise AnswerError(f"{self._named(request)}: {error}{more}") from error
        except ConfigurationError as error:
            raise ConfigurationError([f"stream {self._stream.name}: {fault}" for fault in error.faults]) from error

    def fetch(self, request: Request, *, conditional: bool = False, once: bool = False) -> JudgedAnswer:
        """Fetch an answer that is to be accepted or ignored, in as many tries as it takes, up to `max_attempts`.

        Args:
            request: what is asked.
            conditional: an answer that nothing has changed (304) is a good one.
            once: it isn't tried again, except for rate limits.

        Raises:
            ApiError: naming stream, status and redacted address.
        """
        token = self._keeper.access_token(self._stream, self._fetch_token)
        refreshed = False
        while True:
            if token:
                self._secrets.add(token)
            judged = self._with_retries(authenticated(request, self._stream, token), request, once=once)
            answer, verdict, rule, why = judged
            if verdict in {Verdict.ACCEPT, Verdict.IGNORE} or (conditional and verdict is Verdict.UNCHANGED):
                return judged
            if verdict is Verdict.UNAUTHORIZED and token and not refreshed:
                token, refreshed = self._keeper.access_token(self._stream, self._fetch_token, stale=token), True
                continue
            raise AnswerError(
                f"{self._named(request)} was answered {answer.status} "
                f"{why or failures.reason_of(answer.own_words, self._all_secrets)}; {failures.remedy_of(answer.status, self._stream.response_rules, rule)}",
                answer.status,
                rule,
            )

    def _with_retries(self, authentic: Request, plain: Request, *, once: bool = False) -> JudgedAnswer:
        schedule = RetrySchedule(1 if once else self._stream.max_attempts)
        try:
            return with_retries(lambda: self._attempt(authentic), lambda fault: self._next_wait(schedule, fault, plain))
        except TransientError as fault:
            max_attempts = schedule.max_attempts
            raise NoAnswerError(
                f"{self._named(plain)}: {fault.reason}, {max_attempts} {'time' if max_attempts == 1 else 'times'}; "
                "check base_url, the API's health and the network, then run again: STATE is where the last page was written"
                + (f". The API says{said}" if (said := self._said(fault)) else "")
            ) from fault

    def _next_wait(self, schedule: RetrySchedule, fault: TransientError, request: Request) -> float | None:
        """Return the seconds until another try, and log it; None after the last one.

        Raises:
            QuotaError: where rate limits were waited for too long.
        """
        seconds = schedule.next_wait(fault, random.random())  # noqa: S311  jitter isn't secret
        if seconds is None or self._is_closed:
            return None
        max_wait = self._stream.max_wait
        if schedule.limited_seconds > max_wait:
            raise quota_error(
                self._stream,
                self._named(request),
                f"{fault.reason}{self._said(fault)} for {schedule.limited_seconds:.0f} s of waiting,",
            )
        if fault.wait and self._stream.concurrency > 1:
            self._pacer.pause(fault.wait)
        self._log.warning(
            "stream %s: %s: %s; trying again in %.1f s (%s)",
            self._stream.name,
            self._redacted(request),
            fault.reason + self._said(fault),
            seconds,
            f"a rate limit is not a failed try; up to {max_wait:.0f} s of them are waited for (max_wait)"
            if fault.limited
            else f"try {schedule.failed} of {schedule.max_attempts} failed",
        )
        return seconds

    def _attempt(self, request: Request) -> JudgedAnswer:
        """Send a request once, and follow its redirects on the same origin."""
        url, params = request.url, request.params
        for redirects in range(MAX_REDIRECTS):
            judged = judge(self._stream, self._send(request, url, params), partial(self._named, request), time.time())
            answer = judged.answer
            if judged.verdict is not Verdict.REDIRECT:
                return judged._replace(answer=without_validators(answer)) if redirects else judged
            try:
                target = urljoin(answer.url, answer.headers.get("location", ""))
                here, there = urlsplit(answer.url), urlsplit(target)
            except ValueError:  # an IPv6 address that is none
                return judged._replace(why="and redirects to what is not a web address")
            if why := failures.why_not_followed(request.method, here, there):
                return judged._replace(why=why)
            # What a redirect's target is known by says nothing of the address that is asked.
            request, url, params = without_condition(request), target, ()
        return judged._replace(why=f"the {MAX_REDIRECTS}th time in a row: its redirects have no end")

    def _send(self, request: Request, url: str, params: Any) -> Answer:
        """Send the request when it is its turn, and read what comes back.

        Raises:
            TransientError: where nothing whole comes.
        """
        body = None if request.json is None else msgspec.json.encode(request.json)
        self._wait(request)
        quotas: tuple[rates.Quota, ...] = ()
        self._sending.add(threading.current_thread())
        try:
            if self._is_closed:
                raise ApiError(f"{self._named(request)} isn't sent: the run has ended")
            address, query, headers = self._signed(request, url, params, body or b"")
            with self._session.request(
                request.method,
                address,
                params=query,
                headers=headers,
                data=body,
                timeout=(CONNECT_SECONDS, self._stream.timeout),
                proxies=self._proxies.get(origin_of(url)),
            ) as response:
                facts = facts_of(response.status_code, response.received, time.time())
                quotas = facts.quotas
                content = read_content(response, self._stream.max_response_bytes)
        except (requests.RequestException, ValueError) as error:
            raise failures.error_of(self._named(request), error, may_pass=self._has_answered) from error
        except TooLargeError as error:
            raise ApiError(
                f"stream {self._stream.name}: an answer is larger than max_response_bytes ({self._stream.max_response_bytes}); "
                "ask for smaller pages, or raise it"
            ) from error
        except TooSlowError as error:
            raise ApiError(f"{self._named(request)}: {failures.too_slow(self._stream)}") from error
        finally:
            self._sending.discard(threading.current_thread())
            self._pacer.answered(quotas)
        self._has_answered = True
        if self._log.isEnabledFor(logging.DEBUG):
            self._log.debug(
                "stream %s: %s was answered %d with %d bytes",
                self._stream.name,
                self._redacted(request),
                response.status_code,
                len(content),
            )
        return answer_of(response.url, facts, content, self._decode)

    def _wait(self, request: Request) -> None:
        """Wait for the request's turn.

        Raises:
            QuotaError: where the API's quota is empty for too long.
        """

        def log_wait(seconds: float) -> None:
            level = logging.INFO if seconds >= MIN_LOGGED_WAIT_SECONDS and seconds > self._spacing else logging.DEBUG
            self._log.log(level, "stream %s: waiting %.1f s for the API's quota", self._stream.name, seconds)

        try:
            self._pacer.wait(self._spacing, self._stream.max_wait, log_wait)
        except TooLongError as error:
            empty = f"would be refused: the API's quota is empty for {error.seconds:.0f} s,"
            raise quota_error(self._stream, self._named(request), empty) from error

    def _signed(self, request: Request, url: str, params: Any, body: bytes) -> tuple[str, Any, dict[str, str]]:
        """Return the address, query and headers to send, with those of the signer of auth type plugin."""
        headers = headers_of(request)
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

    def _fetch_token(self, asked: TokenRequest) -> dict[str, object]:
        return fetch_token(self._stream, self._session, asked, self._secrets, self._proxies.get(origin_of(asked.url)))

    def _said(self, fault: TransientError) -> str:
        """Return the API's own words for a fault, to be put behind its reason."""
        said = failures.said_by(fault.said, self._all_secrets)
        return f" {said}" if said else ""

    def _named(self, request: Request) -> str:
        """Name stream and request as messages do."""
        return f"stream {self._stream.name}: {self._redacted(request)}"

    def _redacted(self, request: Request) -> str:
        return redacted_request(request, self._all_secrets)
