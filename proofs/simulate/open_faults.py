"""Faults of the walks that the simulator found and nobody fixed yet: campaigns count them apart. There are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from proofs.simulate.quirks import Quirks
from proofs.simulate.schedule import Size


@dataclass(frozen=True)
class OpenFault:
    """A fault by what it needs, what it shows, and a schedule that shows it."""

    name: str
    needs: Callable[[Quirks], bool]
    kinds: frozenset[str]
    quirks: str
    seed: int
    size: Size = field(default_factory=Size)


OPEN_FAULTS: Final[tuple[OpenFault, ...]] = ()


def is_open(quirks: Quirks, kinds: list[str]) -> bool:
    """Whether these findings are those of an open fault."""
    return bool(kinds) and any(fault.needs(quirks) and fault.kinds.issuperset(kinds) for fault in OPEN_FAULTS)
