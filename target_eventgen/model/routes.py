"""Which events go to which publisher, and how long each is tried: the setting `publishers`, read.

A pattern of types or streams is a text in which `*` stands for any characters. Postgres applies it, as a LIKE pattern,
where an event is recorded.

A secret is not written into the list: instead of it stands `{env: NAME}`, a variable of the environment, or
`{secret: NAME}`, an entry of the setting `publisher_secrets`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from target_eventgen.model.spelling import nearest

MAX_ATTEMPTS: Final = 10
WORKERS: Final = 2
"""Threads of a publisher in one relay: while one waits for the receiver, the other works with Postgres."""

MAX_WORKERS: Final = 32

ANY: Final = ("%",)
"""The pattern that every name fits."""

MAX_DELAY_SECONDS: Final = 30 * 86400.0
"""Seconds between two attempts of a schedule, at most."""

SCHEDULES: Final = {
    "standard_webhooks": (5.0, 300.0, 1800.0, *(hours * 3600.0 for hours in (2, 5, 10, 14, 20, 24))),
}
"""Seconds between attempts, by the name of the schedule: ten attempts over 76 hours, as Standard Webhooks has them.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#deliverability-and-reliability
"""

_COMMON: Final = (
    *(
        "name",
        "type",
        "events",
        "streams",
        "sources",
        "start",
        "max_attempts",
        "schedule",
        "rate_limit",
        "after_dead_letter",
    ),
    "workers",
)
"""The keys of every publisher; all others are its type's own."""

_CHOICES: Final = {"start": ("beginning", "now"), "after_dead_letter": ("wait", "pass")}
_SOURCES: Final = ("env", "secret")
"""The keys of an object that stands for a secret: where the secret is read from."""

_TEMPLATE: Final = "payload"
"""The setting whose texts are templates, in which braces are doubled that mean themselves."""


class Route(Struct, frozen=True):
    """A publisher, what goes to it, and how.

    Attributes:
        name: by which it is known in the database; another name is another publisher, with a progress of its own.
        kind: its type.
        types: LIKE patterns of event types; None: all.
        streams: LIKE patterns of streams; None: all.
        given: its own settings, with references to secrets instead of them.
        sources: LIKE patterns of sources; None: the pipeline's own, or what the database knows of it.
        address: fingerprints of where its events go, without secrets; none: nobody asks.
        from_beginning: whether events that were recorded before it was first seen go to it.
        max_attempts: after how many failures an event becomes a dead letter.
        delays: seconds between attempts; None: doubling, from one second to five minutes.
        rate_limit: events a second that one relay gives to it, at most; None: any number.
        waits: whether a dead letter's key waits until it is retried or dropped; else its later events pass it.
        workers: how many threads of one relay deliver to it.
    """

    name: str
    kind: str
    types: tuple[str, ...] | None
    streams: tuple[str, ...] | None
    given: Mapping[str, Any]
    sources: tuple[str, ...] | None = None
    address: tuple[str, ...] = ()
    from_beginning: bool = True
    max_attempts: int = MAX_ATTEMPTS
    delays: tuple[float, ...] | None = None
    rate_limit: float | None = None
    waits: bool = True
    workers: int = WORKERS


def parse(entries: list[Any]) -> tuple[tuple[Route, ...], list[str]]:
    """Return the routes of the setting `publishers`, and every fault found in it."""
    routes: list[Route] = []
    messages: list[str] = []
    for index, entry in enumerate(entries):
        location = f"publishers[{index}]"
        if not isinstance(entry, Mapping):
            messages.append(f"{location} must be an object like {{type: file, path: events.jsonl}}")
        elif faults := _faults(entry, location):
            messages.extend(faults)
        else:
            routes.append(_route(entry))
    names = [route.name for route in routes]
    messages.extend(
        f'two publishers have the name "{name}": give each a name of its own'
        for name in sorted({name for name in names if names.count(name) > 1})
    )
    return tuple(routes), messages


