"""A stream's whole run over an API that is a function: from requests' parameters to pages, as the client makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from tap_restextract.errors import AnswerError, WalkError
from tap_restextract.exchange.answer import Answer, facts_of
from tap_restextract.exchange.paginators import paged
from tap_restextract.exchange.request import request_for
from tap_restextract.http.pages import page_of
from tap_restextract.plan.bookmarks.state import from_state, to_state
from tap_restextract.walks.probing import probed
from tap_restextract.walks.steps import Page, PageRequest
from tap_restextract.walks.table import stream_walk_for
from tests.support.streams import plan

NOW = 1_767_300_000  # 2026-01-01T20:40:00Z
Params = Mapping[str, str]
Says = Callable[[Params], "dict[str, Any] | int"]
"""What an API answers to a request's parameters: a body, or the status of an error."""


@dataclass
class Ran:
    """What a run asked, wrote and told."""

    asked: list[dict[str, str]] = field(default_factory=list)
    ids: list[Any] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    error: str = ""


def run(
    keys: Mapping[str, Any],
    api: Says,
    state: Mapping[str, Any] | None = None,
    *,
    clock: Callable[[], float] = lambda: NOW,
) -> Ran:
    """Run a stream over an API, from the request's parameters to the pages, as the client does."""
    made = plan(records="data", **keys)
    bookmark = from_state(made, dict(state or {}))
    driven = probed(stream_walk_for(made, bookmark, now="2026-01-01T20:40:00Z"), made, bookmark)
    ran = Ran(state=dict(state or {}))

    def fetch(request: PageRequest) -> Page:
        sent = paged(
            made.stream.paginator, request_for(made.stream, request.cursor, request.until, request.scope), request.at
        )
        params = {name: str(value) for name, value in sent.params}
        ran.asked.append(params)
        assert len(ran.asked) < 120, "the run has no end"
        said = api(params)
        if isinstance(said, int):
            if request.probe:
                return Page([])
            raise AnswerError(f"answered {said}", said)
        headers = {"date": formatdate(said.pop("Date", None) or clock(), usegmt=True)}
        return page_of(made.stream, request, Answer(sent.url, facts_of(200, headers), said))

    try:
        while (sub_walk := driven.next()) is not None:
            step = next(sub_walk.steps)
            while True:
                translated = driven.translate(sub_walk, step)
                ran.ids += [record["id"] for record in step.records]
                ran.told += [notice for notice in step.notices if notice not in ran.told]
                if translated.bookmark is not None:
                    ran.state = to_state(made, translated.bookmark)
                if step.request is None:
                    break
                step = sub_walk.steps.send(fetch(step.request))
    except (WalkError, AnswerError) as error:
        ran.error = str(error)
    return ran
