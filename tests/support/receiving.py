"""A receiver as a process, and senders that sign as Standard Webhooks has it, by its own library."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from standardwebhooks import Webhook

from tests.support.messages import PROPERTIES, at
from tests.support.ports import free_port
from tests.support.processes import TAP, environment, written
from tests.support.waiting import wait_until

KEY = b"a key of thirty-two bytes, no less"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
SCHEMA: dict[str, Any] = {"type": "object", "properties": PROPERTIES}
SOURCE: dict[str, Any] = {
    "name": "billing",
    "signature": {"type": "standard_webhooks"},
    "time_path": "timestamp",
    "streams": [{"stream": "things", "types": ["thing.*"], "deleted_types": ["thing.deleted"]}],
}
STREAM: dict[str, Any] = {
    "name": "things",
    "source": "webhooks",
    "primary_key": ["id"],
    "schema": SCHEMA,
    "incremental": {"cursor_path": "updated_at"},
}


def configuration(queue: str, source: Mapping[str, Any] = {}, **stream: Any) -> dict[str, Any]:
    """A tap that takes things from one source, with what a test changes of both."""
    return {
        "webhooks": {"sources": [{**SOURCE, **source}]},
        "webhook_queue": queue,
        "webhook_secrets": {"billing": SECRET},
        "streams": [{**STREAM, **stream}],
    }


def event(key: int, second: float, kind: str = "thing.updated", **more: Any) -> dict[str, Any]:
    """A notification of a thing's version of this second."""
    moment = at(int(second))
    return {"type": kind, "timestamp": moment, "data": {"id": key, "updated_at": moment, **more}}


def signed(body: bytes, name: str | None = None, *, key: bytes = KEY, age: float = 0) -> dict[str, str]:
    """The headers of an authentic request."""
    name = name or f"msg_{uuid.uuid4().hex}"
    moment = datetime.fromtimestamp(datetime.now(tz=timezone.utc).timestamp() - age, tz=timezone.utc)
    return {
        "Content-Type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(key).sign(name, moment, body.decode()),
    }


class Answer(NamedTuple):
    """What a receiver said."""

    status: int
    body: str
    headers: Mapping[str, str]


def posted(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """One POST as it is."""
    return requested(url, "POST", body, headers)


def requested(url: str, method: str, body: bytes | None = None, headers: Mapping[str, str] = {}) -> Answer:
    """One request as it is."""
    request = urllib.request.Request(url, body, dict(headers), method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return Answer(
                answer.status, answer.read().decode(), {name.lower(): value for name, value in answer.headers.items()}
            )
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode(), dict(error.headers))


class Serving:
    """A receiver, which a test may kill and start again on its port."""

    def __init__(self, folder: Path, config: Mapping[str, Any], port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"receiver-{self.port}.log"
        self._config = written(folder, f"receiver-{self.port}.json", dict(config))
        self._folder = folder
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        """Start it, until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [TAP, "webhooks", "serve", "--config", self._config, "--port", str(self.port)],
                cwd=self._folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(self.is_ready, what="a receiver that is ready")
        return self.process

    def is_ready(self) -> bool:
        """Whether it says so."""
        assert self.process.poll() is None, self.log.read_text()
        return self.looked("/ready").status == 200

    def looked(self, path: str) -> Answer:
        """A GET."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return Answer(
                    answer.status,
                    answer.read().decode(),
                    {name.lower(): value for name, value in answer.headers.items()},
                )
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, "", {})
        except OSError:
            return Answer(0, "", {})

    def post(self, content: Mapping[str, Any] | bytes, name: str | None = None, path: str = "/billing") -> Answer:
        """An authentic notification."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return posted(self.url + path, body, signed(body, name))

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it by SIGTERM; its exit status."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def receiving(folder: Path, config: Mapping[str, Any]) -> Iterator[Serving]:
    """A receiver while the block runs."""
    serving = Serving(folder, config)
    try:
        yield serving
    finally:
        serving.kill()
