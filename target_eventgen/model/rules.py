"""The rules that turn a transition of a row into an event: parsed from the configuration, one class a form.

A rule is a fact about two versions of a row. Its conditions are Postgres expressions; Postgres itself checks them,
once the columns of the stream are known (see `postgres`). Faults that need no database are found here, all at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from msgspec import Struct
from typing_extensions import assert_never

from target_eventgen.model import guard as guards
from target_eventgen.model.guard import Guard
from target_eventgen.model.spelling import nearest


class Enters(Struct, frozen=True):
    """Fires where the condition is true of the new version and was not true of the one before (or there was none)."""

    condition: str


class Leaves(Struct, frozen=True):
    """Fires where the condition was true of the version before and is not true (false or NULL) of the new one."""

    condition: str


class Changes(Struct, frozen=True):
    """Fires where an existing row gets another value in one of the columns."""

    columns: tuple[str, ...]


class Created(Struct, frozen=True):
    """Fires where there was no row before."""


class Updated(Struct, frozen=True):
    """Fires where an existing row gets other content."""


class Deleted(Struct, frozen=True):
    """Fires where a row is deleted, marked or taken out."""


class When(Struct, frozen=True):
    """Fires where a condition on `old` and `new` is true; `old` is all NULL where there was no row; `new` likewise."""

    condition: str


Trigger: TypeAlias = Enters | Leaves | Changes | Created | Updated | Deleted | When

FORMS: Final = ("enters", "leaves", "changes", "on", "when")
"""The keys of a rule's trigger: each rule has exactly one of them."""

PAYLOADS: Final = ("full", "changed", "key")
"""The choices of a rule's payload."""


class Rule(Struct, frozen=True):
    """An event type, the stream whose rows it watches, what makes it fire, and its location in the configuration."""

    type: str
    stream: str
    trigger: Trigger
    definition: str
    """The rule as canonical JSON: part of an event's id, so that two rules of one type stay apart."""

    location: str
    """The rule's location in the configuration, such as `events[2].enters`."""

    payload: str = "full"
    """The parts of both versions in the event: `full`, `changed` (the changed columns and the key), or `key`."""

    include: tuple[str, ...] | None = None
    """The columns that the event may hold beside the key, and name as changed; None: all."""

    guard: Guard | None = None
    """The rule's own guard; None: that of its stream. It is no part of the definition, and so of no event's id."""


def parse(entries: list[Any]) -> tuple[tuple[Rule, ...], list[str]]:
    """Return the rules of the setting `events`, and every fault found in it."""
    rules: list[Rule] = []
    faults: list[str] = []
    for index, entry in enumerate(entries):
        parsed = _rule(entry, f"events[{index}]")
        if isinstance(parsed, Rule):
            rules.append(parsed)
        else:
            faults.extend(parsed)
    definitions = [rule.definition for rule in rules]
    faults.extend(
        f"{rule.location.rpartition('.')[0]} is the same rule as an earlier one"
        for index, rule in enumerate(rules)
        if rule.definition in definitions[:index]
    )
    return tuple(rules), faults


