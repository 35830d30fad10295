"""Every error of target-eventgen, by who must act.

EventgenError
├── SettingsError            the configuration's author: settings that are unknown, missing or contradict each other
├── RuleError                the configuration's author: an event rule that the stream or Postgres can't follow
├── MessageError             the tap's owner: lines that are not Singer's
│   ├── MissingSchemaError   a RECORD before its SCHEMA
│   ├── InvalidSchemaError   a SCHEMA that no table can be made from
│   ├── InvalidRecordError   a record that its own SCHEMA doesn't allow
│   └── MissingKeyError      a record without its key
├── DatabaseError            the database's owner
│   ├── ConnectionLostError  the database is down, or went away
│   ├── TableError           a table that can't take the stream
│   └── ValueRefusedError    a value that doesn't fit its column
├── EventsHeldError          whoever knows the source: a run fired more than its guard allows; exit status 3
├── DeliveryError            the receiver's owner: events that a publisher could not deliver
│   └── UnreachableError     the receiver can't be reached, or its answer was lost
├── OutputError              the reader of STATE is gone
└── EmbeddedPostgresError    the machine's owner: the Postgres in the project's folder can't run

Out of a target some of them come as errors of the SDK too (see `sdk_errors`), which this module must not import:
commands beside the target would pay for it with a quarter of a second.
"""

from __future__ import annotations


class EventgenError(Exception):
    """Something that a person must act on; its text is the whole message."""

    exit_status = 1


class SettingsError(EventgenError):
    """All faults of a configuration at once."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("The configuration of target-eventgen is not usable: " + "; ".join(faults))
        self.errors = faults


class RuleError(EventgenError):
    """An event rule that its stream or Postgres can't follow."""


class MessageError(EventgenError):
    """A line of the input that is not a Singer message."""


class MissingSchemaError(MessageError):
    """A message about a stream whose SCHEMA has not come."""


class InvalidSchemaError(MessageError):
    """A SCHEMA that no table can be made from."""


class InvalidRecordError(MessageError):
    """A record that its SCHEMA doesn't allow."""


class MissingKeyError(MessageError):
    """A record without one of its key properties."""


class DatabaseError(EventgenError):
    """Postgres refused something."""


class ConnectionLostError(DatabaseError):
    """Postgres can't be reached, or the connection broke."""


class TableError(DatabaseError):
    """A table that can't take its stream."""


class ValueRefusedError(DatabaseError):
    """A value that its column can't hold."""


class EventsHeldError(EventgenError):
    """A run whose events are held in part. All else of it went well: rows are committed, and STATE has left."""

    exit_status = 3


class DeliveryError(EventgenError):
    """Events that a publisher could not deliver; they stay in the outbox."""


class UnreachableError(DeliveryError):
    """A receiver that can't be reached, or whose answer was lost: nothing is known of what it was given."""


class OutputError(EventgenError):
    """STATE could not be written: its reader is gone."""


class EmbeddedPostgresError(EventgenError):
    """The Postgres in the project's folder can't be made, started or stopped."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its class where the text is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
