"""Every error of target-eventgen, by who must act.

EventgenError
└── EmbeddedPostgresError   the machine's owner: the Postgres in the project's folder can't run
"""

from __future__ import annotations


class EventgenError(Exception):
    """Something that a person must act on; its text is the whole message."""


class EmbeddedPostgresError(EventgenError):
    """The Postgres in the project's folder can't be made, started or stopped."""
