"""OAuth 2.0 access tokens: fetched when needed, held in memory, and a rotated refresh token kept on disk.

Theory of operation. A server may rotate the refresh token at each use (RFC 6749, 6): the one before is then dead, so
the new one must be on disk before anything else happens. `token_file` holds it under a fingerprint of the configured
token, so that several accounts may share the file and a newly configured token has nothing kept. A lock beside the file
lets one process refresh at a time, and the file is tried for writing before the endpoint is asked, because afterwards
it would be too late.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tap_restextract.config.auth import OAuth2ClientCredentials, OAuth2RefreshToken
from tap_restextract.config.streams import StreamSettings
from tap_restextract.errors import ConfigurationError
from tap_restextract.exchange.auth import TokenRequest, token_request

Fetch = Callable[[TokenRequest], dict[str, object]]


StoredToken = dict[str, str]
"""The content of `token_file`: fingerprint of the configured refresh token → the newest refresh token."""


class TokenKeeper:
    """Access tokens of the streams of one tap: one for each way to authenticate."""

    def __init__(self) -> None:
        self._access: dict[object, str] = {}
        self._lock = threading.Lock()

    def access_token(self, stream: StreamSettings, fetch: Fetch, *, stale: str | None = None) -> str | None:
        """Return the stream's access token; None for other types of auth.

        Args:
            stream: whose credentials.
            fetch: asks the token endpoint.
            stale: a token that was refused, so that another one must be fetched.
        """
        auth = stream.auth
        if not isinstance(auth, (OAuth2ClientCredentials, OAuth2RefreshToken)):
            return None
        identity = (msgspec.json.encode(auth), stream.auth_client_id, stream.auth_refresh_token)
        with self._lock:
            token = self._access.get(identity)
            if token is None or token == stale:
                if isinstance(auth, OAuth2RefreshToken):
                    token = _refresh(stream, auth, fetch)
                else:
                    token = str(fetch(token_request(stream, None))["access_token"])
                self._access[identity] = token
            return token


def _refresh(stream: StreamSettings, auth: OAuth2RefreshToken, fetch: Fetch) -> str:
    path = Path(auth.token_file)
    configured = hashlib.sha256((stream.auth_refresh_token or "").encode()).hexdigest()
    with _locked(path):
        stored = _read_tokens(path)
        refresh_token = stored.get(configured) or stream.auth_refresh_token
        answer = fetch(token_request(stream, refresh_token))
        rotated = answer.get("refresh_token")
        if isinstance(rotated, str) and rotated and rotated != refresh_token:
            _write_tokens(path, {**stored, configured: rotated})
    return str(answer["access_token"])


def _read_tokens(path: Path) -> StoredToken:
    try:
        return msgspec.json.decode(path.read_bytes(), type=StoredToken)
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            [f"the token_file {path} can't be read; correct or remove it: {type(error).__name__}"]
        ) from error


def _write_tokens(path: Path, stored: StoredToken) -> None:
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:  # mode 0600
            file.write(msgspec.json.encode(stored))
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(path)
    except OSError as error:
        raise ConfigurationError(
            [
                f"the rotated refresh token can't be written to the token_file {path} ({error.strerror}); make room or give the right to write, and configure a new auth_refresh_token: the server holds the old one for used"
            ]
        ) from error
    with contextlib.suppress(OSError):  # not every file system lets a folder be synced
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigurationError(
            [
                f"the token_file {path} can't be written ({error.strerror}), and a rotated refresh token would be lost; set auth.token_file to a path that can"
            ]
        ) from error
    try:
        with contextlib.suppress(ImportError):  # a system without fcntl: one process at a time is then its user's care
            import fcntl  # noqa: PLC0415

            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