def _route(entry: Mapping[str, Any]) -> Route:
    delays = _delays(entry.get("schedule"))
    return Route(
        name=entry.get("name") or entry["type"],
        kind=entry["type"],
        types=patterns(entry.get("events")),
        streams=patterns(entry.get("streams")),
        sources=None if entry.get("sources") is None else patterns(entry["sources"]) or ANY,
        given={key: value for key, value in entry.items() if key not in _COMMON},
        from_beginning=entry.get("start", "beginning") == "beginning",
        max_attempts=entry.get("max_attempts", MAX_ATTEMPTS) if delays is None else len(delays) + 1,
        delays=delays,
        rate_limit=entry.get("rate_limit"),
        waits=entry.get("after_dead_letter", "wait") == "wait",
        workers=entry.get("workers", WORKERS),
    )


def _faults(entry: Mapping[str, Any], location: str) -> list[str]:
    messages = []
    if not isinstance(entry.get("type"), str) or not entry["type"]:
        messages.append(f"{location}.type must be the type of a publisher, such as file or webhook")
    if not isinstance(entry.get("name", "a"), str) or not entry.get("name", "a").strip():
        messages.append(f"{location}.name must be a text that is not empty")
    for key in ("events", "streams", "sources"):
        value = entry.get(key)
        if value is not None and not (
            isinstance(value, list) and value and all(isinstance(each, str) and each for each in value)
        ):
            messages.append(f"{location}.{key} must be a list of names, in which * stands for any characters")
    for key, choices in _CHOICES.items():
        if entry.get(key, choices[0]) not in choices:
            messages.append(f"{location}.{key} must be {' or '.join(choices)}")
    if entry.get("schedule") is not None and not _delays(entry["schedule"]):
        named = " or ".join(SCHEDULES)
        messages.append(
            f"{location}.schedule must be {named}, or a list of the seconds between attempts, each more than 0 and at most "
            f"{MAX_DELAY_SECONDS:.0f}"
        )
    if entry.get("schedule") is not None and "max_attempts" in entry:
        messages.append(
            f"{location}: schedule and max_attempts are both given; a schedule of n delays is n + 1 attempts, so leave one out"
        )
    rate = entry.get("rate_limit")
    if rate is not None and not (_is_number(rate) and rate > 0):
        messages.append(f"{location}.rate_limit must be a number greater than 0: events a second")
    for key, maximum in (("max_attempts", None), ("workers", MAX_WORKERS)):
        value = entry.get(key, 1)
        if type(value) is not int or value < 1 or (maximum is not None and value > maximum):
            messages.append(f"{location}.{key} must be a number from 1{'' if maximum is None else f' to {maximum}'}")
    return messages


def _delays(schedule: Any) -> tuple[float, ...] | None:
    """Return the seconds between attempts; None where there is no schedule, or one that is not valid."""
    if isinstance(schedule, str):
        return SCHEDULES.get(schedule)
    if not isinstance(schedule, list) or not schedule:
        return None
    right = all(_is_number(each) and 0 < each <= MAX_DELAY_SECONDS for each in schedule)
    return tuple(float(each) for each in schedule) if right else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def patterns(names: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return LIKE patterns, None where every name fits."""
    if names is None or "*" in names:
        return None
    return tuple(literal(name).replace("*", "%") for name in names)


def literal(name: str) -> str:
    """Return the LIKE pattern that one name alone fits."""
    return name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def with_secrets(
    route: Route, environment: Mapping[str, str], secrets: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return a publisher's own settings with its secrets resolved, and every fault found.

    Args:
        route: whose settings they are.
        environment: variables of the environment.
        secrets: the setting `publisher_secrets`.
    """
    messages: list[str] = []
    sources: dict[str, Mapping[str, Any]] = {"env": environment, "secret": secrets}

    def put(value: Any, *, template: bool) -> Any:
        if isinstance(value, list):
            return [put(each, template=template) for each in value]
        if not isinstance(value, Mapping):
            return value
        if len(value) != 1 or (source := next(iter(value))) not in _SOURCES:
            return {key: put(each, template=template) for key, each in value.items()}
        name = value[source]
        if isinstance(name, str) and isinstance(found := sources[source].get(name), str):
            return found.replace("{", "{{").replace("}", "}}") if template else found
        where = "the environment has no variable" if source == "env" else "publisher_secrets has no entry"
        known = () if source == "env" else secrets
        messages.append(f'the publisher "{route.name}": {where} "{name}"{nearest(str(name), known)}')
        return ""

    return {key: put(value, template=key == _TEMPLATE) for key, value in route.given.items()}, messages
