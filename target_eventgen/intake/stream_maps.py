"""Records through singer-sdk's stream maps."""

from __future__ import annotations

from typing import Any

from singer_sdk.mapper import CustomStreamMap, StreamMap

from target_eventgen.errors import MessageError
from target_eventgen.intake import validation


def transformed(stream_map: StreamMap, record: dict[str, Any]) -> dict[str, Any] | None:
    """Return a record as a stream map transforms it; None where the map filters it out.

    The expressions of a map compute with Python's floats, as they do everywhere else.
    """
    values = validation.plain(record) if isinstance(stream_map, CustomStreamMap) else dict(record)
    try:
        return stream_map.transform(values)
    except Exception as error:  # a map's expression may raise anything
        raise MessageError(
            f'stream "{stream_map.stream_alias}": its stream map fails on a record ({type(error).__name__}); '
            "correct the expressions in stream_maps"
        ) from error
