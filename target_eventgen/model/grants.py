"""Who may use the tables that the target makes: the setting `grants`, as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Struct

from target_eventgen.model.json_schema import described
from target_eventgen.model.spelling import nearest

PRIVILEGES: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN", "ALL")
"""What Postgres grants on a table; MAINTAIN from 17 on."""


class GrantEntry(msgspec.Struct):
    """An entry of `grants`, as the configuration has it."""

    role: Annotated[str, described("Role", "A role of Postgres's, or public.")]
    privileges: Annotated[list[str] | None, described("Privileges", "On each table; SELECT alone if not given.")] = None


class Grant(Struct, frozen=True):
    """What a role may do with tables.

    Attributes:
        role: its name, as Postgres has it.
        privileges: on a table, in capitals.
    """

    role: str
    privileges: tuple[str, ...] = ("SELECT",)


def parse(entries: Sequence[Any]) -> tuple[Grant, ...]:
    """Return the grants of a configuration without faults."""
    return tuple(
        Grant(entry["role"], tuple(each.upper() for each in entry.get("privileges") or ("SELECT",)))
        for entry in entries
    )


def faults(entries: Any) -> Iterator[str]:
    """Yield what is wrong with the setting."""
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        location = f"grants[{index}]"
        if not isinstance(entry, Mapping):
            yield f"{location} must be an object, such as {{role: reporting}}"
            continue
        for name in entry:
            if name not in {"role", "privileges"}:
                yield f'{location} has an unknown key "{name}"{nearest(name, ("role", "privileges"))}'
        if not isinstance(entry.get("role"), str) or not entry["role"]:
            yield f"{location}.role must be the name of a role"
        privileges = entry.get("privileges")
        if privileges is not None and not isinstance(privileges, list):
            yield f"{location}.privileges must be a list, such as [SELECT]"
            continue
        others = [each for each in privileges or () if not isinstance(each, str) or each.upper() not in PRIVILEGES]
        if others:
            named = ", ".join(f'"{each}"{nearest(str(each).upper(), PRIVILEGES)}' for each in others)
            yield f"{location}.privileges must be of {', '.join(PRIVILEGES)}, and not {named}"
