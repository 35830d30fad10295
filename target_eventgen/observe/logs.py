"""The relay's log: as lines for people, or as a JSON object a line for programs."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Final

from target_eventgen.delivery.decisions import Again, Dead, Done, Verdict
from target_eventgen.delivery.observer import Observer

FIELDS: Final = ("publisher", "delivered", "retried", "dead")
"""Fields that a message may carry beside its text; JSON has them as members of their own."""

logger = logging.getLogger("target-eventgen")


class JsonFormatter(logging.Formatter):
    """Writes `time` (RFC 3339, UTC), `level`, `logger`, `message`, the fields of `FIELDS`, and `error`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line without its end."""
        entry = {
            "time": datetime.fromtimestamp(record.created, tz=timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def configure(style: str, *, verbose: bool) -> None:
    """Have this process log to standard error.

    Args:
        style: text or json.
        verbose: whether each turn is logged, too.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter() if style == "json" else logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    )
    logging.basicConfig(handlers=[handler], level=logging.DEBUG if verbose else logging.INFO)


class LogObserver(Observer):
    """Logs verdicts, turn by turn: failures at INFO, mere deliveries at DEBUG."""

    def settled(self, publisher: str, verdicts: Sequence[Verdict]) -> None:
        """Take note of verdicts that are marked and committed."""
        kinds = {"delivered": Done, "retried": Again, "dead": Dead}
        numbers = {name: sum(isinstance(each, kind) for each in verdicts) for name, kind in kinds.items()}
        if not verdicts:
            return
        failed = numbers["retried"] + numbers["dead"]
        logger.log(
            logging.INFO if failed else logging.DEBUG,
            'the publisher "%s": %d events delivered, %d to be tried again, %d dead letters',
            publisher,
            *numbers.values(),
            extra={"publisher": publisher, **numbers},
        )
