"""Where in a broker an event goes: a name that may hold the event's type."""

from __future__ import annotations

import re

from target_eventgen.cloudevent import CloudEvent

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def check(setting: str, template: str) -> None:
    """Refuse a name that no event could have.

    Raises:
        ValueError: it is empty, or holds something in braces other than `{type}`.
    """
    if not template.strip():
        raise ValueError(f"{setting} is empty")
    unknown = [found for found in _PLACEHOLDER.findall(template) if found != "type"]
    if unknown or _PLACEHOLDER.sub("", template).strip("{}") != _PLACEHOLDER.sub("", template):
        raise ValueError(f"{setting} may hold {{type}}, the event's type, and nothing else in braces")


def destination(template: str, event: CloudEvent) -> str:
    """Return the name with the event's type in it."""
    return template.replace("{type}", event.type)
