"""Walks of whole lists, whatever their order."""

from __future__ import annotations

from tap_restextract.plan import Plan
from tap_restextract.progress import Seen
from tap_restextract.steps import Ask, Step, Steps


def traversal(plan: Plan) -> Steps:
    """The whole list, page by page; there is no bookmark."""
    seen = Seen(plan)
    page = yield Step(ask=Ask())
    while page.following is not None:
        page = yield Step(page.records, None, Ask(None, seen.new(page.following)))
    yield Step(page.records)
