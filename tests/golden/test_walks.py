"""What `plan` says of each walk, and all that the tap writes, STATE above all: backfill, after changes, after none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tap_restextract.plan.walks import WALKS, WEBHOOKS
from tests.golden.api import served
from tests.golden.conftest import Golden
from tests.golden.forking import Programs
from tests.golden.normal import normal
from tests.golden.walks import CASES, configuration, found, last_state, run
from tests.support.processes import written


def test_every_walk_has_a_case() -> None:
    webhooks = {WEBHOOKS.name}  # see test_webhooks
    assert {case.walk for case in CASES.values()} == {walk.name for walk in WALKS} - webhooks


def test_what_plan_says_of_each_walk_is_as_it_was(programs: Programs, golden: Golden, tmp_path: Path) -> None:
    streams = {stream["name"]: stream for name in CASES for stream in configuration(name, "")["streams"]}
    secret = {"auth": {"type": "bearer"}, "auth_token": "secret"}
    config = {"base_url": "https://api.example.com/v1", "streams": [*streams.values()], **secret}
    said = programs.run("tap-restextract", "plan", "--config", written(tmp_path, "c.json", config), folder=tmp_path)
    plans = {plan.partition("\n")[0]: plan for plan in said.out.split("\n\n")}
    assert all(f"walk   {case.walk}\n" in plans[name] for name, case in CASES.items()), said
    golden.check("plan.txt", str(said))


@pytest.mark.parametrize("name", CASES)
def test_what_the_tap_writes_of_a_walk_is_as_it_was(
    name: str, programs: Programs, golden: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    with served(monkeypatch) as (things, api):
        config = configuration(name, api.url)
        first = run(programs, tmp_path, config)
        things.happen()
        second = run(programs, tmp_path, config, last_state(first))
        third = run(programs, tmp_path, config, last_state(second))
    assert found(second, name) == (case.finds, case.gone)
    assert found(third, name) == (case.again, [])
    runs = {"the first run": first, "the second run, after changes": second, "the third run, after none": third}
    text = "".join(f"# {title}\n{said.out}" for title, said in runs.items())
    golden.check(f"walks/{name}.jsonl", normal(text, folder=tmp_path))


def test_what_plan_says_with_a_state_is_as_it_was(programs: Programs, golden: Golden, tmp_path: Path) -> None:
    config = configuration("compound_keyset", "https://api.example.com/v1")
    held = {"replication_key": "updated_at", "replication_key_value": "2021-03-01T00:00:05Z"}
    cursor = {"cursor": {"updated_at": "2021-03-01T00:00:05Z", "id": 7}}
    state = written(tmp_path, "state.json", {"bookmarks": {"compound_keyset": {**held, **cursor}}})
    arguments = ("--config", written(tmp_path, "c.json", config), "--state", state)
    golden.check("plan_with_state.txt", str(programs.run("tap-restextract", "plan", *arguments, folder=tmp_path)))


def test_what_discovery_writes_is_as_it_was(
    programs: Programs, golden: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(monkeypatch) as (_, api):
        config = configuration("children", api.url)
        config["streams"] = [
            {key: value for key, value in each.items() if key != "schema"} for each in config["streams"]
        ]
        said = programs.run(
            "tap-restextract", "--discover", "--config", written(tmp_path, "c.json", config), folder=tmp_path
        )
    golden.check("catalog.json", normal(str(said)))
