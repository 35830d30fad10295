"""Warnings about a stream's records: each is told once, with what was done to them."""

from __future__ import annotations

import logging
from collections.abc import Set as AbstractSet

from msgspec import Struct, field


class RecordWarnings(Struct):
    """What was told of one stream.

    Attributes:
        stream: its name.
        logger: to which it is told.
        told: what was, by the property that it is about; "" for a warning that is about none.
    """

    stream: str
    logger: logging.Logger
    told: set[tuple[str, str]] = field(default_factory=set)

    def unordered(self, name: str | None, wanted: str) -> None:
        """Tell that versions can't be ordered.

        Args:
            name: the replication key.
            wanted: what its values are not.
        """
        if self._is_new("unordered"):
            self.logger.warning(
                'stream "%s": its replication key "%s" has values that are not %s: nothing says which of two is older, so '
                "records are taken in the order of their arrival; say with version_order what they are (number, text, or "
                "arrival), or have the tap declare it",
                self.stream,
                name,
                wanted,
            )

    def replaced_nul(self, names: AbstractSet[str]) -> None:
        """Tell in which properties NUL was replaced."""
        if new := [name for name in sorted(names) if self._is_new("nul", name)]:
            self.logger.warning(
                'stream "%s": NUL characters, which Postgres can not store, are replaced by U+FFFD in %s',
                self.stream,
                ", ".join(f'"{name}"' for name in new),
            )

    def surplus(self, names: AbstractSet[str]) -> None:
        """Tell of properties that the SCHEMA lacks."""
        for name in sorted(name for name in names if not name.startswith("_sdc_")):
            if self._is_new("surplus", name):
                self.logger.warning(
                    'stream "%s": records have a property "%s" that its SCHEMA lacks', self.stream, name
                )

    def bare_deletion(self, why: Exception) -> None:
        """Tell that a deletion's content isn't stored."""
        if self._is_new("deletion"):
            self.logger.warning("%s; it is a deletion, which is done: its row keeps the content that it had", why)

    def _is_new(self, kind: str, name: str = "") -> bool:
        is_new = (kind, name) not in self.told
        self.told.add((kind, name))
        return is_new
