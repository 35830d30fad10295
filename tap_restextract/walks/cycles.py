"""Cycles: pages that lead back to a page that was read."""

from __future__ import annotations

from dataclasses import dataclass, field

from tap_restextract.errors import WalkError
from tap_restextract.exchange.paginators import Continuation
from tap_restextract.plan.plan import Plan, label_of


@dataclass(slots=True)
class CycleGuard:
    """Remembers every token and page address of a pass, so that a cycle of any length is found."""

    plan: Plan
    continuations: set[Continuation] = field(default_factory=set)

    def admit(self, continuation: Continuation) -> Continuation:
        """Return the continuation, the first time that it comes.

        Raises:
            WalkError: the second time.
        """
        if continuation in self.continuations:
            raise WalkError(
                f"{label_of(self.plan)}: the API gave the same {type(continuation).__name__.lower()} for the next page twice in one pass, after "
                f"{len(self.continuations)} others, so the pages go in a circle; check that the request sends it where the API "
                "expects it (cursor_param, cursor_body_path)"
            )
        self.continuations.add(continuation)
        return continuation
