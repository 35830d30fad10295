"""The interface between the relay and a publisher, behind which every receiver is alike.

A publisher is a module that defines two names, registered under its type (`target_eventgen.publishers`):

- `Settings`, a frozen `msgspec.Struct` with `forbid_unknown_fields`: its own settings. A field that is a secret has the
  type `Secret`. A contradiction between fields is a ValueError of `__post_init__`.
- `open_publisher(name, settings) -> Publisher`, where `name` is the publisher's in the configuration, for messages. It
  imports its client library then, not before, and may leave connecting to the first `publish`.

It may define a third: `places(settings)`, texts that say where the events go, without secrets. The database remembers
fingerprints of them; a publisher of the same name that has none of them in common with it is refused.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Literal, Protocol, TypeAlias

from msgspec import Struct

from target_eventgen.errors import SettingsError
from target_eventgen.publishers.cloudevent import CloudEvent


class Delivered(Struct, frozen=True):
    """The receiver acknowledged the event: durably, as far as it can say."""


Cause: TypeAlias = Literal["event", "away", "busy", "gone", "unsent"]
"""What a failure is about.

- event: the event, as far as the publisher can say; it counts as an attempt.
- away: the receiver, which doesn't answer, or which something in front of it answers for (a load balancer's 503). It
  counts as an attempt only while other events get through.
- busy: the receiver, which wants no requests for now, of whatever event. It is no attempt, and the publisher pauses.
- gone: the receiver, which wants no more events at all (410). It is no attempt, and the publisher is switched off.
- unsent: nothing; the event was not sent. It is no attempt.
"""


class Failed(Struct, frozen=True):
    """The receiver did not take the event.

    Attributes:
        reason: why, in words that hold no secret and no value of a record.
        permanent: whether another attempt would end the same way.
        retry_after: seconds before which the receiver wants no other attempt; of one that is busy: no request at all.
        cause: what the failure is about; one for good is about the event.
    """

    reason: str
    permanent: bool = False
    retry_after: float | None = None
    cause: Cause = "event"


Outcome: TypeAlias = Delivered | Failed


class Publisher(Protocol):
    """A receiver of events. One thread at a time uses it.

    Attributes:
        ordered: whether, of one key's events given in one call, the receiver takes none after an earlier one that
            failed. Where it is False, no call has two events of one key.
        most: events in one call, at most.
    """

    @property
    def ordered(self) -> bool:
        """Whether a key's events may be given in one call."""

    @property
    def most(self) -> int:
        """How many events a call may have."""

    def publish(self, events: Sequence[CloudEvent]) -> Sequence[Outcome]:
        """Give events to the receiver, and return each one's outcome, in their order.

        It blocks until each is acknowledged or failed, within a time that the publisher bounds. After an error it may
        be called again: it reconnects then.

        Raises:
            UnreachableError: the receiver can't be reached, or its answer was lost. Nothing is known of any event of
                this call; they come again, with the same ids.
        """

    def close(self) -> None:
        """Let the receiver go. Raises nothing."""


class PublisherModule(Protocol):
    """What a module must define to be a publisher."""

    Settings: type[Any]

    def open_publisher(self, name: str, settings: Any) -> Publisher:
        """Return a publisher of these settings."""


class Secret:
    """A text that no message, log or representation shows.

    No dataclass, which msgspec would take for an object of JSON.
    """

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__


def library(publisher: str, module: str, extra: str) -> ModuleType:
    """Import a publisher's client library.

    Args:
        publisher: the publisher's name in the configuration.
        module: such as `confluent_kafka`.
        extra: the extra of this distribution that installs it.

    Raises:
        SettingsError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        fault = f'the publisher "{publisher}" needs the Python module {module}, which is not installed'
        raise SettingsError([f"{fault}: pip install 'tap-restextract[{extra}]'"]) from error
