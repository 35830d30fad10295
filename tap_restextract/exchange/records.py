"""The records of an answer: where they lie, and what stands for none of them.

An empty list is a list. Null in its place may be one too, as servers in Go write it, and may be the trace of a failure,
as GraphQL leaves it; an answer without the key likewise. So null counts as an empty list only where nothing rests on
it, or where `empty` says so, and never beside an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from tap_restextract.config.streams import StreamSettings
from tap_restextract.errors import AnswerError
from tap_restextract.exchange.answer import Answer, outline, shown
from tap_restextract.exchange.error_texts import SUCCESS_KEYS, error_key
from tap_restextract.values.own_forms import instant_of
from tap_restextract.values.paths import MISSING, Missing, find, list_length, list_or_null, steps
from tap_restextract.values.rows import Row

NO_CONTENT: Final = 204


class Records(NamedTuple):
    """The records of one answer.

    Attributes:
        records: as they came, without nulls.
        length: what the API counts as records of the page.
        is_null: null stands where the list should be, and no fact says what it means.
    """

    records: list[Any]
    length: int
    is_null: bool = False


def records_of(stream: StreamSettings, answer: Answer) -> Records:
    """Return the records of an answer.

    Raises:
        AnswerError: where they don't lie where the configuration says, or the answer says that it failed.
    """
    if answer.status == NO_CONTENT:
        return Records([], 0)
    found = list_or_null(stream.records, answer.body)
    if isinstance(found, list):
        objects = _objects(stream, answer, found)
        forms = stream.incremental is not None and stream.incremental.cursor_formats
        return objects._replace(records=_with_instants(stream, objects.records)) if forms else objects
    kind = "null" if found is None else "missing"
    if (key := error_key(answer.body)) is not None:
        raise _failure(stream, answer, kind, key)
    if isinstance(found, Missing) and kind not in stream.empty:
        raise AnswerError(
            f"there is no list of records at {stream.records!r} in the answer ({outline(answer.body)}); set `records` to the "
            f"path where they lie{_or_missing(stream, answer.body)}"
        )
    return Records([], 0, is_null=kind not in stream.empty)


def missing_key_text(stream: StreamSettings, key: str, records: Sequence[Mapping[str, Any]]) -> str:
    """Say of a page's records without a property of the primary key where that may lie, and what to write instead.

    Returns:
        The remedy; "" where nothing shows one.
    """
    record = next(record for record in records if record.get(key) is None)
    lists = [name for name, value in record.items() if isinstance(value, list)]
    if stream.records == "$" and len(records) == 1 and lists:
        return (
            f"where the answer, {outline(dict(record))}, isn't a record itself, set `records` to the path of the list in it, such as "
            f"records: {lists[0]}"
        )
    if "." in key and find(key, record) not in (MISSING, None):
        return (
            f"{key} lies within another property, and a primary key is read at the top of a record alone; declare properties that lie "
            "there, or no primary_key"
        )
    if stream.records.endswith(".*"):
        return (
            f"where {stream.records!r} leads into a map of records, its keys are no properties of them; declare properties of the records "
            "themselves, or no primary_key"
        )
    return ""


def null_list_text(stream: StreamSettings) -> str:
    """Say of null in place of the list what it would mean, and what to declare."""
    return (
        f"null stands at {stream.records!r}, where the list of records should be; taken for an empty list it would tell deletions, or let "
        "the bookmark pass over what wasn't seen. Where the API writes an empty list so, declare empty: null; where it fails so, "
        "response_rules with what tells such an answer (action: FAIL, or RETRY)"
    )


def failed_list_text() -> str:
    """Say of an empty list beside an error what it would mean, and what to declare."""
    return (
        "an empty list stands beside an error in the answer; taken for all that there is, it would tell deletions, or let the bookmark pass "
        "over what wasn't seen. Declare what such an answer means: response_rules with what tells it (action: FAIL, or RETRY); or "
        "ignored_marks with the error's key, where it says nothing of the list"
    )


def _objects(stream: StreamSettings, answer: Answer, found: list[Any]) -> Records:
    kinds = set(map(type, found))
    if all(issubclass(kind, (dict, Row)) for kind in kinds):
        return Records(found, list_length(stream.records, answer.body, len(found)))
    if not all(issubclass(kind, (dict, Row)) for kind in kinds - {type(None)}):
        raise AnswerError(f"a record at {stream.records!r} is not a JSON object; set `records` to the list of objects")
    if stream.null_records == "refuse":
        raise AnswerError(
            f"a record at {stream.records!r} is not a JSON object: null stands among the records; where the API writes so what "
            "isn't there, or isn't shown, declare null_records: skip; else set `records` to the list of objects"
        )
    records = [record for record in found if record is not None]
    return Records(records, list_length(stream.records, answer.body, len(found)))


def _with_instants(stream: StreamSettings, records: list[Any]) -> list[Any]:
    """Return the records with the replication key as an instant, in ISO 8601.

    Raises:
        AnswerError: where it is written in none of the forms.
    """
    incremental = stream.incremental
    assert incremental is not None
    path, changed = incremental.cursor_path, []
    keys = (path,) if not records or path in records[0] else steps(path) or (path,)
    for record in records:
        value = find(path, record)
        instant = instant_of(value, incremental.cursor_formats)
        if instant is None and value is not None and not isinstance(value, Missing):
            raise AnswerError(
                f"a record's {path} {shown(value)} is written in none of cursor_formats ({', '.join(incremental.cursor_formats)}), nor in "
                "ISO 8601; declare how the API writes it"
            )
        changed.append(record if instant is None else _replaced(record, keys, instant))
    return changed


def _replaced(record: Any, keys: Sequence[str], value: str) -> Any:
    first, *rest = keys
    return {**record, first: _replaced(record[first], rest, value) if rest else value}


def _or_missing(stream: StreamSettings, body: Any) -> str:
    """Return the other remedy of a list that isn't there, where the object that should have it holds no other list."""
    *around, _ = steps(stream.records) or ("$",)
    holder = find(".".join(around) or "$", body)
    if not isinstance(holder, dict) or any(isinstance(value, (list, dict)) for value in holder.values()):
        return ""
    return "; or, where the API leaves the key out when there are none, declare empty: missing"


def _failure(stream: StreamSettings, answer: Answer, kind: str, key: str) -> AnswerError:
    place = "null stands" if kind == "null" else "there is no list of records"
    said = f"{key} is false" if key in SUCCESS_KEYS else f"its {key} says so"
    rule = f"predicate: {key}, equals: false" if key in SUCCESS_KEYS else f"predicate: {key}"
    return AnswerError(
        f"{place} at {stream.records!r} in the answer ({outline(answer.body)}), which failed, as {said}; declare what such an answer means: "
        f"response_rules: [{{action: FAIL, {rule}}}], or action: RETRY where it passes, IGNORE where it means that there is nothing"
    )
