"""Schemas that grow: SCHEMA comes again before the first record that needs it; the sample is the walk's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fastjsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_restextract.singer.growth import Growth, misfits, row_type
from tap_restextract.singer.schema import fits, inferred, kind_of, kinds_in
from tap_restextract.values.rows import Reader
from tests.support.api import Answers, Asked, Reply, scripted, serving
from tests.support.processes import Run, tap
from tests.support.streams import config

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False, places=2),
    st.text(),
    st.sampled_from(["2026-01-01T00:00:00Z", "", "null", "2026-01-01"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)
records = st.lists(st.dictionaries(st.sampled_from("abcd"), values), min_size=1, max_size=6)
PAGES: dict[str, Any] = {"type": "page_number"}


def rows(page: list[dict[str, Any]]) -> list[Any]:
    """The page as rows whose values aren't decoded."""
    content = msgspec.json.Encoder(decimal_format="number").encode(page)
    reader = Reader((), frozenset())
    reader.body(content)
    found: list[Any] = reader.body(content)
    return found


def run(folder: Path, *pages: list[dict[str, Any]], catalog: object = None, **keys: Any) -> Run:
    """A run over these pages, with a schema inferred unless another is given."""
    found = {str(number): page for number, page in enumerate(pages)}

    def answers(asked: Asked) -> Reply:
        return Reply(found.get(asked.params.get("page", "0"), []))

    with serving(answers) as api:
        return tap(folder, config(api.url, paginator=PAGES, **{"schema": None, **keys}), catalog=catalog)


def checked(done: Run) -> list[dict[str, Any]]:
    """The records of a run, each of which is what the last SCHEMA before it allows, no property left out."""
    assert done.code == 0, done.err
    validate, known, found = None, set(), []
    for message in done.messages:
        if message["type"] == "SCHEMA":
            known = message["schema"]["properties"].keys()
            validate = fastjsonschema.compile(message["schema"], use_formats=False)
        elif message["type"] == "RECORD":
            assert validate is not None
            assert message["record"].keys() <= known
            validate(message["record"])
            found.append(message["record"])
    return found


def schemas(done: Run) -> list[dict[str, Any]]:
    """The properties of each SCHEMA."""
    return [message["schema"]["properties"] for message in done.messages if message["type"] == "SCHEMA"]


@pytest.mark.pure
@pytest.mark.parametrize(
    "text",
    [
        "0000-00-00 00:00:00",
        "2026-00-10T00:00:00Z",
        "2026-10-00 10:00",
        "123-456-7890",
        "10:30 - 11:45, Tue",
    ],
)
def test_what_is_no_instant_makes_a_property_of_instants_a_text(text: str) -> None:
    """MySQL's zero, under a SCHEMA of instants, stopped the target."""
    moments = [{"a": f"2026-11-{day:02}T10:00:00Z"} for day in range(1, 4)]
    assert inferred([*moments, {"a": text}])["properties"]["a"] == {"type": ["string", "null"]}
    for form in (list, rows):
        growth = Growth.of(inferred(moments), frozenset(), frozenset(), lambda _: True)
        assert growth.needed(form(moments)) == {}
        assert growth.needed(form([{"a": None}, {"a": "2026-11-24 10:00:00.25+00"}])) == {}
        assert growth.needed(form([*moments, {"a": text}])) == {"a": {"type": ["string", "null"]}}


@pytest.mark.pure
@given(records, records)
def test_whatever_a_page_holds_the_grown_schema_allows_and_it_grows_once(
    sample: list[dict[str, Any]], page: list[dict[str, Any]]
) -> None:
    for form in (list, rows):
        schema = inferred(sample)
        growth = Growth.of(schema, frozenset(), frozenset(), lambda _: True)
        properties = schema["properties"] | growth.needed(form(page))
        for record in [*sample, *page]:
            for name, value in record.items():
                kinds = kinds_in(properties[name])
                assert kinds is not None
                # Of texts in a property of instants only what can't be one is looked for.
                assert fits(kind_of(value), kinds) or (kinds == {"date-time"} and value == "2026-01-01")
        assert growth.needed(form(page)) == {}


@pytest.mark.pure
@pytest.mark.parametrize("text", ["", "soon", "N/A", "yesterday", "-", "0", "2026\n2026-01-01"])
def test_a_text_that_is_no_instant_is_found_among_instants(text: str) -> None:
    page: list[dict[str, Any]] = [{"at": "2026-01-01T00:00:00.5+02:00"}, {"at": None}, {"at": text}]
    for form in (list, rows):
        for records, found in ((form(page), {"at": {"string"}}), (form(page[:2]), {}), (form(page[1:2]), {})):
            assert misfits(records, {"at": frozenset({"date-time"})}, row_type(records)) == found


