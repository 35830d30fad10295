"""Pages: what an answer is to a walk."""

from __future__ import annotations

from tap_restextract.config.streams import StreamSettings
from tap_restextract.errors import AnswerError
from tap_restextract.exchange.answer import Answer, outline
from tap_restextract.exchange.paginators import following, total_of
from tap_restextract.exchange.validators import validator_of
from tap_restextract.values.paths import Missing, find_list
from tap_restextract.values.rows import Row
from tap_restextract.walks.steps import Page, PageRequest


def page_of(stream: StreamSettings, request: PageRequest, answer: Answer) -> Page:
    """Read the page that an answer is.

    Raises:
        AnswerError: where its records, or what its paginator needs, don't lie where the configuration says.
    """
    records = [] if answer.status == 204 else find_list(stream.records, answer.body)
    if isinstance(records, Missing):
        raise AnswerError(
            f"there is no list of records at {stream.records!r} in the answer ({outline(answer.body)}); set `records` to the path where they lie"
        )
    if not all(issubclass(kind, (dict, Row)) for kind in set(map(type, records))):
        raise AnswerError(f"a record at {stream.records!r} is not a JSON object; set `records` to the list of objects")
    continuation = following(stream.paginator, answer, request.at, len(records))
    validator = validator_of(stream, answer)
    total = total_of(stream.paginator, answer)
    return Page(records, continuation, answer.facts.server_time, total, validator)
