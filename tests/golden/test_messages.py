"""Messages of faults in the tap's configuration and STATE, the target's settings, rules, input and tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.golden import shop
from tests.golden.api import at, served
from tests.golden.conftest import Golden
from tests.golden.forking import Programs, Said
from tests.golden.normal import normal
from tests.golden.notifications import STREAM as HOOKED
from tests.golden.walks import COMPOUND, FEED, OFFSET, PAGES, SINCE, configuration
from tests.support import receiving
from tests.support.messages import lines, schema, state
from tests.support.processes import written

URL = "https://api.example.com/v1"
RANGE = {**SINCE, "until": "{until.updated_at}"}
BY_TIME = {"cursor_path": "updated_at"}

STREAMS: dict[str, dict[str, Any]] = {
    "no path": {"path": None},
    "an unknown key": {"pth": "/a", "paginator": {"type": "offset", "limt": 5}},
    "a choice that is none": {"incremental": {**BY_TIME, "order": "up"}, "method": "PUT"},
    "a number out of bounds": {"timeout": 0, "max_attempts": 0, "concurrency": 65},
    "a form that is none": {"rate_limit": "fast", "sweep_every": "weekly"},
    "other kinds of values": {"primary_key": "id", "headers": ["a"], "schema": 5, "fixed_order": "si"},
    "an address that is none": {"base_url": "api.example.com"},
    "secrets that are missing": {"auth": {"type": "http_basic"}},
    "a secret in its auth": {"auth": {"type": "bearer", "token": "s3cret"}},
    "a path that is none": {"records": "data[?("},
    "a body without POST": {"json": {"a": 1}},
    "a component without a document": {"schema": "Thing"},
    "a schema that is none": {"schema": {"type": "object", "properties": {"id": {"type": 5}}}},
    "a brace that is none": {"headers": {"X-Query": "{items}"}},
    "a placeholder that is none": {"params": {"a": "{cursor.att}"}},
    "no part that mentions the cursor": {"incremental": BY_TIME},
    "no filter": {"incremental": {**BY_TIME, "filter": "none"}},
    "no order and no filter": {"incremental": {**BY_TIME, "order": "none", "filter": "none"}},
    "compound without tie-breaker": {"params": SINCE, "incremental": {**BY_TIME, "filter": "compound"}},
    "compound downwards": {**COMPOUND, "incremental": {**COMPOUND["incremental"], "order": "desc"}},
    "ranges without an end": {"params": SINCE, "incremental": {**BY_TIME, "step": "1d", "initial_value": 0}},
    "ranges without a beginning": {"params": RANGE, "incremental": {**BY_TIME, "step": "1d"}},
    "a beginning that is none": {"params": SINCE, "incremental": {**BY_TIME, "initial_value": "yesterday"}},
    "a sweep and a bookmark": {"sweep": True, "params": SINCE, "incremental": BY_TIME},
    "a sweep without a key": {"sweep": True, "primary_key": []},
    "a sweep at an interval of nothing": {"sweep_every": "P7D"},
    "null_params without a key": {
        "params": SINCE, "primary_key": [], "incremental": {**BY_TIME, "null_params": {"x": 1}}
    },
    "an order that changes": {"params": SINCE, "fixed_order": True, "incremental": BY_TIME},
    "a lookup of nothing": {"sweep": True, "lookup": {"path": "/things/{key.idd}"}},
    "a deletion without a key": {"deleted_path": "gone", "primary_key": []},
    "a feed beside a sweep": {"feed": FEED, "sweep": True},
    "a feed that can't be read on": {"feed": {**FEED, "incremental": {"cursor_path": "id"}}},
    "a parent that is none": {"path": "/x/{parent.parent.id}"},
    "two parents": {"path": "/x/{parent.parents.id}/{parent.others.id}"},
    "fields of no parent": {"include_from_parent": ["id"]},
    "children that are swept": {"path": "/x/{parent.parents.id}", "sweep": True},
    "webhooks that nobody sends": {"source": "webhooks"},
    "a cursor in a path that begins nowhere": {"path": "/x/{cursor.updated_at}", "incremental": BY_TIME},
}  # fmt: skip

STATES: dict[str, object] = {
    "no JSON": "{nope",
    "nothing": "",
    "a list": [1],
    "a whole message": {"type": "STATE", "value": {}},
    "Meltano's": {"singer_state": {"bookmarks": {}}},
    "no bookmarks": {"things": "2021-01-01"},
    "another form": {"bookmarks": [1]},
    "another key": {"bookmarks": {"compound_keyset": {"replication_key": "x", "replication_key_value": "1"}}},
    "no instant": {"bookmarks": {"compound_keyset": {"replication_key_value": "yesterday"}}},
    "a boundary that is none": {"bookmarks": {"compound_keyset": {"boundary": 5}}},
}

SETTINGS: dict[str, dict[str, Any]] = {
    "an unknown setting": {"inital_load": "emit"},
    "another type": {"batch_size_rows": "many"},
    "a choice that is none": {"initial_load": "never"},
    "numbers out of bounds": {"batch_size_rows": 0, "lock_timeout": -1, "retention_days": -1},
    "a URL that is none": {"database_url": "postgres:s3cret"},
    "a URL and its parts": {"password": "s3cret", "host": "x"},
    "a mapping that is none": {"schema_mapping": {"crm": 5}},
    "rules that are none": {"events": [5, {"type": "x"}, {"type": "", "stream": "s", "on": "created"}]},
    "a rule with two forms": {"events": [{"type": "x", "stream": "s", "enters": "a", "leaves": "b"}]},
    "a rule of what is no transition": {"events": [{"type": "x", "stream": "s", "on": "removed"}]},
    "a rule with a misspelt form": {"events": [{"type": "x", "stream": "s", "enter": "a"}]},
    "a rule with YAML's on": {"events": [{"type": "x", "stream": "s", "true": "created"}]},
    "a rule with another payload": {"events": [{"type": "x", "stream": "s", "on": "created", "payload": "all"}]},
    "a guard of a stream that no rule watches": {
        "events": [{"type": "x", "stream": "orders", "on": "created"}],
        "guard": {"streams": {"ordres": {"events_per_run": 1}}},
    },
    "the same rule twice": {"events": [{"type": "x", "stream": "s", "on": "created"}] * 2},
    "a publisher that is none": {"publishers": [5, {"type": ""}, {"type": "file", "path": "a", "workers": 0}]},
    "a publisher of no type": {"publishers": [{"type": "pigeon"}]},
    "a publisher without its settings": {"publishers": [{"type": "file"}]},
    "two publishers of one name": {"publishers": [{"type": "file", "path": "a"}, {"type": "file", "path": "b"}]},
    "a secret that is not there": {
        "publishers": [{"type": "webhook", "url": "https://x.example.com", "secrets": [{"env": "NOBODY_SET_THIS"}]}]
    },
    "nobody to publish to": {"publishers": [], "delivery": "before_commit"},
    "a database that is down": {"database_url": "postgresql://me:s3cret@127.0.0.1:1/mine"},
}  # fmt: skip

RULES: dict[str, dict[str, Any]] = {
    "a syntax error": {"enters": "value >> > 5 5"},
    "an unknown column": {"enters": "valeu > 5"},
    "an unknown column of new": {"when": "new.valeu > old.value"},
    "an unknown column to watch": {"changes": ["valeu"]},
    "no boolean": {"enters": "value"},
    "a subquery": {"enters": "exists (select 1 from pg_class)"},
    "an aggregate": {"enters": "count(*) > 1"},
    "a volatile function": {"enters": "random() > 0.5"},
    "another statement": {"enters": "true); drop table victim; --"},
    "a bare column in when": {"when": "value > 1"},
    "one of our own columns": {"enters": "_eventgen_version > 1"},
    "a condition that fails on a record": {"enters": "status::int > 5"},
}

GOOD = shop.version(1, 1, 1)
MESSAGES: dict[str, list[Any]] = {
    "no JSON": ["Loading…\n"],
    "no message": ["[1]\n"],
    "a type that is none": [{"type": "ROW"}],
    "a RECORD without a stream": [{"type": "RECORD", "record": {}}],
    "a RECORD before its SCHEMA": [shop.order(1)],
    "a SCHEMA without properties": [{"type": "SCHEMA", "stream": "s", "schema": {"type": "object"}, "key_properties": []}],
    "a SCHEMA that is none": [schema("s", {"id": {"type": "wat"}}, version=None)],
    "a key that is no property": [schema("s", {"id": {}}, key=["uid"], version=None)],
    "a record without its key": [shop.record("subscriptions", value=1)],
    "a record of another type": [shop.record("subscriptions", id=2, value="s3cret")],
    "a timestamp that is none": [shop.record("subscriptions", id=2, updated_at="s3cret")],
    "a word for a moment": [shop.record("subscriptions", id=2, updated_at="now")],
    "an integer that is too big": [shop.record("subscriptions", id=2**63)],
    "a property of ours": [schema("s", {"id": {}, "_eventgen_n": {}}, version=None)],
    "a property of Postgres's": [schema("s", {"id": {}, "xmin": {}}, version=None)],
}  # fmt: skip


def told(text: str) -> str:
    """What is meant for a person: without the log's lines of the SDK."""
    return "\n".join(line for line in text.splitlines() if " | INFO " not in line)


