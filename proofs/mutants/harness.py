"""Deliberate faults: edits of a package's code, each of which the tests must notice, tried in a copy of the package.

An edit says where its text is by the name of the definition that holds it, such as `Sieve.fresh`, `keyset` or
`TABLES`, and by no file: code may move from module to module, and its faults move along. A name may be defined in
several modules; the one definition that has the text is meant. What has gone, or is there twice, is told as an error
that names the files.

The definitions of a module are its functions, its classes with their methods, inner classes and constants, and its
constants: all names that are assigned to outside of functions. What is defined within a function belongs to it. A
definition is whole lines, its decorators among them. Everything up to `edited` is pure; what is below it copies, writes
and runs.
"""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

CAUGHT: Final = "caught"
SURVIVED: Final = "survived"
NO_LONGER_APPLIES: Final = "no longer applies"
TIMEOUT: Final = "timeout"
BROKEN: Final = "broken"
"""What became of a mutant. A broken one could not be judged: what should have noticed it could not run."""


@dataclass(frozen=True)
class Edit:
    """In the definition of a name (`Class.method`, `function`, `Class` or `CONSTANT`), which text becomes which."""

    owner: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A fault: what it is, and the edits that make it. Each list of them adds what must notice it."""

    name: str
    edits: tuple[Edit, ...]

    @property
    def owners(self) -> str:
        """The names of the definitions that it changes."""
        return ", ".join(dict.fromkeys(edit.owner for edit in self.edits))


@dataclass(frozen=True)
class Definition:
    """Where a name is defined: the file, and the offsets of the definition's first line and of its end."""

    name: str
    file: str
    begin: int
    end: int


@dataclass(frozen=True)
class Code:
    """The text of each file of a package, and the definitions of each name."""

    texts: Mapping[str, str]
    definitions: Mapping[str, Sequence[Definition]]


class NoLongerAppliesError(Exception):
    """The text that an edit replaces is not there exactly once."""


def code_of(texts: Mapping[str, str]) -> Code:
    """The code that is in files of these names and texts."""
    definitions: dict[str, list[Definition]] = {}
    for file, text in texts.items():
        offsets = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
        for name, first, last in _named(ast.parse(text, file).body, ""):
            definition = Definition(name, file, offsets[first - 1], min(offsets[last], len(text)))
            definitions.setdefault(name, []).append(definition)
    return Code(texts, definitions)


def _named(body: Iterable[ast.stmt], within: str) -> Iterator[tuple[str, int, int]]:
    """Each name that is defined here, with the first and the last line of its definition."""
    for statement in body:
        last = statement.end_lineno or statement.lineno
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                first = min([statement.lineno, *(decorator.lineno for decorator in statement.decorator_list)])
                yield f"{within}{statement.name}", first, last
                if isinstance(statement, ast.ClassDef):
                    yield from _named(statement.body, f"{within}{statement.name}.")
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                for part in (part for target in targets for part in ast.walk(target)):
                    if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                        yield f"{within}{part.id}", statement.lineno, last
            case _:  # such as `if` and `try`, which may hold definitions
                for kind in ("body", "handlers", "orelse", "finalbody"):
                    for part in getattr(statement, kind, ()):
                        yield from _named(part.body if isinstance(part, ast.ExceptHandler) else [part], within)


def place_of(code: Code, edit: Edit) -> Definition:
    """The definition that has the edit's text, from where it begins to where it ends.

    Raises:
        NoLongerAppliesError: nothing has this name, or the text isn't there, or it is there more than once.
    """
    definitions = code.definitions.get(edit.owner, ())
    if not definitions:
        raise NoLongerAppliesError(f"nothing is named {edit.owner}")
    places = []
    for definition in definitions:
        begin = code.texts[definition.file].find(edit.old, definition.begin, definition.end)
        while begin >= 0:
            places.append(Definition(edit.owner, definition.file, begin, begin + len(edit.old)))
            begin = code.texts[definition.file].find(edit.old, begin + 1, definition.end)
    if len(places) == 1:
        return places[0]
    files = ", ".join(dict.fromkeys(each.file for each in places or definitions))
    raise NoLongerAppliesError(f"{edit.old!r} is {len(places)} times in {edit.owner}, of {files}")


def edited(code: Code, mutant: Mutant) -> dict[str, str]:
    """The files that the mutant changes, by name, as it leaves them. All its places are sought in the code as it is.

    Raises:
        NoLongerAppliesError: a text isn't there exactly once, or two edits overlap, or what comes of it is no Python.
    """
    places: dict[str, list[tuple[int, int, str]]] = {}
    for edit in mutant.edits:
        place = place_of(code, edit)
        places.setdefault(place.file, []).append((place.begin, place.end, edit.new))
    texts: dict[str, str] = {}
    for file, changes in places.items():
        text, parts, done = code.texts[file], [], 0
        for begin, end, new in sorted(changes):
            if begin < done:
                raise NoLongerAppliesError(f"two edits overlap in {file}")
            parts += [text[done:begin], new]
            done = end
        texts[file] = "".join([*parts, text[done:]])
        try:
            compile(texts[file], file, "exec", dont_inherit=True)
        except SyntaxError as error:
            raise NoLongerAppliesError(f"the edited {file} is no Python: {error}") from error
    return texts


def read(package: Path) -> Code:
    """The code of a package's folder; files are named by their paths in it."""
    return code_of(
        {
            path.relative_to(package).as_posix(): path.read_text(encoding="utf-8")
            for path in sorted(package.rglob("*.py"))
        }
    )


def apply(mutant: Mutant, package: Path) -> None:
    """Put the fault into a copy of the package.

    Raises:
        NoLongerAppliesError: as of `edited`; nothing is written then.
    """
    for file, text in edited(read(package), mutant).items():
        (package / file).write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Copy:
    """A folder with a copy of a package, of which a fault may be part."""

    folder: Path

    def run(self, *arguments: str, seconds: float) -> subprocess.CompletedProcess[str]:
        """Run Python there; it and what it starts find the copy first, then the project.

        Raises:
            subprocess.TimeoutExpired: it took longer; it was killed, with all that it had started.
        """
        path = f"{self.folder}{os.pathsep}{ROOT}"
        with subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, complaints = process.communicate(timeout=seconds)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, output, complaints)


@dataclass(frozen=True)
class Trial:
    """What became of a mutant; `seeds` is how many schedules it took, where schedules were played."""

    mutant: Mutant
    verdict: str
    seeds: int = 0
    findings: str = ""

    @property
    def is_good(self) -> bool:
        """Whether it was caught."""
        return self.verdict == CAUGHT

    def __str__(self) -> str:
        """A line of a table."""
        within = f" within {self.seeds} schedules" if self.seeds else ""
        return f"{self.verdict:8} {self.mutant.name} ({self.mutant.owners}){within}{self.findings and f': {self.findings}'}"


def tried(mutant: Mutant, package: str, attempt: Callable[[Copy], Trial], *, beside: Iterable[str] = ()) -> Trial:
    """The mutant in a copy of the package, and of other files and folders of the project, as the attempt judges it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in (package, *beside):
            (folder / part).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / part, folder / part)
        try:
            apply(mutant, folder / package)
            return attempt(Copy(folder))
        except NoLongerAppliesError as error:
            return Trial(mutant, NO_LONGER_APPLIES, findings=str(error))
        except subprocess.TimeoutExpired as error:
            return Trial(mutant, TIMEOUT, findings=f"not done after {error.timeout:.0f} s")
