"""A stream of webhooks: what it writes, and the tables of its queue."""

from __future__ import annotations

from pathlib import Path

from tests.golden.conftest import Golden
from tests.golden.forking import Programs, Said
from tests.golden.normal import normal
from tests.golden.notifications import STREAM, body, stored
from tests.golden.walks import found, last_state, run
from tests.support.processes import written
from tests.support.receiving import configuration


def test_what_a_stream_of_webhooks_writes_is_as_it_was(
    programs: Programs, golden: Golden, database: str, tmp_path: Path
) -> None:
    config = configuration(database)
    stored(database, body(1, 1), body(2, 2), body(1, 3))
    first = run(programs, tmp_path, config)
    stored(database, body(3, 4))
    second = run(programs, tmp_path, config, last_state(first))
    third = run(programs, tmp_path, config, last_state(second))
    assert [found(each, STREAM)[0] for each in (second, third)] == [[3], []]
    runs = {"the first run": first, "the second run, after one more": second, "the third run, after none": third}
    text = "".join(f"# {title}\n{said.out}" for title, said in runs.items())
    golden.check("walks/webhooks.jsonl", normal(text, folder=tmp_path, database=database))


def test_what_the_commands_of_webhooks_answer_is_as_it_was(
    programs: Programs, golden: Golden, database: str, tmp_path: Path
) -> None:
    config = written(tmp_path, "config.json", configuration(database))
    stored(database, body(1, 1), body(2, 2))

    def said(*arguments: str) -> Said:
        return programs.run("tap-restextract", *arguments, "--config", config, folder=tmp_path)

    answers = {each: said(*each.split()) for each in ("webhooks waiting", "webhooks drain", "plan")}
    text = "\n".join(f"$ tap-restextract {command}\n{each}" for command, each in answers.items())
    golden.check("webhooks.txt", normal(text, folder=tmp_path, database=database))
