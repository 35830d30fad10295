"""Spelling: which known name a person may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that is most like this one; None where none is like it.

    Args:
        name: as it was written.
        known: the names that there are.
        cutoff: from 0 to 1, how like it a name must be.
    """
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)), None)


def hint(name: str, known: Sequence[str]) -> str:
    """Return the end of a message about an unknown name: what was meant, or what is known."""
    near = nearest(name, known, cutoff=0.5)
    return f"; did you mean {near!r}?" if near else f"; known are {', '.join(sorted(known)) or 'none'}"
