"""Faults put into the target's code on purpose, one at a time, each of which the tests must find.

`python -m tests.target_eventgen.mutants` copies the package and its tests, changes a text in the copy, and runs the
checks that should notice there. It prints which did, and ends with status 1 where one fault went by. A text that is no
longer in the code is a fault of this list.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 900

HISTORIES = ["-m", "tests.target_eventgen.histories", "300", "--as-found"]
CRASH = ["-m", "tests.target_eventgen.crash", "24"]
CONTENTION = ["-m", "pytest", "-q", "-x", "tests/target_eventgen/test_contention.py", "-k", "waits or order"]
CONNECTIONS = ["-m", "pytest", "-q", "-x", "tests/target_eventgen/test_lost_connections.py"]
PROMISES = ["-m", "pytest", "-q", "-x", "tests/target_eventgen/test_promises.py", "-k", "e4"]
INSTANTS = ["-m", "pytest", "-q", "-x", "tests/target_eventgen/test_promises.py", "-k", "e1"]
DELETIONS = ["-m", "pytest", "-q", "-x", "tests/target_eventgen/test_inputs.py", "-k", "delete"]
EMPTY = ["-m", "pytest", "-q", "-x", "tests/target_eventgen/test_histories.py", "-k", "empty"]
REPEATS = ["-m", "pytest", "-q", "-x", "tests/target_eventgen/test_inputs.py", "-k", "repeated or version"]
PLAIN = ["-m", "pytest", "-q", "-x", "tests/target_eventgen/test_records.py"]
INPUTS = [
    "-m",
    "pytest",
    "-q",
    "-x",
    "tests/target_eventgen/test_inputs.py",
    "-k",
    "text or nul or escape or name or unicode",
]
READER = ["-m", "pytest", "-q", "-x", "tests/target_eventgen/test_signals.py", "-k", "loop"]


LONG_WAY = ("    return plan.version is not None and", "    return plan.version is None and plan.hard and")
"""Nothing is written in one pass, so that what is done otherwise is looked at."""


@dataclass(frozen=True)
class Mutant:
    """A fault: what it is, the texts of a module that are replaced, and the command that must notice."""

    fault: str
    module: str
    texts: tuple[tuple[str, str], ...]
    check: list[str]


MUTANTS = (
    Mutant(
        "rows that exist are not locked",
        "statements",
        (
            (" ON CONFLICT ({key}) DO UPDATE SET {version} = stored.{version} WHERE", " ON CONFLICT DO NOTHING /*"),
            (
                "\" AND set_config('eventgen.heard', 'yes', true) IS NULL\"",
                "\" AND set_config('eventgen.heard', 'yes', true) IS NULL */\"",
            ),
            LONG_WAY,
        ),
        CONTENTION,
    ),
    Mutant(
        "keys are locked in order of arrival",
        "statements",
        (
            (
                "FROM transitions WHERE _eventgen_last ORDER BY {key}",
                "FROM transitions WHERE _eventgen_last ORDER BY {n}",
            ),
            ('FROM {stage} AS s{changed} ORDER BY {key}"', 'FROM {stage} AS s{changed} ORDER BY _eventgen_n"'),
            (
                "        count=_COUNT,\n        key=_names(plan.table.key),\n",
                "        count=_COUNT,\n        n=_N,\n        key=_names(plan.table.key),\n",
            ),
        ),
        CONTENTION,
    ),
    Mutant(
        "only the last version of a key is judged",
        "statements",
        (("WHERE edge.fires)", "WHERE edge.fires AND to_jsonb(judged)->>'_eventgen_last' IS DISTINCT FROM 'false')"),),
        HISTORIES,
    ),
    Mutant(
        "older versions are accepted",
        "statements",
        (("{} AND ({} < {}) IS NOT TRUE", "{} AND (({} < {}) IS NOT NULL OR true)"),),
        HISTORIES,
    ),
    Mutant(
        "older versions are accepted of a key that comes once",
        "statements",
        (("FROM compared WHERE NOT _eventgen_stale)", "FROM compared)"), LONG_WAY),
        HISTORIES,
    ),
    Mutant(
        "older versions are accepted in one pass",
        "statements",
        (("'yes', true) IS NULL\"\n        \" WHEN stored", "'yes', true) IS NOT NULL\"\n        \" WHEN stored"),),
        HISTORIES,
    ),
    Mutant(
        "rows of which something else was told are left out as unchanged",
        "statements",
        ((" AND ROW({old}) IS NOT DISTINCT FROM ROW({new}) OFFSET 0", " OFFSET 0"),),
        HISTORIES,
    ),
    Mutant(
        "what another run told is written in one pass",
        "postgres",
        (("        if told or held:\n            raise", "        if held:\n            raise"),),
        HISTORIES,
    ),
    Mutant(
        "unchanged rows are written in one pass",
        "statements",
        ((" ELSE {gone} OR ROW({values})", " ELSE true OR ROW({values})"),),
        HISTORIES,
    ),
    Mutant(
        "a plain record that doesn't mention a property has a word for it",
        "records",
        (("enumerate(lines) if UNSET in line]", "enumerate(lines) if not line]"),),
        PLAIN,
    ),
    Mutant(
        "a plain record's strings are copied as they are",
        "records",
        (("if SPECIAL.search(line) is not None)", "if not line)"),),
        INPUTS,
    ),
    Mutant(
        "a key that comes twice in a run is thought to come once",
        "sink",
        (("if len(places) < len(keys) or None in places", "if None in places"),),
        REPEATS,
    ),
    Mutant(
        "a key of an earlier run is thought to be new",
        "sink",
        ((" or not self._keys.keys().isdisjoint(places):", ":"),),
        REPEATS,
    ),
    Mutant(
        "a plain record may come without its key",
        "records",
        (("said = name in required or name in plan.table.key", "said = name in required"),),
        PLAIN,
    ),
    Mutant(
        "whatever a key says in a checkpoint after its first record is taken for a repetition",
        "sink",
        (("self._content(self._lines[place]) == self._content(line)", "line"),),
        [*INPUTS[:-1], "repeated"],
    ),
    Mutant(
        "versions are taken in order of arrival",
        "statements",
        (('"({n} > 0), {at} NULLS FIRST, {n}"', '"({n} > 0), {n}"'),),
        HISTORIES,
    ),
    Mutant(
        "a record without version is dropped",
        "statements",
        (("{} AND ({} < {}) IS NOT TRUE", "{} AND ({} < {}) IS FALSE"),),
        HISTORIES,
    ),
    Mutant(
        "a row that was just created counts as the one before",
        "statements",
        (("(t.xmin <> pg_current_xact_id()::xid OR t.", "(t.xmin IS NOT NULL OR t."),),
        HISTORIES,
    ),
    Mutant(
        "a property that is not mentioned becomes null",
        "statements",
        (("= 1 AND NOT f._eventgen_gone THEN", "= 1 AND f._eventgen_gone THEN"),),
        HISTORIES,
    ),
    Mutant(
        "a condition that held before fires again",
        "statements",
        (("NOT (_eventgen_existed AND {was}))", "({was} OR NOT {was}))"),),
        HISTORIES,
    ),
    Mutant(
        "a property that is not mentioned is not the row's",
        "statements",
        (("THEN CASE WHEN NOT b._eventgen_gone THEN", "THEN CASE WHEN b._eventgen_gone THEN"),),
        HISTORIES,
    ),
    Mutant(
        "what another run told of an instant is told again",
        "retelling",
        (("            told = step\n", "            told = 0\n"),),
        HISTORIES,
    ),
    Mutant(
        "a piece of a story is news at once",
        "retelling",
        (("    if not ended and _is_underway", "    if not story and _is_underway"),),
        HISTORIES,
    ),
    Mutant(
        "a piece of a story is never news",
        "target",
        (("sink.settlement() for sink in sinks if sink.plan.table.key", "sink.settlement() for sink in sinks[:0]"),),
        INSTANTS,
    ),
    Mutant(
        "a run that went through a story doesn't say so",
        "postgres",
        (("        if decided:\n", "        if decided and not plan:\n"),),
        INSTANTS,
    ),
    Mutant(
        "a row without version is of no instant",
        "statements",
        (("(CASE WHEN {version} IS NULL THEN {instant}::{type} ELSE {version} END)", "({version})"),),
        HISTORIES,
    ),
    Mutant(
        "a run that ended well leaves its stories",
        "target",
        (("        return self._state is None or self._after_state\n", "        return True\n"),),
        INSTANTS,
    ),
    Mutant(
        "nothing remembers a row that was taken out",
        "postgres",
        (("buries=plan.hard and batch.activated is None", "buries=False"),),
        DELETIONS,
    ),
    Mutant(
        "empty JSON is taken for null",
        "statements",
        (("'0123456789.eE+-', ''), 0))", "'0123456789.eE+-[]{{}}', ''), 0))"),),
        EMPTY,
    ),
    Mutant(
        "an event's id knows no version",
        "statements",
        ((" _eventgen_key, _eventgen_count, ", " _eventgen_key, "),),
        HISTORIES,
    ),
    Mutant(
        "the first version of a key is stored",
        "statements",
        (("lead({n}) OVER w IS NULL AS _eventgen_last", "lag({n}) OVER w IS NULL AS _eventgen_last"),),
        HISTORIES,
    ),
    Mutant(
        "rows are committed before their events",
        "postgres",
        (
            (
                "        cursor.execute(statements.create_stage(plan))\n",
                "        cursor.execute('DROP TABLE IF EXISTS pg_temp.' + plan.stage)\n        cursor.execute(statements.create_stage(plan).as_string(cursor).replace('ON COMMIT DROP', ''))\n",
            ),
            (
                "        failpoints.reach(failpoints.AFTER_LOCK)",
                "        self._connection.commit()\n        failpoints.reach(failpoints.AFTER_LOCK)",
            ),
        ),
        HISTORIES,
    ),
    Mutant(
        "STATE leaves before the commit",
        "target",
        (
            (
                "            outcomes = database.commit(checkpoint)\n",
                "            sys.stdout.write((checkpoint.state or '') + '\\n')\n            sys.stdout.flush()\n            outcomes = database.commit(checkpoint)\n",
            ),
        ),
        CRASH,
    ),
    Mutant(
        "a commit that failed is passed over",
        "target",
        (("            committing.result()\n", "            committing.exception()\n"),),
        PROMISES,
    ),
    Mutant(
        "a COMMIT whose answer was lost is done again",
        "postgres",
        (("            if self._is_done(cursor):\n", "            if not self:\n"),),
        CONNECTIONS,
    ),
    Mutant(
        "a lost connection ends the run",
        "postgres",
        (
            ("        return self._confirmed > 0 and isinstance", "        return isinstance"),
            ("if self._connection.closed or isinstance(error, _LOST)", "if isinstance(error, ZeroDivisionError)"),
        ),
        CONNECTIONS,
    ),
    Mutant(
        "a signal between two lines of the reader goes unheard",
        "messages",
        (
            ("                if self.interrupted:\n                    break\n", ""),
            ("        while True:\n", "        while not self.interrupted:\n"),
        ),
        READER,
    ),
)


def notices(mutant: Mutant, folder: Path) -> bool:
    """Whether the check fails on a copy with the fault, and is not merely unable to run."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    for part in ("target_eventgen", "tests/target_eventgen"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("tests/conftest.py", "tests/ports.py"):
        shutil.copy(ROOT / file, copy / file)
    module = copy / "target_eventgen" / f"{mutant.module}.py"
    text = module.read_text()
    for old, new in mutant.texts:
        assert old in text, f"{mutant.fault}: {old!r} is not in {mutant.module}.py"
        text = text.replace(old, new)
    module.write_text(text)
    compile(text, str(module), "exec")
    done = subprocess.run(
        [sys.executable, *mutant.check],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    said = done.stdout + done.stderr
    assert "SyntaxError" not in said, said
    return done.returncode != 0


def main(mutants: Sequence[Mutant] = MUTANTS) -> None:
    """Print each fault and whether it was noticed."""
    wanted = sys.argv[1:]
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        for mutant in mutants:
            if wanted and not any(word in mutant.fault for word in wanted):
                continue
            noticed = notices(mutant, Path(folder))
            missed += not noticed
            sys.stdout.write(f"{'caught' if noticed else 'MISSED':<8}{mutant.fault}\n")
            sys.stdout.flush()
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
