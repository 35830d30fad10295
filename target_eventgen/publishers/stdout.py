"""Events as lines of JSON on standard output, for pipes and for the eye."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import msgspec

from target_eventgen.errors import OutputError
from target_eventgen.publishers.cloudevent import CloudEvent, json_line
from target_eventgen.publishers.protocol import Delivered, Outcome


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """There are none."""


def places(settings: Settings) -> list[str]:  # noqa: ARG001  every publisher's settings are given so
    """Return that it is always the same place."""
    return ["stdout"]


def open_publisher(name: str, settings: Settings) -> StdoutPublisher:  # noqa: ARG001  every publisher is opened so
    """Return a publisher."""
    return StdoutPublisher(name)


class StdoutPublisher:
    """Writes to standard output; what the reader's end has taken counts as delivered."""

    ordered = True
    most = 500

    def __init__(self, name: str) -> None:
        self._name = name

    def publish(self, events: Sequence[CloudEvent]) -> Sequence[Outcome]:
        """Write all events.

        Raises:
            OutputError: the reader is gone, so nothing can be delivered any more.
        """
        try:
            sys.stdout.buffer.write(b"".join(map(json_line, events)))
            sys.stdout.buffer.flush()
        except OSError as error:
            # The interpreter would try to flush once more when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise OutputError(
                f'the publisher "{self._name}": standard output can\'t be written ({error.strerror}); '
                "what wasn't taken stays in the outbox"
            ) from error
        return [Delivered()] * len(events)

    def close(self) -> None:
        """Close nothing."""
