"""The token endpoint of OAuth 2.0: one request for an access token, tried again where it can't have been received."""

from __future__ import annotations

import time
from typing import Final

import msgspec
import requests

from tap_restextract.config.streams import StreamSettings
from tap_restextract.errors import ApiError, NoAnswerError
from tap_restextract.exchange.answer import outline
from tap_restextract.exchange.auth import TokenRequest
from tap_restextract.exchange.request import Request, redacted_request
from tap_restextract.exchange.retry import TransientError, retry_after
from tap_restextract.http.bounded import TooLargeError, TooSlowError, read_content
from tap_restextract.http.failures import cause_of, reason_of, said_by, tls_mismatch, too_slow
from tap_restextract.http.retrying import exponential_waits, with_retries
from tap_restextract.http.session import CONNECT_SECONDS, HttpSession

MAX_TOKEN_BYTES: Final = 1 << 24
PUBLIC_FIELDS: Final = frozenset({"grant_type", "scope", "client_id", "audience", "resource"})


def fetch_token(
    stream: StreamSettings,
    session: HttpSession,
    asked: TokenRequest,
    secrets: set[str],
    proxies: dict[str, str] | None,
) -> dict[str, object]:
    """Fetch an access token.

    Args:
        stream: whose credentials.
        session: that sends the request.
        asked: the request.
        secrets: those that no message may hold; what is sent and comes is added.
        proxies: by scheme.

    Raises:
        ApiError: where no token comes.
    """
    secrets |= {value for name, value in asked.form.items() if name not in PUBLIC_FIELDS and value}
    endpoint = f"stream {stream.name}: the token endpoint {redacted_request(Request('POST', asked.url), secrets)}"
    waits = exponential_waits(stream.max_attempts)
    try:
        response, content = with_retries(
            lambda: _answered(stream, session, asked, proxies, endpoint), lambda _: next(waits, None)
        )
    except TransientError as fault:
        raise NoAnswerError(f"{endpoint}: {fault.reason}; check auth.access_token_url") from fault
    try:
        body = msgspec.json.decode(content)
    except msgspec.MsgspecError:
        body = None
    if response.status_code != 200 or not isinstance(body, dict) or not isinstance(body.get("access_token"), str):
        raise ApiError(
            f"{endpoint} was answered {response.status_code} without an access token {_reason(response.status_code, body, secrets)}; "
            + (
                "it redirects to another address; set auth.access_token_url to where the endpoint is now"
                if 300 <= response.status_code < 400
                else "check auth_client_id, auth_client_secret and auth_refresh_token"
            )
        )
    secrets |= {body[name] for name in ("access_token", "refresh_token") if isinstance(body.get(name), str)}
    return body


def _reason(status: int, body: object, secrets: set[str]) -> str:
    """Return the endpoint's own words, or what else its answer shows of why there is no token."""
    said = reason_of(body, secrets)
    if status != 200 or said_by(body, secrets):
        return said
    return (
        f"(it is {outline(body)}, and access_token is what is read: an API with a log-in of its own needs a signer, auth: {{type: plugin}}, or a "
        "token that was fetched before, auth: {type: bearer})"
    )


def _answered(
    stream: StreamSettings,
    session: HttpSession,
    asked: TokenRequest,
    proxies: dict[str, str] | None,
    endpoint: str,
) -> tuple[requests.Response, bytes]:
    try:
        with session.post_form(
            asked.url,
            asked.form,
            headers=asked.headers,
            timeout=(CONNECT_SECONDS, stream.timeout),
            proxies=proxies,
        ) as response:
            content = read_content(response, min(stream.max_response_bytes, MAX_TOKEN_BYTES))
    except TooLargeError as error:
        raise ApiError(
            f"{endpoint}: its answer is too large for one with a token; check auth.access_token_url"
        ) from error
    except TooSlowError as error:
        raise ApiError(f"{endpoint}: {too_slow(stream)}") from error
    except requests.ConnectionError as error:
        mismatch = tls_mismatch(error)
        if mismatch is not None:
            raise NoAnswerError(f"{endpoint}: {mismatch.cause}; {mismatch.remedy}") from error
        # A refresh that may have reached the server isn't sent twice: only a connection that never was is tried again.
        if isinstance(error, requests.exceptions.ConnectTimeout) or "NewConnectionError" in repr(error):
            raise TransientError(cause_of(error)) from error
        raise NoAnswerError(f"{endpoint}: {cause_of(error)}; run again") from error
    except requests.RequestException as error:
        raise NoAnswerError(f"{endpoint}: {cause_of(error)}; run again") from error
    if response.status_code in {429, 503}:
        raise TransientError(
            f"answered {response.status_code}",
            retry_after({name.lower(): value for name, value in response.headers.items()}, time.time()),
        )
    return response, content
