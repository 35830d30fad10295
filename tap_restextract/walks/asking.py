"""Questions about a fact: what is asked until an answer says something, or whole, over a few pages."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Final

from msgspec.structs import replace

from tap_restextract.walks.steps import Page, PageRequest, Step

MAX_EMPTY_PAGES_FOLLOWED: Final = 3
"""Of one question."""
MAX_PAGES_FOLLOWED: Final = 3
"""Of one answer."""
Lacks = Callable[[Page], bool]
Ask = Callable[[PageRequest], Generator[Step, Page, Page]]


def answered(request: PageRequest) -> Generator[Step, Page, Page]:
    """Ask; behind empty pages with tokens, which say nothing, return the first page that says something."""
    page = yield Step(request=request)
    for _ in range(MAX_EMPTY_PAGES_FOLLOWED):
        if page.records or page.following is None:
            break
        page = yield Step(request=replace(request, at=page.following))
    return page


def whole_answer(request: PageRequest, until: Lacks = lambda _: False) -> Generator[Step, Page, Page]:
    """Ask for all pages, `until` says of one that it tells enough; return them as one, behind which more may follow."""
    page = yield Step(request=request)
    records = [*page.records]
    for _ in range(MAX_PAGES_FOLLOWED):
        if page.following is None or (page.records and until(page)):
            break
        page = yield Step(request=replace(request, at=page.following))
        records += page.records
    return replace(page, records=records)
