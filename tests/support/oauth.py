"""A server that hands out signed tokens, and a gate before a Kafka broker that lets in who shows one.

The broker at hand, Tansu 0.6.0, offers OAUTHBEARER and refuses every token. So the gate answers what a login consists
of, SaslHandshake and SaslAuthenticate, verifies tokens, and passes on what comes of a client that is logged in.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from typing_extensions import Self

from tests.support.proxy import Proxy, close

if TYPE_CHECKING:
    import socket
    import ssl
    from types import TracebackType

KEY = b"of the token server and of the gate"
API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE = 18, 17, 36
FAILED = 58


def _part(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def token(seconds: float = 3600.0, key: bytes = KEY, **claims: Any) -> str:
    """A JSON Web Token that expires after so long, signed by HS256."""
    now = time.time()
    whole = {"sub": "relay", "iat": now, "exp": now + seconds, **claims}
    signed = ".".join(_part(json.dumps(each).encode()) for each in ({"alg": "HS256", "typ": "JWT"}, whole))
    return f"{signed}.{_part(hmac.digest(key, signed.encode(), hashlib.sha256))}"


def claims(text: str) -> dict[str, Any] | None:
    """What a token says; None where it is not to be trusted, or has expired."""
    signed, _, signature = text.rpartition(".")
    if signature != _part(hmac.digest(KEY, signed.encode(), hashlib.sha256)):
        return None
    body = signed.partition(".")[2]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=="))
    return found if found["exp"] > time.time() else None


class TokenServer:
    """Hands out tokens by client credentials, to the client `relay` with the secret `s3cret`.

    Attributes:
        seconds: after which a token expires.
        asked: the form of each request.
        handed: tokens, in their order.
        down: whether it answers 503.
    """

    def __init__(self, seconds: float = 3600.0, context: ssl.SSLContext | None = None) -> None:
        self.seconds = seconds
        self.asked: list[dict[str, list[str]]] = []
        self.handed: list[str] = []
        self.down = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that go away are what is tested
        if context is not None:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = int(self._server.server_address[1])
        self.url = f"http{'' if context is None else 's'}://localhost:{self.port}/token"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server.asked.append(parse_qs(self.rfile.read(int(self.headers["content-length"])).decode()))
                shown = self.headers.get("authorization", "").removeprefix("Basic ")
                if server.down or base64.b64decode(shown) != b"relay:s3cret":
                    self.send_response(503 if server.down else 401)
                    self.send_header("content-length", "0")
                    self.end_headers()
                    return
                server.handed.append(token(server.seconds, number=len(server.handed)))
                told = {"access_token": server.handed[-1], "token_type": "Bearer", "expires_in": int(server.seconds)}
                body = json.dumps(told).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


class TokenGate(Proxy):
    """Before a broker that knows no login; to be entered by a client that shows a token.

    Attributes:
        shown: tokens that were shown, in their order, whether they were trusted or not.
        extensions: what was shown beside the last one.
    """

    def __init__(self, target: int = 0) -> None:
        self.shown: list[str] = []
        self.extensions: dict[str, str] = {}
        self._until: dict[socket.socket, float] = {}
        super().__init__(target)

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while len(size := _exactly(client, 4)) == 4:
                request = _exactly(client, *struct.unpack(">i", size))
                kind, version, correlation = struct.unpack(">hhi", request[:8])
                if kind in {SASL_HANDSHAKE, SASL_AUTHENTICATE}:
                    answer = self._login(client, kind, version, request)
                    client.sendall(struct.pack(">ii", len(answer) + 4, correlation) + answer)
                elif kind == API_VERSIONS or time.time() < self._until.get(client, 0.0):
                    server.sendall(size + request)
                else:
                    break  # as a broker does with who isn't logged in, or not any more
        close(client, server)

    def _login(self, client: socket.socket, kind: int, version: int, request: bytes) -> bytes:
        (name,) = struct.unpack(">h", request[8:10])
        body = request[10 + max(0, name) :]
        if kind == SASL_HANDSHAKE:
            mechanism = b"OAUTHBEARER"
            right = body[2:] == mechanism
            return struct.pack(">hih", 0 if right else 33, 1, len(mechanism)) + mechanism
        # n,a=NAME,^Aauth=Bearer TOKEN^AEXTENSION=VALUE^A^A
        pairs = [pair.partition("=") for pair in body[4:].decode().split("\x01")[1:] if pair]
        fields = {field: value for field, _, value in pairs}
        self.shown.append(fields.pop("auth").removeprefix("Bearer "))
        self.extensions = fields
        found = claims(self.shown[-1])
        if found is None:
            why = b"the token is not to be trusted"
            return struct.pack(">hh", FAILED, len(why)) + why + struct.pack(">i", 0) + (b"\0" * 8 if version else b"")
        self._until[client] = found["exp"]
        left = int(1000 * (found["exp"] - time.time()))
        return struct.pack(">hhi", 0, -1, 0) + (struct.pack(">q", left) if version else b"")


def _exactly(client: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count and (data := client.recv(count - len(found))):
        found += data
    return found
