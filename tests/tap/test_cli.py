"""The tap as a process: every bad input is one message and an exit code, and stdout is always true."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tap_restextract.errors import ConfigurationError
from tap_restextract.tap import TapRestextract
from tests.support.api import Answers, Asked, Reply, scripted, serving
from tests.support.processes import TAP, Run, environment, tap, written
from tests.support.streams import COMPOUND, SCHEMA, config

SECRET = "s3cr&t/ü"
FORMS = (SECRET, "s3cr%26t%2F%C3%BC", "s3cr%26t/%C3%BC")
AUTH: dict[str, Any] = {"auth": {"type": "api_key", "name": "appid", "location": "query"}, "auth_api_key": SECRET}
RECORDS = [{"id": key, "updated_at": f"2026-01-01T00:00:{key:02}Z"} for key in range(1, 8)]


def behind(asked: Asked) -> Reply:
    """Two records behind (since, after); all of them at /all."""
    if asked.path == "/all":
        return Reply(RECORDS)
    place = (asked.params.get("since", ""), int(asked.params.get("after", 0)))
    return Reply([record for record in RECORDS if (record["updated_at"], record["id"]) > place][:2])


def failing_at(since: str, reply: Reply) -> Answers:
    """The API that answers this once it is asked from there on."""
    return lambda asked: reply if asked.params.get("since", "") >= since else behind(asked)


def assert_told(run: Run, *parts: str) -> None:
    """One clear message, an exit code, no traceback, no secret."""
    assert run.code not in {0, -1}, run.out
    assert "Traceback" not in run.err
    assert len(run.told) == 1, run.err
    for part in parts:
        assert part in run.told[0]
    for form in FORMS:
        assert form not in run.out + run.err


def test_a_first_run_writes_all_and_a_second_one_nothing(tmp_path: Path) -> None:
    with serving(behind) as api:
        whole = config(api.url, **COMPOUND)
        first = tap(tmp_path, whole)
        assert first.code == 0
        assert first.records == RECORDS
        second = tap(tmp_path, whole, state=first.states[-1])
        assert second.records == []
        assert second.states[-1] == first.states[-1]


def test_each_state_comes_after_the_records_that_it_covers(tmp_path: Path) -> None:
    with serving(behind) as api:
        run = tap(tmp_path, config(api.url, **COMPOUND))
    written_ids: list[int] = []
    states = 0
    for message in run.messages:
        if message["type"] == "RECORD":
            written_ids.append(message["record"]["id"])
        elif message["type"] == "STATE":
            states += 1
            cursor = message["value"]["bookmarks"]["things"].get("cursor", {"id": 0})
            assert cursor["id"] <= max(written_ids, default=0)
    assert states >= 4


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply({"message": "who?"}, 401), "was answered 401 (who?); check the credentials"),
        (Reply(b"<html>", headers={"Content-Type": "text/html"}), "6 bytes of text/html that aren't JSON"),
        (Reply({"error": "busy"}, 503), "answered 503, 1 time;"),
    ],
)
def test_an_error_in_mid_run_keeps_what_was_written_before_it_and_says_no_more_in_state(
    tmp_path: Path, reply: Reply, told: str
) -> None:
    with serving(failing_at("2026-01-01T00:00:04Z", reply)) as api:
        whole = config(api.url, **COMPOUND, **AUTH, max_attempts=1)
        run = tap(tmp_path, whole, env={"LOGLEVEL": "DEBUG"})
        assert_told(run, "stream things: GET ", "/things?", told)
        assert [record["id"] for record in run.records] == [1, 2, 3, 4]
        assert run.states[-1]["bookmarks"]["things"]["cursor"]["id"] == 4
        api.answers = behind
        assert [record["id"] for record in tap(tmp_path, whole, state=run.states[-1]).records] == [5, 6, 7]


BAD: list[tuple[str, dict[str, Any], dict[str, Any], list[str]]] = [
    ("an unknown setting", {"base_ulr": "x"}, {}, ["config: unknown key 'base_ulr'; did you mean 'base_url'?"]),
    ("a missing secret", {"auth": {"type": "bearer"}}, {}, ["stream things: auth type bearer needs the setting auth_token"]),
    ("a wrong address", {"base_url": "api.example.com"}, {}, ["stream things: base_url is not a web address"]),
    ("an api that is down", {"base_url": "http://127.0.0.1:1"}, {}, ["the connection was refused, 1 time; check base_url"]),
    ("records nowhere", {"records": "data"}, {}, ["stream things: ", "no list of records at 'data'", "set `records`"]),
    ("a STATE of another key", {}, {"state": {"bookmarks": {"things": {"replication_key": "x", "replication_key_value": "1"}}}}, ["stream things: STATE was written for the replication key 'x'", "reset"]),
    ("a STATE that is no JSON", {}, {"state": "{nope"}, ["the STATE in ", "state.json is not valid JSON (line 1, column 2); restore it"]),
    ("an empty STATE", {}, {"state": ""}, ["state.json is not valid JSON"]),
    ("a STATE that is a list", {}, {"state": [1]}, ["state.json is not a JSON object"]),
    ("a whole STATE message", {}, {"state": {"type": "STATE", "value": {}}}, ["is a whole message; keep what stands under its key `value`"]),
    ("a STATE of Meltano's", {}, {"state": {"singer_state": {"bookmarks": {}}}}, ["is Meltano's; keep what stands under its key `singer_state`"]),
    ("a STATE without bookmarks", {}, {"state": {"things": "2026-01-01"}}, ["has no bookmarks; restore it, or start without one"]),
    ("a secret in its auth", {"auth": {"type": "bearer", "token": SECRET}}, {}, ["auth: unknown key 'token'; secrets are settings of their own, auth_token"]),
    ("a brace that is none", {"headers": {"X-Query": "{items}"}}, {}, ["the request mentions {items}", "a brace itself is {{ or }}"]),
    ("a STATE of another form", {}, {"state": {"bookmarks": [1]}}, ["the STATE is not of the form"]),
    ("a catalog that is no JSON", {}, {"catalog": "{nope"}, ["the catalog in ", "catalog.json is not valid JSON (line 1, column 2)", "--discover"]),
    ("a catalog without streams", {}, {"catalog": {"a": 1}}, ["has no list of streams"]),
    ("a schema that is none", {"schema": {"properties": {"id": {"type": 5}}}}, {}, ["stream things: the schema is not valid at properties.id.type"]),
    ("a stream map that is none", {"stream_maps": {"things": {"id": "1+("}}}, {}, ["Failed to parse expression", "check stream_maps"]),
    ("stream maps that are no mapping", {"stream_maps": "x"}, {}, ["config.stream_maps: "]),
    ("an OpenAPI document that is not there", {"schema": "Thing", "openapi": "nope.json"}, {}, ["the component 'Thing' of the OpenAPI document nope.json can't be read"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "files", "told"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_input_is_one_message_with_place_and_remedy_and_moves_no_state(
    tmp_path: Path, change: dict[str, Any], files: dict[str, Any], told: list[str]
) -> None:
    top = {key: value for key, value in change.items() if key in {"base_ulr", "base_url", "stream_maps"}}
    with serving(scripted(Reply({"rows": RECORDS}))) as api:
        records = {"records": "rows", **COMPOUND, **AUTH, **{key: change[key] for key in change.keys() - top.keys()}}
        whole = {**config(api.url, max_attempts=1, **records), **top}
        run = tap(tmp_path, whole, env={"LOGLEVEL": "DEBUG"}, **files)
    assert_told(run, *told)
    assert run.records == []
    assert run.states == [] or run.states == [files.get("state")]


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("sys.modules['backoff'] = None", "the module 'backoff' is missing (at "),
        ("sys.modules['backoff'] = type(sys)('backoff'); sys.modules['msgspec'] = type(sys)('msgspec')",
         "the module 'msgspec' is of another version than is needed (at "),
    ],
)  # fmt: skip
def test_a_module_that_is_missing_is_named_and_called_no_fault_of_the_taps(
    tmp_path: Path, module: str, told: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys\n{module}\n")
    run = tap(tmp_path, config(), env={"PYTHONPATH": str(tmp_path)})
    assert_told(run, told, "; install tap-restextract anew")
    assert "fault of tap-restextract itself" not in run.err


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"openapi": "3.0.0", "components": {"schemas": {"Order": {}, "Line": {}}}}, "is not in it; did you mean 'Order'?"),
        ({"swagger": "2.0", "definitions": {"Order": {}}}, "is not in it; did you mean 'Order'?"),
        ({"openapi": "3.0.0", "components": {"schemas": {"Xyz": {}}}}, "is not in it; known are Xyz"),
        ({"openapi": "3.0.0", "components": {"schemas": {"Ordr": {"$ref": "#/nowhere"}}}}, "can't be read ("),
        ({"openapi": "3.0.0", "components": []}, "can't be read ("),
        ([], "can't be read ("),
    ],
)  # fmt: skip
def test_a_component_that_is_none_is_answered_by_the_nearest_one(tmp_path: Path, document: object, told: str) -> None:
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document))
    whole = {**config("http://127.0.0.1:1", **COMPOUND), "openapi": str(path)}
    whole["streams"][0]["schema"] = "Ordr"
    with pytest.raises(ConfigurationError) as caught:
        TapRestextract(config=whole, setup_mapper=False).discover_streams()
    assert f"stream things: the component 'Ordr' of the OpenAPI document {path} {told}" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{nope", "config.json is not valid JSON (line 1, column 2)"),
        ("[1]", "config.json is not a JSON object"),
        ("null", "config.json is not a JSON object"),
        ("", "config.json is not valid JSON (line 1, column 1)"),
    ],
)
def test_a_configuration_that_is_not_a_json_object_is_reported_with_its_file(
    tmp_path: Path, content: str, told: str
) -> None:
    assert_told(tap(tmp_path, content), "the configuration ", told)


def test_a_configuration_that_is_not_there_is_reported_with_its_path(tmp_path: Path) -> None:
    for arguments in (("plan", "--config", "nope.json"), ("--config", ".", "--discover")):
        assert_told(tap(tmp_path, None, *arguments), "the configuration ", "can't be read", "check --config")


def test_environment_variables_of_the_wrong_form_are_reported_by_name_without_their_value(tmp_path: Path) -> None:
    env = {"TAP_RESTEXTRACT_STREAMS": f"[{SECRET}", "TAP_RESTEXTRACT_MAX_ATTEMPTS": SECRET}
    run = tap(tmp_path, None, "--config=ENV", env=env)
    assert run.code == 1
    assert "Traceback" not in run.err
    assert {line.split(" is not of ")[0].split()[-1] for line in run.told} == set(env)
    assert SECRET not in run.err


def test_the_whole_configuration_may_come_from_the_environment(tmp_path: Path) -> None:
    with serving(behind) as api:
        whole = config(api.url, path="/all")
        env = {
            "TAP_RESTEXTRACT_BASE_URL": api.url,
            "TAP_RESTEXTRACT_STREAMS": json.dumps(whole["streams"]),
            "TAP_RESTEXTRACT_AUTH": '{"type": "bearer"}',
            "TAP_RESTEXTRACT_AUTH_TOKEN": "abc",
            "TAP_RESTEXTRACT_TIMEOUT": "5.5",
        }
        run = tap(tmp_path, None, "--config=ENV", env=env)
        assert run.code == 0, run.err
        assert run.records == RECORDS
        assert api.asked[0].headers["authorization"] == "Bearer abc"


def test_every_fault_of_a_configuration_is_reported_in_one_go(tmp_path: Path) -> None:
    run = tap(tmp_path, {"timeot": 1, "streams": [{"name": "a", "pth": "/"}, {"name": "b", "path": "/b"}]})
    assert run.code == 1
    assert len(run.told) == 5, run.err  # both keys of a, the base_url of both
    assert run.out == ""


def test_a_reader_that_goes_away_ends_the_tap_without_a_traceback(tmp_path: Path) -> None:
    many = [{"id": key, "updated_at": "2026-01-01T00:00:00Z", "text": "x" * 500} for key in range(2000)]
    with serving(scripted(Reply(many))) as api:
        file = written(tmp_path, "config.json", config(api.url))
        for arguments in ((), ("--discover",)):
            process = subprocess.Popen(
                [TAP, "--config", file, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
            )
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            err = process.stderr.read().decode()
            process.stderr.close()
            code = process.wait(60)
            assert "Traceback" not in err
            assert "Exception ignored" not in err
            if not arguments:
                assert code == 1
                assert "tap-restextract: the reader of stdout has ended" in err


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("maps", [{}, {"stream_maps": {"things": {"id": "id"}}}], ids=["fast", "mapped"])
def test_a_signal_while_the_reader_is_slow_cuts_no_line_and_ends_with_143(
    tmp_path: Path, maps: dict[str, Any], unbuffered: str
) -> None:
    many = [{"id": key, "updated_at": "2026-01-01T00:00:00Z", "text": "x" * 9000} for key in range(300)]
    schema = {"properties": {**SCHEMA["properties"], "text": {"type": "string"}}}
    with serving(scripted(Reply(many))) as api:
        file = written(tmp_path, "config.json", config(api.url, schema=schema) | maps)
        process = subprocess.Popen(
            [TAP, "--config", file],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(PYTHONUNBUFFERED=unbuffered),
        )
        assert process.stdout is not None
        assert process.stderr is not None
        head = process.stdout.readline() + process.stdout.readline()
        time.sleep(0.3)  # the pipe is full now, and the tap waits in the middle of a page
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        out = head + process.stdout.read()
        err = process.stderr.read().decode()
        process.stdout.close()
        process.stderr.close()
        assert process.wait(60) == 143
    assert out.endswith(b"\n")
    messages = [json.loads(line) for line in out.decode().split("\n") if line]
    assert len(messages) < 300
    assert "Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_api_is_slow_ends_promptly(tmp_path: Path, number: int) -> None:
    with serving(failing_at("2026-01-01T00:00:04Z", Reply(RECORDS, delay=60))) as api:
        file = written(tmp_path, "config.json", config(api.url, **COMPOUND))
        process = subprocess.Popen(
            [TAP, "--config", file], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        )
        assert process.stdout is not None
        while b'"id":4' not in process.stdout.readline():
            pass
        start = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
        assert time.monotonic() - start < 30
        assert process.returncode == 128 + number
    assert out == b"" or out.endswith(b"\n")
    assert b"Traceback" not in err
    for line in out.splitlines():
        message = json.loads(line)
        assert message["type"] != "STATE" or message["value"]["bookmarks"]["things"]["cursor"]["id"] <= 4


def test_version_about_and_help_need_no_configuration(tmp_path: Path) -> None:
    assert tap(tmp_path, None, "--version").out.startswith("tap-restextract v")
    about = tap(tmp_path, None, "--about", "--format=json")
    properties = json.loads(about.out)["settings"]["properties"]
    assert {"streams", "base_url", "auth_token"} <= properties.keys()
    assert "two requests" in tap(tmp_path, None, "plan", "--help").out
    assert tap(tmp_path, None, "--nope").code == 2


def test_discovery_declares_infers_and_names_keys(tmp_path: Path) -> None:
    with serving(behind) as api:
        whole = config(api.url, **COMPOUND)
        whole["streams"].append({"name": "inferred", "path": "/all", "primary_key": ["id"]})
        run = tap(tmp_path, whole, "--discover")
        assert run.code == 0, run.err
        inferred, things = json.loads(run.out)["streams"]
    assert things["key_properties"] == ["id"]
    assert things["replication_key"] == "updated_at"
    assert inferred["schema"]["properties"]["updated_at"] == {"type": ["string", "null"], "format": "date-time"}


@pytest.mark.parametrize("command", ["--discover", "--test"])
@pytest.mark.parametrize("status", [200, 401])
def test_discovery_and_the_connection_test_leave_no_file_open_however_they_end(
    tmp_path: Path, command: str, status: int
) -> None:
    state = written(tmp_path, "state.json", {"bookmarks": {}})
    with serving(scripted(Reply(RECORDS if status == 200 else {"message": "no"}, status))) as api:
        run = tap(tmp_path, config(api.url, schema=None), "--state", state, command)
    assert run.code == (status != 200), run.err
    assert "ResourceWarning" not in run.err


def test_a_sample_is_asked_for_as_the_first_page_is(tmp_path: Path) -> None:
    keys: dict[str, Any] = {
        "path": "/since/{cursor.updated_at:%Y}",
        "incremental": {"cursor_path": "updated_at", "initial_value": "2025-06-01T00:00:00Z"},
    }
    with serving(scripted(Reply(RECORDS))) as api:
        whole = config(api.url, **keys)
        del whole["streams"][0]["schema"]
        run = tap(tmp_path, whole, "--discover")
        assert run.code == 0, run.err
        assert {asked.path for asked in api.asked} == {"/since/2025"}


def test_deselected_streams_and_properties_are_left_out(tmp_path: Path) -> None:
    with serving(behind) as api:
        whole = config(api.url, path="/all")
        whole["streams"].append({"name": "others", "path": "/others", "primary_key": ["id"], "schema": SCHEMA})
        catalog = json.loads(tap(tmp_path, whole, "--discover").out)
        for stream in catalog["streams"]:
            for entry in stream["metadata"]:
                deselected = (
                    stream["stream"] == "others" if entry["breadcrumb"] == [] else "updated_at" in entry["breadcrumb"]
                )
                if deselected:
                    entry["metadata"]["selected"] = False
        run = tap(tmp_path, whole, catalog=catalog)
        assert run.records == [{"id": record["id"]} for record in RECORDS]
        assert {asked.path for asked in api.asked} == {"/all"}


def test_the_connection_test_takes_one_record_of_each_stream_and_moves_no_bookmark(tmp_path: Path) -> None:
    with serving(behind) as api:
        run = tap(tmp_path, config(api.url, **COMPOUND), "--test")
        assert run.code == 0, run.err
        assert run.records == RECORDS[:1]
        assert not any("replication_key_value" in json.dumps(state) for state in run.states)


def test_a_nested_replication_key_is_a_property_of_each_record(tmp_path: Path) -> None:
    records = [{"id": key, "meta": {"at": f"2026-01-01T00:00:0{key}Z"}} for key in (1, 2)]
    keys = {
        "params": {"since": "{cursor.meta.at}"},
        "incremental": {"cursor_path": "meta.at"},
        "schema": {"properties": {"id": {"type": "integer"}, "meta": {"type": "object"}}},
    }
    with serving(scripted(Reply(records))) as api:
        run = tap(tmp_path, config(api.url, **keys))
    assert [record["meta__at"] for record in run.records] == ["2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"]
    schema = next(message for message in run.messages if message["type"] == "SCHEMA")
    assert schema["bookmark_properties"] == ["meta__at"]
    assert "meta__at" in schema["schema"]["properties"]
    assert run.states[-1]["bookmarks"]["things"]["replication_key"] == "meta__at"


def test_a_record_without_its_primary_key_stops_the_stream_before_its_page_is_written(tmp_path: Path) -> None:
    with serving(scripted(Reply([RECORDS[0], {"updated_at": "2026-01-01T00:00:09Z", "id": None}]))) as api:
        run = tap(
            tmp_path,
            config(api.url, params={"since": "{cursor.updated_at}"}, incremental={"cursor_path": "updated_at"}),
        )
    assert_told(run, "stream things: a record has no id, which is in its primary_key")
    assert run.records == []
    assert run.states == []


def test_decimals_in_a_state_come_back_with_all_their_digits(tmp_path: Path) -> None:
    body = b'[{"id": 1, "updated_at": 1767225600.123456789012345678}]'
    schema = {"properties": {"id": {"type": "integer"}, "updated_at": {"type": "number"}}}
    keys = {"params": {"since": "{cursor.updated_at}"}, "incremental": {"cursor_path": "updated_at"}, "schema": schema}
    with serving(scripted(Reply(body))) as api:
        run = tap(tmp_path, config(api.url, **keys))
        state = next(line for line in reversed(run.out.split("\n")) if '"STATE"' in line)
        # A text, as whoever keeps STATE may read a number as a double. One of an earlier version is read as well.
        text = '"replication_key_value":"1767225600.123456789012345678"'
        assert text in state
        value = state.split('"value":', 1)[1][:-1]
        number = text.replace(':"', ":")[:-1]
        for kept in (
            json.dumps(json.loads(value)),
            value.replace(text, number).replace(',"decimals":["replication_key_value"]', ""),
        ):
            again = tap(tmp_path, config(api.url, **keys), state=kept)
            assert again.code == 0, again.err
            assert again.records == []
            assert api.asked[-1].params["since"] == "1767225600.123456789012345678"


def test_plan_prints_every_stream_with_its_walk_and_no_secret(tmp_path: Path) -> None:
    whole = config(**COMPOUND, **AUTH)
    whole["streams"].append({"name": "others", "path": "/others"})
    state = {"bookmarks": {"things": {"replication_key_value": RECORDS[4]["updated_at"], "cursor": RECORDS[4]}}}
    run = tap(tmp_path, whole, "plan", state=state)
    assert run.code == 0, run.err
    assert "walk   compound keyset" in run.out
    assert "walk   traversal" in run.out
    assert "after=5" in run.out
    for form in FORMS:
        assert form not in run.out + run.err
    only = tap(tmp_path, whole, "plan", "--stream", "others")
    assert "things" not in only.out
    assert_told(
        tap(tmp_path, whole, "plan", "--stream", "other"), "there is no stream 'other'; there are things, others"
    )


@pytest.mark.parametrize("state", ["{", '{"bookmarks": null}', '{"bookmarks": {"things": 5}}'])
def test_plan_with_a_state_that_can_not_be_read_is_reported(tmp_path: Path, state: str) -> None:
    assert_told(tap(tmp_path, config(**COMPOUND), "plan", state=state), "the STATE ")


@pytest.mark.parametrize("command", ["--config", "plan --config"])
@pytest.mark.parametrize(("shell", "told"), [(">&-", "stdout is closed"), (">/dev/full", "No space left on device")])
def test_a_stdout_that_is_closed_or_full_is_one_message(tmp_path: Path, command: str, shell: str, told: str) -> None:
    with serving(behind) as api:
        file = written(tmp_path, "config.json", config(api.url, **COMPOUND))
        finished = subprocess.run(
            ["sh", "-c", f'exec "$0" {command} "$1" {shell}', TAP, file],
            stderr=subprocess.PIPE,
            env=environment(),
            text=True,
            timeout=60,
            check=False,
        )
    assert finished.returncode == 1
    (message,) = [line for line in finished.stderr.splitlines() if line.startswith("tap-restextract: ")]
    assert told in message
    assert "Traceback" not in finished.stderr
    assert "fault of tap-restextract" not in message


def test_ctrl_c_before_anything_has_begun_prints_no_traceback() -> None:
    script = (
        "import os, signal, sys; from tap_restextract.cli import main as cli;"
        "cli._tap = lambda arguments: os.kill(os.getpid(), signal.SIGINT); sys.argv = ['x']; cli.main()"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stderr) == (130, "")


@pytest.mark.parametrize(
    ("values", "shown", "described"),
    [
        ([9, 10], [9, 10], "number"),
        (["9", "10"], [9, 10], "number"),
        (["2026-01-01T00:00:00Z"], ["2026-01-01T00:00:00Z"], "date-time"),
    ],
)
def test_a_nested_replication_key_of_a_sample_is_described_as_what_it_is(
    tmp_path: Path, values: list[Any], shown: list[Any], described: str
) -> None:
    records = [{"id": key, "meta": {"at": value}} for key, value in enumerate(values)]
    keys = {"params": {"since": "{cursor.meta.at}"}, "incremental": {"cursor_path": "meta.at"}, "schema": None}
    with serving(scripted(Reply(records))) as api:
        run = tap(tmp_path, config(api.url, **keys))
    assert [record["meta__at"] for record in run.records] == shown
    (made,) = [message["schema"]["properties"]["meta__at"] for message in run.messages if message["type"] == "SCHEMA"]
    assert made.get("format", made["type"][0]) == described
