"""The publishers of a configuration: whether they can be opened, and how."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from target_eventgen import publishers
from target_eventgen.model import routes
from target_eventgen.model.routes import Route
from target_eventgen.model.settings import Settings
from target_eventgen.publishers.protocol import Publisher


class ConfiguredPublisher(Struct, frozen=True):
    """A publisher to deliver to: its route, and a function that opens it."""

    route: Route
    open: Callable[[], Publisher]


def faults(settings: Settings, environment: Mapping[str, str]) -> list[str]:
    """Return every fault in the publishers' own settings."""
    messages: list[str] = []
    for route in settings.routes:
        given, missing = routes.with_secrets(route, environment, settings.publisher_secrets)
        messages += missing or publishers.faults(route.name, route.kind, given)
    return messages


def configured_publishers(settings: Settings, environment: Mapping[str, str]) -> list[ConfiguredPublisher]:
    """Return the publishers of a configuration, none of them open yet."""
    configured: list[ConfiguredPublisher] = []
    for route in settings.routes:
        given, _ = routes.with_secrets(route, environment, settings.publisher_secrets)
        addressed = replace(route, address=publishers.fingerprints(route.name, route.kind, given))
        configured.append(
            ConfiguredPublisher(addressed, functools.partial(publishers.open_publisher, route.name, route.kind, given))
        )
    return configured