def listed(said: dict[str, Said], folder: Path, database: str | None = None) -> str:
    """Each fault with its message."""
    assert all(each.code == 1 for each in said.values()), said
    assert not any("Traceback" in each.err or "s3cret" in each.err for each in said.values()), said
    text = "\n\n".join(f"# {name}\n{told(each.err)}" for name, each in said.items())
    return normal(text, folder=folder, database=database)


def test_what_the_tap_says_of_faults_in_a_stream_is_as_it_was(
    programs: Programs, golden: Golden, tmp_path: Path
) -> None:
    said = {}
    for name, keys in STREAMS.items():
        config = configuration("traversal", URL)
        parents = {"name": "parents", "path": "/parents", "primary_key": ["id"]}
        stream = {**config["streams"][0], "name": "things", "paginator": PAGES if "step" in str(keys) else OFFSET}
        del stream["schema"]
        whole = {**config, "streams": [parents, {**stream, **keys}]}
        arguments = ("plan", "--config", written(tmp_path, "config.json", whole))
        said[name] = programs.run("tap-restextract", *arguments, folder=tmp_path)
    golden.check("messages/tap_streams.txt", listed(said, tmp_path))


def test_what_the_tap_says_of_faults_of_a_whole_configuration_is_as_it_was(
    programs: Programs, golden: Golden, tmp_path: Path
) -> None:
    hooks = receiving.configuration("postgresql://me:s3cret@127.0.0.1:1/mine")
    (sender,) = hooks["webhooks"]["sources"]
    configurations: dict[str, object] = {
        "no JSON": "{nope",
        "no object": [1],
        "no streams": {"base_url": URL},
        "an unknown setting": {**configuration("sweep", URL), "base_ulr": URL},
        "a name that is used twice": {"base_url": URL, "streams": [{"name": "a", "path": "/a"}] * 2},
        "streams that are none": {"base_url": URL, "streams": ["a"]},
        "stream maps that are none": {**configuration("sweep", URL), "stream_maps": "x"},
        "webhooks without a secret": {**hooks, "webhook_secrets": {}},
        "a secret of nobody": {**hooks, "webhook_secrets": {**hooks["webhook_secrets"], "biling": "x"}},
        "a stream that takes no webhooks": {
            **hooks, "webhooks": {"sources": [{**sender, "streams": [{"stream": "thing", "types": ["a"]}]}]}
        },
        "a queue that is down": hooks,
        "a hash cache that is down": configuration("sweep", URL, hash_cache="postgresql://me:s3cret@127.0.0.1:1/mine"),
        "an API that is down": {**configuration("sweep", "http://127.0.0.1:1"), "max_attempts": 1},
    }  # fmt: skip
    said = {}
    for name, content in configurations.items():
        arguments = ("--config", written(tmp_path, "config.json", content))
        said[name] = programs.run("tap-restextract", *arguments, folder=tmp_path)
    hooked = written(tmp_path, "config.json", hooks)
    said["plan of a stream that is none"] = programs.run(
        "tap-restextract", "plan", "--stream", "thing", "--config", hooked, folder=tmp_path
    )
    said["no file"] = programs.run("tap-restextract", "--config", "nowhere.json", folder=tmp_path)
    assert HOOKED in said["plan of a stream that is none"].err
    golden.check("messages/tap_configuration.txt", listed(said, tmp_path))