def _rule(entry: Any, location: str) -> Rule | list[str]:
    if not isinstance(entry, dict):
        return [f"{location} must be an object like {{type: order.paid, stream: orders, enters: \"status = 'paid'\"}}"]
    known = ("type", "stream", *FORMS, "payload", "include", "guard")
    faults = [f"{location} has an unknown key {_unknown(key, known)}" for key in entry if key not in known]
    faults.extend(
        f"{location}.{key} must be a text that is not empty"
        for key in ("type", "stream")
        if not isinstance(entry.get(key), str) or not entry[key].strip()
    )
    payload, include = entry.get("payload"), entry.get("include")
    if payload is not None and payload not in PAYLOADS:
        faults.append(f"{location}.payload must be one of {', '.join(PAYLOADS)}")
    if include is not None and not (isinstance(include, list) and all(isinstance(name, str) for name in include)):
        faults.append(f"{location}.include must be a list of column names")
    faults.extend(guards.faults(entry.get("guard"), f"{location}.guard"))
    forms = [form for form in FORMS if form in entry]
    if not forms and any(str(key).lower() == "true" for key in entry):
        return faults  # one of which says how to write the form that is meant
    if len(forms) != 1:
        given = " and ".join(forms) if forms else "none"
        faults.append(f"{location} needs exactly one of {', '.join(FORMS)}; it has {given}")
        return faults
    trigger = _trigger(forms[0], entry[forms[0]])
    if isinstance(trigger, str):
        faults.append(f"{location}.{forms[0]} {trigger}")
        return faults
    if faults:
        return faults
    watching = {key: value for key, value in entry.items() if key != "guard"}
    definition = json.dumps(watching, sort_keys=True, ensure_ascii=False)
    return Rule(
        entry["type"],
        entry["stream"],
        trigger,
        definition,
        f"{location}.{forms[0]}",
        payload or "full",
        None if include is None else tuple(include),
        None if entry.get("guard") is None else guards.parse(entry["guard"]),
    )


def _unknown(key: Any, known: Iterable[str]) -> str:
    name = str(key)
    if name.lower() == "true":
        return f'"{name}": YAML reads a bare on as true, so quote it: "on": created'
    return f'"{name}"{nearest(name, known)}'


_TEXTS: Final = re.compile(r"'(?:[^']|'')*'")
_CLOCKS: Final = re.compile(
    r"\b(now\s*\(|current_(?:date|time|timestamp)\b|local(?:time|timestamp)\b|(?:transaction|statement)_timestamp\s*\()",
    re.IGNORECASE,
)


def warning(rule: Rule) -> str | None:
    """Return a warning about a rule that can be followed but may not do what its author expects; None where it does."""
    if not isinstance(rule.trigger, Enters | Leaves):
        return None
    match = _CLOCKS.search(_TEXTS.sub("''", rule.trigger.condition))
    if match is None:
        return None
    return (
        f"{rule.location} asks for the moment of loading ({match[1].rstrip('( ').lower()}), which is the same for both versions: "
        "what becomes true or false by the passing of time alone fires nothing, neither where no record comes nor with "
        "the next that does; compare two columns instead, or let the API say it"
    )


def _trigger(form: str, value: Any) -> Trigger | str:
    """Return the trigger of a rule, or its fault."""
    if form == "changes":
        if not isinstance(value, list) or not value or not all(isinstance(name, str) and name for name in value):
            return "must be a list of column names"
        return Changes(tuple(value))
    if form == "on":
        choices: dict[str, Trigger] = {"created": Created(), "updated": Updated(), "deleted": Deleted()}
        if not isinstance(value, str) or value not in choices:
            return "must be created, updated or deleted"
        return choices[value]
    if not isinstance(value, str) or not value.strip():
        return "must be a Postgres boolean expression, such as \"status = 'paid'\""
    if "\0" in value:
        return "holds a NUL character, which no Postgres expression can"
    conditions: dict[str, type[Enters | Leaves | When]] = {"enters": Enters, "leaves": Leaves, "when": When}
    return conditions[form](value)


def application_fault(rule: Rule) -> str | None:
    """Return why a rule can't be applied to the rows that are there; None where it can."""
    match rule.trigger:
        case Enters() | Created() | When():
            return None
        case Leaves():
            reason = "of a row that doesn't satisfy the condition nothing says that it ever did"
        case Changes() | Updated():
            reason = "it compares two versions, and a row that is there has only one"
        case Deleted():
            reason = "it fires of rows that go, not of those that are there"
        case _ as never:
            assert_never(never)
    return (
        f'the rule "{rule.type}" ({rule.location}) can\'t be applied to the rows that are there: {reason}; '
        "only enters, on: created, and when can"
    )