@pytest.mark.parametrize("late", [10.5, "ten", True, [1], {"a": 1}], ids=str)
def test_a_schema_comes_again_before_the_first_record_of_another_kind(tmp_path: Path, late: Any) -> None:
    prices = [10, None, -3, late, late, 4]
    done = run(tmp_path, *([{"id": 2 * n, "price": price}, {"id": 2 * n + 1}] for n, price in enumerate(prices)))
    assert [record.get("price") for record in checked(done)[::2]] == prices
    assert len(schemas(done)) == (1 if late == 10.5 else 2)
    assert schemas(done)[0] == {"id": {"type": ["integer", "null"]}, "price": {"type": ["number", "null"]}}


def test_what_was_null_or_absent_in_the_sample_gets_its_type_when_it_comes(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        [{"id": 1, "note": None}],
        [{"id": 2, "note": None, "new": None}],
        [{"id": 3, "note": "text", "at": "2026-01-01T00:00:00Z"}],
        [{"id": 4, "note": None, "new": 7}],
    )
    assert len(checked(done)) == 4
    assert [(each.get("note"), each.get("new"), each.get("at")) for each in schemas(done)] == [
        ({"type": ["null"]}, None, None),
        ({"type": ["null"]}, {"type": ["null"]}, None),
        ({"type": ["string", "null"]}, {"type": ["null"]}, {"type": ["string", "null"], "format": "date-time"}),
        (
            {"type": ["string", "null"]},
            {"type": ["number", "null"]},
            {"type": ["string", "null"], "format": "date-time"},
        ),
    ]
    assert "note was null, is string" in done.err


def test_a_schema_that_grows_is_what_a_stream_map_makes_of_it(tmp_path: Path) -> None:
    pages = {"0": [{"id": 1, "n": None}], "1": [{"id": 2, "n": 2, "s": "a"}]}
    with serving(lambda asked: Reply(pages.get(asked.params.get("page", "0"), []))) as api:
        whole = config(api.url, paginator=PAGES, schema=None)
        whole["stream_maps"] = {"things": {"twice": "int(_.get('n') or 0) * 2", "__alias__": "others"}}
        done = tap(tmp_path, whole)
    assert [record["twice"] for record in checked(done)] == [0, 4]
    assert [sorted(each) for each in schemas(done)] == [["id", "n", "twice"], ["id", "n", "s", "twice"]]


def test_a_catalog_is_widened_but_gets_no_property_that_it_lacks(tmp_path: Path) -> None:
    pages = [{"id": 1, "n": 2**60, "note": None}], [{"id": 2, "n": 0.5, "note": "text", "new": 1}]
    catalog = json.loads(tap_discover(tmp_path, list(pages[0])))
    done = run(tmp_path, *pages, catalog=catalog)
    assert checked(done) == [pages[0][0], {"id": 2, "n": 0.5, "note": "text"}]
    assert "the schema lacks new" in done.err
    catalog["streams"][0]["metadata"].append({"breadcrumb": ["properties", "new"], "metadata": {"selected": True}})
    assert checked(run(tmp_path, *pages, catalog=catalog)) == [pages[0][0], pages[1][0]]


def tap_discover(folder: Path, page: list[dict[str, Any]], **keys: Any) -> str:
    """The catalog that the tap makes of this first page."""
    with serving(scripted(Reply(page))) as api:
        done = tap(folder, config(api.url, paginator=PAGES, schema=None, **keys), "--discover")
    assert done.code == 0, done.err
    return done.out


def test_what_is_deselected_stays_out_whatever_it_becomes(tmp_path: Path) -> None:
    catalog = json.loads(tap_discover(tmp_path, [{"id": 1, "secret": None}]))
    for each in catalog["streams"][0]["metadata"]:
        if each["breadcrumb"] == ["properties", "secret"]:
            each["metadata"]["selected"] = False
    done = run(tmp_path, [{"id": 1, "secret": None}], [{"id": 2, "secret": "s"}], catalog=catalog)
    assert checked(done) == [{"id": 1}, {"id": 2}]
    assert len(schemas(done)) == 1


def test_a_part_of_a_schema_is_laid_over_the_sample_and_stays(tmp_path: Path) -> None:
    declared = {"properties": {"total": {"type": ["integer", "null"]}}}
    done = run(tmp_path, [{"id": 1, "total": None, "n": 1}], [{"id": 2, "total": 0.5, "n": 2}], schema=declared)
    assert done.code == 0, done.err
    assert schemas(done) == [{"id": {"type": ["integer", "null"]}, "total": declared["properties"]["total"], "n": {"type": ["number", "null"]}}]  # fmt: skip


