"""A fault is bound to a definition and a text, wherever in the package the definition is."""

from __future__ import annotations

from pathlib import Path

import pytest

from proofs.mutants.harness import ROOT, Copy, Edit, Mutant, NoLongerAppliesError, Trial, apply, code_of, edited, tried

WALKS = '''\
import os

LIMIT, least = 5, 1
"""How much is read."""
TABLES: dict[str, int] = {
    "a": 1,
}


def keyset(limit):
    def inner():
        return limit + 1

    return inner


class Sieve:
    size = 3

    @property
    def fresh(self):
        return 1 < self.size

    @fresh.setter
    def fresh(self, value):
        self.size = value

    class Inner:
        async def deep(self):
            return 1 < 2


if os.name == "nt":
    SEPARATOR = ";"
else:
    SEPARATOR = ":"

try:
    import fast
except ImportError:

    def fast():
        return "slow"
'''
LISTS = "def keyset(floor):\n    return floor\n\n\nclass Sieve:\n    def fresh(self):\n        return 0\n"
CODE = code_of({"walks.py": WALKS, "inner/lists.py": LISTS})


def mutant(*edits: tuple[str, str, str]) -> Mutant:
    return Mutant("a fault", tuple(Edit(*edit) for edit in edits))


@pytest.mark.parametrize(
    ("owner", "old", "file"),
    [
        ("LIMIT", "5, 1", "walks.py"),
        ("least", "5, 1", "walks.py"),
        ("TABLES", '"a": 1', "walks.py"),
        ("keyset", "limit + 1", "walks.py"),
        ("keyset", "return floor\n", "inner/lists.py"),
        ("Sieve", "size = 3", "walks.py"),
        ("Sieve.size", "size = 3", "walks.py"),
        ("Sieve.fresh", "    @property\n", "walks.py"),
        ("Sieve.fresh", "1 < ", "walks.py"),
        ("Sieve.fresh", "= value\n", "walks.py"),
        ("Sieve.fresh", "return 0", "inner/lists.py"),
        ("Sieve.Inner.deep", "1 < 2", "walks.py"),
        ("SEPARATOR", '";"', "walks.py"),
        ("fast", '"slow"', "walks.py"),
    ],
)
def test_a_text_is_found_by_the_name_of_its_definition(owner: str, old: str, file: str) -> None:
    before = {"walks.py": WALKS, "inner/lists.py": LISTS}[file]
    new = old.replace("1", "7").replace("5", "9").replace("3", "4")
    texts = edited(CODE, mutant((owner, old, new)))
    begin, end = next(
        (each.begin, each.end) for each in CODE.definitions[owner] if old in before[each.begin : each.end]
    )
    assert texts == {file: before[:begin] + before[begin:end].replace(old, new) + before[end:]}


@pytest.mark.parametrize(
    ("edits", "complaint"),
    [
        ([("Sieve.stale", "1", "2")], "nothing is named Sieve.stale"),
        ([("inner", "limit + 1", "limit")], "nothing is named inner"),
        ([("keyset", "Sieve", "2")], "'Sieve' is 0 times in keyset, of walks.py, inner/lists.py"),
        ([("keyset", "limit", "2")], "'limit' is 2 times in keyset, of walks.py"),
        ([("Sieve", "1 < ", "2 < ")], "'1 < ' is 2 times in Sieve, of walks.py"),
        ([("keyset", "return", "yield")], "'return' is 3 times in keyset, of walks.py, inner/lists.py"),
        ([("keyset", "limit + 1", "0"), ("keyset", "+ 1", "0")], "two edits overlap in walks.py"),
        ([("keyset", "limit + 1", "limit +")], "the edited walks.py is no Python: invalid syntax (walks.py, line 12)"),
    ],
)
def test_a_text_that_is_not_there_exactly_once_is_reported_with_the_files(
    edits: list[tuple[str, str, str]], complaint: str
) -> None:
    with pytest.raises(NoLongerAppliesError) as told:
        edited(CODE, mutant(*edits))
    assert str(told.value).startswith(complaint)


def test_a_text_of_a_name_that_two_modules_define_must_be_in_one_of_them_alone() -> None:
    twice = code_of({"a.py": LISTS, "b.py": LISTS})
    with pytest.raises(NoLongerAppliesError, match=r"'return 0' is 2 times in Sieve\.fresh, of a\.py, b\.py"):
        edited(twice, mutant(("Sieve.fresh", "return 0", "return 1")))


def test_edits_may_be_in_several_files_and_are_sought_in_the_code_as_it_is() -> None:
    texts = edited(
        CODE,
        mutant(("keyset", "return floor", "return limit + 1"), ("keyset", "limit + 1", "limit"), ("LIMIT", "5", "50")),
    )
    assert texts == {
        "walks.py": WALKS.replace("limit + 1", "limit").replace("5, 1", "50, 1"),
        "inner/lists.py": LISTS.replace("return floor", "return limit + 1"),
    }


def test_a_module_may_move_to_another_folder(tmp_path: Path) -> None:
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "far" / "away" / "anything.py").write_text(LISTS)
    apply(mutant(("Sieve.fresh", "return 0", "return 1")), tmp_path)
    assert (tmp_path / "far" / "away" / "anything.py").read_text() == LISTS.replace("return 0", "return 1")


@pytest.mark.parametrize("package", ["tap_restextract", "target_eventgen"])
def test_what_runs_in_a_copy_and_what_that_starts_find_the_copy_first(package: str) -> None:
    inner = f"import {package}, tests.support.ports; print({package}.__file__, tests.support.ports.__file__)"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}], cwd='/', check=True)"

    def attempt(copy: Copy) -> Trial:
        done = copy.run("-c", script, seconds=60)
        found = f"{copy.folder / package / '__init__.py'} {ROOT / 'tests' / 'support' / 'ports.py'}\n"
        return Trial(fault, "caught" if done.stdout == found else "survived", findings=done.stdout + done.stderr)

    fault = Mutant("a fault", ())
    trial = tried(fault, package, attempt)
    assert trial.is_good, str(trial)


def test_what_takes_too_long_is_ended_with_all_that_it_started() -> None:
    sleeper = "import time; time.sleep(600)"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {sleeper!r}])"

    def attempt(copy: Copy) -> Trial:
        copy.run("-c", script, seconds=1)  # what it started holds its output open: without its end this would wait
        raise AssertionError

    trial = tried(Mutant("a fault", ()), "target_eventgen", attempt)
    assert (trial.verdict, trial.findings) == ("timeout", "not done after 1 s")
