"""Names and patterns of a configuration that no rule, or no stream, fits: they have no effect, and may be misspelt.

A name that can't have an effect whatever comes is a fault of the configuration (see `guard`). Those here are only
warned of: a stream may come in another run, and an event may be of the past, or of another pipeline.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from target_eventgen.model.settings import Settings
from target_eventgen.model.spelling import nearest


def by_rules(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each pattern of the guard and of the publishers that no rule fits.

    Without rules there are none. A publisher with `sources` may be there for the events of other pipelines alone.
    """
    types = {rule.type for rule in settings.rules}
    streams = {rule.stream for rule in settings.rules}
    if not settings.rules:
        return
    for pattern in _fitting_none(settings.guard.get("streams") or {}, streams):
        yield f'guard.streams."{pattern}" guards nothing: no rule watches such a stream{nearest(pattern, streams)}'
    for index, entry in enumerate(settings.publishers):
        name = settings.routes[index].name
        if entry.get("sources") is None:
            for pattern in _fitting_none(entry.get("events") or (), types):
                yield f'the publisher "{name}": no rule has a type that fits "{pattern}" (events){nearest(pattern, types)}'
            for pattern in _fitting_none(entry.get("streams") or (), streams):
                yield f'the publisher "{name}": no rule watches a stream that fits "{pattern}" (streams){nearest(pattern, streams)}'


def by_streams(settings: Settings, streams: Collection[str]) -> Iterator[str]:
    """Yield a sentence for each stream that rules or settings name, and that didn't come in a run.

    Args:
        settings: of the target.
        streams: those that came, after stream maps.
    """
    for stream in sorted({rule.stream for rule in settings.rules} - set(streams)):
        yield f'no stream "{stream}" came, so its event rules were not used{nearest(stream, streams)}'
    for setting, choices in (("version_order", settings.version_order), ("stale", settings.stale)):
        for pattern in _fitting_none(choices, streams):
            fits = "that fits " if "*" in pattern else ""
            yield f'no stream {fits}"{pattern}" came, so {setting} was not used for it{nearest(pattern, streams)}'


def _fitting_none(patterns: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return the patterns that none of the names fits."""
    known = list(names)
    return [pattern for pattern in patterns if not any(map(_form(pattern).fullmatch, known))]


def _form(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