def test_the_first_page_is_asked_for_once_a_run(tmp_path: Path) -> None:
    with serving(scripted(Reply([{"id": 1}]), Reply([]))) as api:
        done = tap(tmp_path, config(api.url, paginator=PAGES, schema=None))
        assert checked(done) == [{"id": 1}]
        assert [asked.params for asked in api.asked[:2]] == [{"page": "0"}, {"page": "1"}]


def windows(asked: Asked) -> Reply:
    """Records of the range that is asked for; there are some in its second year alone."""
    found: list[dict[str, Any]] = [{"id": 1, "at": "2025-06-01T00:00:00Z"}]
    return Reply([each for each in found if asked.params["since"] <= each["at"] < asked.params.get("until", "3")])


WINDOWS: dict[str, Any] = {
    "params": {"since": "{cursor.at}", "until": "{until.at}"},
    "incremental": {"cursor_path": "at", "step": "365d", "initial_value": "2024-01-01T00:00:00Z"},
    "schema": None,
}


def test_a_sample_of_time_ranges_is_their_first_and_all_where_that_is_empty(tmp_path: Path) -> None:
    with serving(windows) as api:
        done = tap(tmp_path, config(api.url, **WINDOWS))
        assert [record["id"] for record in checked(done)] == [1]
        assert "until" in api.asked[0].params
        assert "until" not in api.asked[1].params
        # The first range isn't asked for again.
        assert api.asked[2].params["since"] > api.asked[0].params["since"]


def test_one_empty_list_stops_no_stream_and_its_schema_comes_with_its_first_record(tmp_path: Path) -> None:
    full = [{"id": 1, "updated_at": "2026-01-01T00:00:00Z", "name": "a"}]
    page: list[dict[str, Any]] = []
    answers: Answers = lambda asked: Reply(page if asked.path == "/things" else full)  # noqa: E731  a function of the test's own
    with serving(answers) as api:
        whole = config(api.url, schema=None)
        whole["streams"].append({"name": "others", "path": "/others", "primary_key": ["id"]})
        done = tap(tmp_path, whole)
        assert checked(done) == full
        assert "stream things: the API answered no record to infer a schema from" in done.err
        catalog = json.loads(tap(tmp_path, whole, "--discover").out)
        page += [{"id": 5, "n": "a"}]
        later = tap(tmp_path, whole, catalog=catalog)
    assert checked(later) == [*full, {"id": 5, "n": "a"}]
    assert schemas(later)[1] == {"id": {"type": ["integer", "null"]}, "n": {"type": ["string", "null"]}}


def family(asked: Asked) -> Reply:
    """Ten parents, of which the first is gone and only the eighth has a child."""
    if asked.path == "/orders":
        return Reply([{"id": number, "currency": "EUR"} for number in range(10)])
    number = int(asked.path.split("/")[2])
    return Reply({"message": "gone"}, 404) if number == 0 else Reply([{"sku": "a"}] if number == 7 else [])


def test_a_sample_survives_a_parent_that_is_gone_and_parents_without_children(tmp_path: Path) -> None:
    child = {"name": "lines", "path": "/orders/{parent.orders.id}/lines", "primary_key": ["_orders_id", "sku"]}
    with serving(family) as api:
        whole = config(api.url)
        whole["streams"] = [
            {"name": "orders", "path": "/orders", "primary_key": ["id"]},
            {**child, "include_from_parent": ["id", "currency"]},
        ]
        done = tap(tmp_path, whole)
    assert done.records[0] == {"sku": "a", "_orders_id": 7, "_orders_currency": "EUR"}
    assert schemas(done)[0]["_orders_id"] == {"type": ["integer", "null"]}
    assert schemas(done)[0]["_orders_currency"] == {"type": ["string", "null"]}


def test_a_sweep_behind_the_walk_takes_no_page_that_is_older_than_the_walk(tmp_path: Path) -> None:
    """What changed between the sample and the walk would come out once more, as it was before."""
    revision = 1

    def answers(asked: Asked) -> Reply:
        thing: dict[str, Any] = {"id": 1, "at": f"2026-01-01T00:00:0{revision}Z", "revision": revision}
        return Reply([thing] if thing["at"] >= asked.params.get("since", "") else [])

    def changing(asked: Asked) -> Reply:
        nonlocal revision
        reply = answers(asked)
        revision = 2
        return reply

    facts = {"incremental": {"cursor_path": "at"}, "params": {"since": "{cursor.at}"}, "schema": None}
    keys = {**facts, "sweep_every": "1s", "lookup": {"path": "/things/{key.id}"}}
    with serving(answers) as api:
        state = tap(tmp_path, config(api.url, **keys)).states[-1]
    state["bookmarks"]["things"]["audit"]["at"] = "2026-01-01T00:00:00Z"
    with serving(changing) as api:
        assert [record["revision"] for record in checked(tap(tmp_path, config(api.url, **keys), state=state))] == [2]
