"""Failures in words: what became of a request, why an answer is refused, and the remedy of each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult

import requests
import urllib3.exceptions

from tap_restextract.config.streams import ResponseRule, StreamSettings
from tap_restextract.errors import AnswerError, ConfigurationError, NoAnswerError
from tap_restextract.exchange import response_rules
from tap_restextract.exchange.error_texts import error_reason
from tap_restextract.exchange.request import redacted
from tap_restextract.exchange.retry import TransientError

BAD_ADDRESS: Final = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    urllib3.exceptions.LocationParseError,
)
SSL_CODE: Final = re.compile(r"\[SSL: ([A-Z0-9_]{1,60})\]")


class TlsMismatch(NamedTuple):
    """A reason why client and server can't speak TLS with each other.

    Attributes:
        signs: parts of OpenSSL's and urllib3's words for it, any of them.
        cause: what it means.
        remedy: what a person can do.
    """

    signs: tuple[str, ...]
    cause: str
    remedy: str


UNVERIFIED: Final = "the server's TLS certificate can't be verified"
TLS_MISMATCHES: Final = (
    TlsMismatch(
        ("appears to only use HTTP and not HTTPS",),
        "the proxy doesn't speak TLS",
        "write its address with http:// in HTTPS_PROXY: what is sent through it is encrypted all the same",
    ),
    TlsMismatch(
        ("Hostname mismatch", "IP address mismatch", "doesn't match"),
        f"{UNVERIFIED}: it is another host's",
        "ask by a name that is in the certificate, or have it fixed",
    ),
    TlsMismatch(
        ("certificate has expired",),
        f"{UNVERIFIED}: it has expired",
        "have it renewed, or correct this machine's clock",
    ),
    TlsMismatch(
        ("certificate is not yet valid",),
        f"{UNVERIFIED}: it is not valid yet",
        "correct this machine's clock, or have the certificate fixed",
    ),
    TlsMismatch(
        ("CERTIFICATE_VERIFY_FAILED",), UNVERIFIED, "set ca_bundle where its CA is a private one, or have it fixed"
    ),
    TlsMismatch(
        ("CERTIFICATE_REQUIRED",), "the server asks for a certificate of this client", "set client_certificate"
    ),
    TlsMismatch(
        ("ALERT_UNKNOWN_CA", "ALERT_BAD_CERTIFICATE"),
        "the server doesn't accept this client's certificate",
        "set client_certificate to one of a CA that the server trusts",
    ),
    TlsMismatch(
        ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "SSL: UNKNOWN_PROTOCOL", "SSL: HTTP_REQUEST"),
        "the server doesn't speak TLS at this address, perhaps plain HTTP",
        "write http:// in the address if nothing is to be encrypted, or the port that speaks TLS",
    ),
    TlsMismatch(
        ("UNSUPPORTED_PROTOCOL", "ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE", "VERSION_TOO_LOW"),
        "the server and this client speak no common version of TLS",
        "have the server speak TLS 1.2 or later",
    ),
    TlsMismatch(
        (r"BadStatusLine('\x15\x03",), "the server speaks TLS at this address", "write https:// in the address"
    ),
)
"""What no other try will change; the first that fits is reported."""

REMEDIES: Final = {
    401: "check the credentials (auth and its secrets)",
    403: "the credentials lack the right to read this; check their scopes",
    404: "check base_url and path",
    405: "check method",
    400: "check params, headers and json: `tap-restextract plan` shows what is sent",
    422: "check params, headers and json: `tap-restextract plan` shows what is sent",
}


def error_of(request: str, failure: Exception, *, may_pass: bool = False) -> Exception:
    """Translate what sending raised into an error that names stream, cause and remedy.

    Args:
        request: the stream and the redacted request, as messages name them.
        failure: of requests, or a ValueError.
        may_pass: an answer has come before, so that a TLS mismatch is one in passing.
    """
    if isinstance(failure, (requests.exceptions.InvalidHeader, UnicodeEncodeError)):
        return ConfigurationError(
            [
                f"{request} has a header that can't be sent: it holds a line break, a blank at its beginning, or a character beyond Latin-1; check headers, and the secret that auth puts there"
            ]
        )
    if isinstance(failure, BAD_ADDRESS):
        return AnswerError(f"{request} is not a web address; set base_url such as https://api.example.com/v1")
    if isinstance(failure, requests.RequestException):
        mismatch = tls_mismatch(failure)
        if mismatch is not None and not may_pass:
            return NoAnswerError(f"{request}: {mismatch.cause}; {mismatch.remedy}")
        return TransientError(cause_of(failure))
    # requests reads a redirect's target although it isn't followed
    return AnswerError(f"{request} redirects to what is not a web address; set base_url to where the API is now")


def too_slow(stream: StreamSettings) -> str:
    """Say of an answer that it took longer than it may, and the remedy."""
    return (
        f"its answer took longer than max_response_seconds ({stream.max_response_seconds:g} s) from its first byte on; "
        "ask for smaller pages, or raise it"
    )


def tls_mismatch(error: requests.RequestException) -> TlsMismatch | None:
    """Return why client and server can't speak TLS with each other, whatever is tried; None for anything else."""
    inner = error.args[0] if error.args else error
    text = repr(getattr(inner, "reason", inner))  # without the address, which urllib3 shows beside the reason
    return next((mismatch for mismatch in TLS_MISMATCHES if any(sign in text for sign in mismatch.signs)), None)


