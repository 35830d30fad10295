"""Where in a broker an event goes: a name that may hold the event's type."""

from __future__ import annotations

from target_eventgen.publishers.cloudevent import CloudEvent


def check(setting: str, template: str) -> None:
    """Refuse a name that no event could have.

    Raises:
        ValueError: it is empty, or holds something in braces other than `{type}`.
    """
    if not template.strip():
        raise ValueError(f"{setting} is empty")
    if set("{}") & set(template.replace("{type}", "")):
        raise ValueError(f"{setting} may hold {{type}}, the event's type, and nothing else in braces")


def destination(template: str, event: CloudEvent) -> str:
    """Return the name with the event's type in it."""
    return template.replace("{type}", event.type)
