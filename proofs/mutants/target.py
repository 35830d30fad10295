"""Faults put into the target's code on purpose, one at a time, each of which the tests must find.

`python -m proofs.mutants.target` copies the package and its tests, changes a text in the copy, and runs the
checks that should notice there (see `harness`). It prints which did, and ends with status 1 where one fault went
by. A text that is no longer in the code is a fault of this list.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from proofs.mutants import harness
from proofs.mutants.harness import BROKEN, CAUGHT, SURVIVED, Copy, Edit, Trial

PACKAGE = "target_eventgen"
BESIDE = ("tests", "proofs")
"""What is copied with the package: the tests that are named by their files."""

SECONDS = 900

HISTORIES = ["-m", "proofs.histories", "300", "--as-found"]
CRASH = ["-m", "proofs.crash", "24"]
CONTENTION = ["-m", "pytest", "-q", "-x", "tests/target/test_contention.py", "-k", "waits or order"]
CONNECTIONS = ["-m", "pytest", "-q", "-x", "tests/target/test_lost_connections.py"]
PROMISES = ["-m", "pytest", "-q", "-x", "tests/target/test_promises.py", "-k", "e4"]
INSTANTS = ["-m", "pytest", "-q", "-x", "tests/target/test_promises.py", "-k", "e1"]
DELETIONS = ["-m", "pytest", "-q", "-x", "tests/target/test_inputs.py", "-k", "delete"]
EMPTY = ["-m", "pytest", "-q", "-x", "tests/proofs/test_histories.py", "-k", "empty"]
EVERY = ["-m", "pytest", "-q", "-x", "tests/proofs/test_histories.py", "-k", "every_history"]
ORDER = ["-m", "pytest", "-q", "-x", "tests/target/test_inputs.py", "-k", "order"]
REPEATS = ["-m", "pytest", "-q", "-x", "tests/target/test_inputs.py", "-k", "repeated or version"]
UNCHANGED = ["-m", "pytest", "-q", "-x", "tests/target/test_tables.py", "-k", "repeats_is_stored"]
PLAIN = ["-m", "pytest", "-q", "-x", "tests/target/test_records.py"]
INPUTS = [
    "-m",
    "pytest",
    "-q",
    "-x",
    "tests/target/test_inputs.py",
    "-k",
    "text or nul or escape or name or unicode",
]
HELD = ["-m", "pytest", "-q", "-x", "tests/target/test_guard.py"]
HELD_RACES = [
    "-m",
    "pytest",
    "-q",
    "-x",
    "tests/target/test_guard_processes.py",
    "-k",
    "writer_that_waited or decision_waits",
]
READER = ["-m", "pytest", "-q", "-x", "tests/target/test_signals.py", "-k", "loop"]


LONG_WAY = Edit(
    "upsertable", "    return plan.version is not None and", "    return plan.version is None and plan.hard and"
)
"""Nothing is written in one pass, so that what is done otherwise is looked at."""


@dataclass(frozen=True)
class Mutant(harness.Mutant):
    """A fault in the target, and the command that must notice it."""

    check: list[str]


MUTANTS = (
    Mutant(
        "rows that exist are not locked",
        (
            Edit(
                "claim",
                " ON CONFLICT ({key}) DO UPDATE SET {version} = stored.{version} WHERE",
                " ON CONFLICT DO NOTHING /*",
            ),
            Edit(
                "claim",
                "\" AND set_config('eventgen.replay_detected', 'yes', true) IS NULL\"",
                "\" AND set_config('eventgen.replay_detected', 'yes', true) IS NULL */\"",
            ),
            LONG_WAY,
        ),
        CONTENTION,
    ),
    Mutant(
        "keys are locked in order of arrival",
        (
            Edit(
                "claim",
                "FROM transitions WHERE _eventgen_last ORDER BY {key}",
                "FROM transitions WHERE _eventgen_last ORDER BY {n}",
            ),
            Edit(
                "upsert",
                'FROM {stage} AS s{changed} ORDER BY {key}"',
                'FROM {stage} AS s{changed} ORDER BY _eventgen_n"',
            ),
            Edit(
                "claim",
                "        count=COUNT,\n        key=column_names(plan.table.key),\n",
                "        count=COUNT,\n        n=NUMBER,\n        key=column_names(plan.table.key),\n",
            ),
        ),
        CONTENTION,
    ),
    Mutant(
        "only the last version of a key is judged",
        (
            Edit(
                "events",
                "WHERE edge.fires)",
                "WHERE edge.fires AND to_jsonb(judged)->>'_eventgen_last' IS DISTINCT FROM 'false')",
            ),
        ),
        HISTORIES,
    ),
    Mutant(
        "older versions are accepted",
        (Edit("not_stale", "{} AND ({} < {}) IS NOT TRUE", "{} AND (({} < {}) IS NOT NULL OR true)"),),
        HISTORIES,
    ),
    Mutant(
        "older versions are accepted of a key that comes once",
        (
            Edit("replaced", "FROM compared WHERE NOT _eventgen_stale)", "FROM compared)"),
            LONG_WAY,
        ),
        HISTORIES,
    ),
    Mutant(
        "older versions are accepted in one pass",
        (
            Edit(
                "upsert",
                "'yes', true) IS NULL\"\n        \" WHEN stored",
                "'yes', true) IS NOT NULL\"\n        \" WHEN stored",
            ),
        ),
        HISTORIES,
    ),
    Mutant(
        "rows of which something else was told are left out as unchanged",
        (Edit("_unlike_rows", " AND ROW({old}) IS NOT DISTINCT FROM ROW({new}) OFFSET 0", " OFFSET 0"),),
        UNCHANGED,
    ),
    Mutant(
        "what another run told is written in one pass",
        (
            Edit(
                "KeyedWriter._upsert",
                "        if replayed or parked or held_by_others:\n            raise",
                "        if parked or held_by_others:\n            raise",
            ),
        ),
        HISTORIES,
    ),
    Mutant(
        "unchanged rows are written in one pass",
        (Edit("upsert", " ELSE {gone} OR ROW({values})", " ELSE true OR ROW({values})"),),
        HISTORIES,
    ),
    Mutant(
        "a plain record that doesn't mention a property has a word for it",
        (Edit("LineBlock.unfinished", "enumerate(lines) if UNSET in line]", "enumerate(lines) if not line]"),),
        PLAIN,
    ),
    Mutant(
        "a plain record's strings are copied as they are",
        (Edit("LineBlock.special", "if SPECIAL.search(line) is not None)", "if not line)"),),
        INPUTS,
    ),
    Mutant(
        "a key that comes twice in a run is thought to come once",
        (Edit("EventgenSink._are_new", "if len(indexes) < len(keys) or None in indexes", "if None in indexes"),),
        REPEATS,
    ),
    Mutant(
        "a key of an earlier run is thought to be new",
        (Edit("EventgenSink._are_new", " or not self._keys.keys().isdisjoint(indexes):", ":"),),
        REPEATS,
    ),
    Mutant(
        "a plain record may come without its key",
        (
            Edit(
                "compile_encoder",
                "is_required = name in required or name in plan.table.key",
                "is_required = name in required",
            ),
        ),
        PLAIN,
    ),
    Mutant(
        "whatever a key says in a checkpoint after its first record is taken for a repetition",
        (Edit("EventgenSink._is_repeat", "self._content(self._lines[index]) == self._content(line)", "line"),),
        [*INPUTS[:-1], "repeated"],
    ),
    Mutant(
        "versions are taken in order of arrival",
        (Edit("CHAIN_ORDER", '"({n} > 0), {at} NULLS FIRST, {n}"', '"({n} > 0), {n}"'),),
        HISTORIES,
    ),
    Mutant(
        "a record without version is dropped",
        (Edit("not_stale", "{} AND ({} < {}) IS NOT TRUE", "{} AND ({} < {}) IS FALSE"),),
        HISTORIES,
    ),
    Mutant(
        "a row that was just created counts as the one before",
        (Edit("rows_of_others", "(t.xmin <> pg_current_xact_id()::xid OR t.", "(t.xmin IS NOT NULL OR t."),),
        HISTORIES,
    ),
    Mutant(
        "a property that is not mentioned becomes null",
        (Edit("fill", "= 1 AND {continues} THEN", "= 1 AND NOT {continues} THEN"),),
        HISTORIES,
    ),
    Mutant(
        "a condition that held before fires again",
        (Edit("_judgements", "NOT (_eventgen_existed AND {was}))", "({was} OR NOT {was}))"),),
        HISTORIES,
    ),
    Mutant(
        "a property that is not mentioned is not the row's",
        (Edit("history_of_keys", "THEN CASE WHEN NOT b._eventgen_gone OR", "THEN CASE WHEN b._eventgen_gone OR"),),
        HISTORIES,
    ),
    Mutant(
        "what another run told of an instant is told again",
        (Edit("judge", "            repeated = step\n", "            repeated = 0\n"),),
        HISTORIES,
    ),
    Mutant(
        "a piece of a story is news at once",
        (Edit("judge", "    if not ended and _is_underway", "    if not history and _is_underway"),),
        HISTORIES,
    ),
    Mutant(
        "a piece of a story is never news",
        (
            Edit(
                "Loader.checkpoint",
                "judgement_of_parked(sink.plan) for sink in sinks if sink.plan.table.key",
                "judgement_of_parked(sink.plan) for sink in sinks[:0]",
            ),
        ),
        INSTANTS,
    ),
    Mutant(
        "a run that went through a story doesn't say so",
        (Edit("KeyedWriter.write", "        if checked:\n", "        if checked and not plan:\n"),),
        INSTANTS,
    ),
    Mutant(
        "a row without version is of no instant",
        (
            Edit(
                "instant_of",
                'return sql.SQL("coalesce({}, {})").format(version_of(plan, qualifier), kept)',
                "return version_of(plan, qualifier)",
            ),
        ),
        HISTORIES,
    ),
    Mutant(
        "a run that ended well leaves its stories",
        (
            Edit(
                "Loader._comes_again",
                "        return self._state is None or self._after_state or bool(self._activations)\n",
                "        return True\n",
            ),
        ),
        INSTANTS,
    ),
    Mutant(
        "nothing remembers a row that was taken out",
        (
            Edit(
                "KeyedWriter.take_out",
                "keep_tombstones=plan.hard and batch.activated is None",
                "keep_tombstones=False",
            ),
        ),
        DELETIONS,
    ),
    Mutant(
        "a deletion of a deleted row leaves its version",
        (
            Edit(
                "_changes",
                " OR NOT _eventgen_preceded OR ROW({new}) IS DISTINCT FROM ROW({old})))",
                " OR NOT _eventgen_preceded OR (NOT _eventgen_gone AND ROW({new}) IS DISTINCT FROM ROW({old}))))",
            ),
        ),
        EVERY,
    ),
    Mutant(
        "a row that arrives deleted is told to rules",
        (Edit("judged", "(_eventgen_existed OR NOT _eventgen_gone) AND ", "true AND "),),
        EVERY,
    ),
    Mutant(
        "a deletion of an unknown key is forgotten",
        (Edit("delete_gone_rows", " AND ROW({}) IS NULL", " AND (ROW({}) IS NULL OR true)"),),
        EVERY,
    ),
    Mutant(
        "what comes back has something of the deleted row",
        (Edit("fill", "c._eventgen_was_gone AND NOT {gone} THEN NULL", "c._eventgen_was_gone AND {gone} THEN NULL"),),
        EVERY,
    ),
    Mutant(
        "nothing remains of a tombstone",
        (Edit("restore_tombstoned", "d.remains IS NOT NULL OR ", ""),),
        EVERY,
    ),
    Mutant(
        "what is finer than a microsecond is no version",
        (Edit("compared", "({} + coalesce({}, 0))", "({0} + 0 * coalesce({1}, 0))"),),
        ORDER,
    ),
    Mutant(
        "of several replication keys the first alone counts",
        (Edit("compared", "THEN v[:coalesce", "THEN v[:0 * coalesce"),),
        ORDER,
    ),
    Mutant(
        "empty JSON is taken for null",
        (Edit("content_hash", "'0123456789.eE+-', ''), 0))", "'0123456789.eE+-[]{{}}', ''), 0))"),),
        EMPTY,
    ),
    Mutant(
        "an event's id knows no version",
        (Edit("_recorded", " _eventgen_key, _eventgen_count, ", " _eventgen_key, "),),
        HISTORIES,
    ),
    Mutant(
        "the first version of a key is stored",
        (Edit("_numbered", "lead({n}) OVER w IS NULL AS _eventgen_last", "lag({n}) OVER w IS NULL AS _eventgen_last"),),
        HISTORIES,
    ),
    Mutant(
        "rows are committed before their events",
        (
            Edit(
                "fill_stage",
                "    cursor.execute(stage.create_stage(plan, arriving))\n",
                "    cursor.execute('DROP TABLE IF EXISTS pg_temp.' + plan.stage)\n    cursor.execute(stage.create_stage(plan, arriving).as_string(cursor).replace('ON COMMIT DROP', ''))\n",
            ),
            Edit(
                "KeyedWriter._upsert",
                "        failpoints.reach(failpoints.AFTER_LOCK)",
                "        cursor.connection.commit()\n        failpoints.reach(failpoints.AFTER_LOCK)",
            ),
            Edit(
                "KeyedWriter.write",
                "        failpoints.reach(failpoints.AFTER_LOCK)",
                "        cursor.connection.commit()\n        failpoints.reach(failpoints.AFTER_LOCK)",
            ),
        ),
        HISTORIES,
    ),
    Mutant(
        "STATE leaves before the commit",
        (
            Edit(
                "Committer._commit",
                "            outcomes = database.commit(checkpoint)\n",
                "            sys.stdout.write((checkpoint.state or '') + '\\n')\n            sys.stdout.flush()\n            outcomes = database.commit(checkpoint)\n",
            ),
        ),
        CRASH,
    ),
    Mutant(
        "a commit that failed is passed over",
        (Edit("Committer.join", "            committing.result()\n", "            committing.exception()\n"),),
        PROMISES,
    ),
    Mutant(
        "a COMMIT whose answer was lost is done again",
        (Edit("Postgres._commit", "            if self._is_done(cursor):\n", "            if not self:\n"),),
        CONNECTIONS,
    ),
    Mutant(
        "a lost connection ends the run",
        (
            Edit(
                "Connection._is_loss", "        return self.has_committed and isinstance", "        return isinstance"
            ),
            Edit(
                "Connection._is_loss",
                "if self._connection.closed or isinstance(error, LOST)",
                "if isinstance(error, ZeroDivisionError)",
            ),
        ),
        CONNECTIONS,
    ),
    Mutant(
        "a signal between two lines of the reader goes unheard",
        (
            Edit(
                "LineReader._process_lines",
                "                self._waiting = True\n                if self.interrupted:\n                    break\n",
                "                self._waiting = True\n",
            ),
            Edit(
                "LineReader._process_lines",
                "            for index in left:\n                if self.interrupted:\n                    break\n",
                "            for index in left:\n",
            ),
            Edit("LineReader._process_lines", "        while True:\n", "        while not self.interrupted:\n"),
        ),
        READER,
    ),
    Mutant(
        "an event written in one pass overtakes what was held while the row was waited for",
        (Edit("overtaken", "guard.others(plan)", "sql.SQL('SELECT WHERE false')"),),
        HELD_RACES,
    ),
    Mutant(
        "a decision on held events lets loads go on",
        (Edit("_decide", "        cursor.execute(guard.LOCK_EVENTS)\n", ""),),
        HELD_RACES,
    ),
    Mutant(
        "an event goes past a held one of its key that another run recorded",
        (Edit("recorded", "h.subject = fresh.subject AND", "false AND h.subject = fresh.subject AND"),),
        HELD,
    ),
    Mutant(
        "an event goes past a held one of its key in the same batch",
        (Edit("recorded", "bool_or(_eventgen_beyond) OVER", "bool_or(false) OVER"),),
        HELD,
    ),
    Mutant(
        "a guard forgets what the run has fired at each checkpoint",
        (Edit("_counted", "'events', events + number", "'events', 0"),),
        HELD,
    ),
    Mutant(
        "a released event goes past one of its key that is still held",
        (Edit("_free", "bool_or(state = {held} OR", "bool_or("),),
        HELD,
    ),
    Mutant(
        "a discarded event is recorded again",
        (Edit("recorded", "WHERE h.id = said.id)", "WHERE h.id = said.id AND h.state <> 'discarded')"),),
        HELD,
    ),
)


_UNABLE = ("SyntaxError", "No module named tests", "during collection")
"""What is said by a check that could not run."""


def tried(mutant: Mutant) -> Trial:
    """Whether the check fails on a copy with the fault, and is not merely unable to run."""

    def attempt(copy: Copy) -> Trial:
        done = copy.run(*mutant.check, seconds=SECONDS)
        said = done.stdout + done.stderr
        if done.returncode == 0:
            return Trial(mutant, SURVIVED)
        # 4 and 5 are pytest's: such a file isn't there, or no test has such a name.
        if done.returncode in {4, 5} or any(words in said for words in _UNABLE):
            return Trial(mutant, BROKEN, findings=said[-300:])
        return Trial(mutant, CAUGHT)

    return harness.tried(mutant, PACKAGE, attempt, beside=BESIDE)


def main(mutants: Sequence[Mutant] = MUTANTS) -> None:
    """Print each fault and whether it was noticed."""
    wanted = sys.argv[1:]
    missed = 0
    for mutant in mutants:
        if wanted and not any(word in mutant.name for word in wanted):
            continue
        trial = tried(mutant)
        missed += not trial.is_good
        verdict = {SURVIVED: "MISSED"}.get(trial.verdict, trial.verdict)
        sys.stdout.write(f"{verdict:<7} {mutant.name}{trial.findings and f': {trial.findings}'}\n")
        sys.stdout.flush()
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