def test_what_the_tap_says_of_a_state_that_it_can_not_use_is_as_it_was(
    programs: Programs, golden: Golden, tmp_path: Path
) -> None:
    config = written(tmp_path, "config.json", configuration("compound_keyset", URL))
    said = {}
    for name, content in STATES.items():
        given = ("plan", "--config", config, "--state", written(tmp_path, "state.json", content))
        said[name] = programs.run("tap-restextract", *given, folder=tmp_path)
    golden.check("messages/tap_state.txt", listed(said, tmp_path))


def test_what_the_tap_says_of_an_api_that_answers_otherwise_is_as_it_was(
    programs: Programs, golden: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {}
    with served(monkeypatch) as (things, api):
        answers: dict[str, dict[str, Any]] = {
            "no records there": {"records": "rows"},
            "a record without its key": {"primary_key": ["uid"]},
            "no such page": {"path": "/things/77", "records": "$"},
        }
        for name, keys in answers.items():
            config = configuration("traversal", api.url)
            whole = {**config, "streams": [{**config["streams"][0], **keys}]}
            arguments = ("--config", written(tmp_path, "config.json", whole))
            said[name] = programs.run("tap-restextract", *arguments, folder=tmp_path)
        for key in things.rows:
            things.rows[key]["updated_at"] = at(5)
        config = configuration("single_page", api.url)
        stream = {**config["streams"][0], "params": SINCE, "paginator": {"type": "single_page", "limit": 2}}
        arguments = ("--config", written(tmp_path, "config.json", {**config, "streams": [stream]}))
        said["a tie that fills an answer"] = programs.run("tap-restextract", *arguments, folder=tmp_path)
    golden.check("messages/tap_answers.txt", listed(said, tmp_path))


def test_what_the_target_says_of_faults_is_as_it_was(
    programs: Programs, golden: Golden, database: str, tmp_path: Path
) -> None:
    def load(messages: list[Any], **settings: Any) -> Said:
        (tmp_path / "c.json").write_text(json.dumps({"database_url": database, "events": [], **settings}))
        given = lines([shop.SUBSCRIPTIONS, GOOD, *messages, state(1)])
        return programs.run("target-eventgen", "--config", "c.json", folder=tmp_path, given=given)

    settings = {name: load([], **given) for name, given in SETTINGS.items()}
    rules = {
        name: load([], initial_load="emit", events=[{"type": "odd", "stream": "subscriptions", **rule}])
        for name, rule in RULES.items()
    }
    messages = {name: load(given) for name, given in MESSAGES.items()}
    messages["another key"] = load([schema(key=["status"], version=None)])
    golden.check_all(
        {
            "messages/target_settings.txt": listed(settings, tmp_path, database),
            "messages/target_rules.txt": listed(rules, tmp_path, database),
            "messages/target_messages.txt": listed(messages, tmp_path, database),
        }
    )