def cause_of(error: requests.RequestException) -> str:
    """Say what happened without an address: requests' own text holds the query."""
    mismatch = tls_mismatch(error)
    if mismatch is not None:
        return mismatch.cause
    if isinstance(error, requests.exceptions.SSLError):
        code = SSL_CODE.search(repr(error))
        return f"the TLS connection failed{f' ({code[1]})' if code else ''}"
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


def said_by(body: Any, secrets: set[str]) -> str:
    """Quote the API's own words for an error, without secrets; "" where they stand in none of the usual forms."""
    reason = error_reason(body, lambda text: redacted(text, secrets))
    return f"({reason})" if reason else ""


def reason_of(body: Any, secrets: set[str]) -> str:
    """Quote the API's own words for an error, or say that there are none."""
    return said_by(body, secrets) or "without a reason"


def why_not_followed(method: str, here: SplitResult, there: SplitResult) -> str:
    """Say why a redirect isn't followed, by its target's scheme and host alone; empty where it is followed."""
    target = f"{there.scheme}://{there.hostname or ''}"
    if method != "GET":
        return f"and redirects to {target}, which a {method} isn't sent to again"
    if (here.scheme, here.netloc) == (there.scheme, there.netloc):
        return ""
    if here.scheme == "https" and there.scheme != "https":
        return f"and redirects to {target}, where all could be read on its way"
    return f"and redirects to {target}, another origin, where credentials aren't sent to"


def remedy_of(status: int, rules: Sequence[ResponseRule], rule: int | None) -> str:
    """Say what a person can do about an answer of this status.

    Args:
        status: the HTTP status.
        rules: the stream's response rules.
        rule: the index of the one that refused the answer; None where its status did.
    """
    if rule is not None:
        message = rules[rule].error_message
        return f"{response_rules.rule_name(rules, rule)} refuses it{f': {message}' if message else ''}"
    if status == 304:
        return (
            "nobody asked whether anything has changed: take If-None-Match and If-Modified-Since out of headers, or have the API, or a cache "
            "before it, fixed; where one of them holds the cursor, the response rule {http_codes: [304], action: IGNORE} makes it an empty list"
        )
    if 300 <= status < 400:
        return "it redirects to another address; set base_url to where the API is now"
    return REMEDIES.get(status, "check the request: `tap-restextract plan` shows what is sent")
