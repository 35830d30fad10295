"""What can go wrong, split by who must act.

    TapError
    ├── ConfigurationError    the configuration's author: a fact is missing, contradictory or unknown
    ├── StateError            whoever keeps the STATE: it can't be read, or belongs to another configuration
    ├── CacheError            the hash cache's owner: it can't be reached, or refuses
    ├── QueueError            the owner of the queue of webhooks: it can't be reached, or refuses
    ├── ApiError              the API's owner (or whoever holds its credentials)
    │   ├── AnswerError       an answer that isn't what the configuration says: status, HTML, no records
    │   ├── NoAnswerError     no whole answer at all, after every retry
    │   └── QuotaError        its quota is empty for longer than `max_wait`: run again later
    └── WalkError             a stream can't be walked safely: its STATE stays where it was

Every message names the stream, the location, the cause and the remedy, in this order. No record value but a replication
key's tied value, and no secret, is in any of them.
"""

from __future__ import annotations


class TapError(Exception):
    """The root: what a person can fix. Its text is the whole message."""


class ConfigurationError(TapError):
    """All faults of a configuration at once, a line each."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


class StateError(TapError):
    """The STATE that came as input can't be used; nothing was extracted."""


class ApiError(TapError):
    """The API refused, or did not answer as configured."""


class AnswerError(ApiError):
    """An answer arrived that isn't what the configuration says.

    `status` is its HTTP status where that is the fault, and `rule` the index of the response rule that refused it.
    """

    def __init__(self, message: str, status: int | None = None, rule: int | None = None) -> None:
        self.status = status
        self.rule = rule
        super().__init__(message)


class NoAnswerError(ApiError):
    """No whole answer arrived, after every retry."""


class QuotaError(ApiError):
    """The API asks for a longer wait than a run may take; STATE is where the last page was written.

    `exit_code` is the process's: `quota_exit_code` of the configuration. It isn't 0 by itself, since the streams are
    not read to their ends; it differs from other errors' so that a scheduler can tell "later" from "broken".
    """

    def __init__(self, message: str, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(message)


class CacheError(TapError):
    """The hash cache failed while a run was using it; STATE is where the last page was written."""


class QueueError(TapError):
    """The queue of webhooks failed: nothing was acknowledged, and STATE is where the last batch was written."""


class WalkError(TapError):
    """Going on would skip or repeat records for ever; STATE stays where it was (promise T4)."""
