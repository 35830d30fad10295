"""What is decided about a stream once its SCHEMA has come: its table, its rules, how its versions are ordered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from target_eventgen.errors import RuleError
from target_eventgen.model.rules import Changes, Rule
from target_eventgen.model.spelling import nearest
from target_eventgen.model.tables import DELETED_AT, MAX_PAIRED_COLUMNS, ORDERED_TYPES, Column, Table
from target_eventgen.model.trace import Trace
from target_eventgen.model.versions import APPLY, ARRIVAL, TEXT, TEXTS


class Plan(Struct, frozen=True):
    """One stream's part in every checkpoint.

    Attributes:
        table: where it is stored.
        types: its columns as they are in the database, in the table's order; an older table may differ from the SCHEMA.
        rules: those that watch it, in the order of the configuration; none while its events are suppressed.
        stage: the name of its temporary staging table.
        source: the CloudEvents source.
        run: a number that identifies this run of the target.
        hard: whether a deletion takes the row out of the table; else it is only marked.
        generations: columns that were added to a table that had rows, with the number of the widening that added each.
        renewable: whether a key may come again of which the table remembers nothing.
        trace: where the trace of its events comes from; None: they have none.
        allowed: for each rule, how many events the run may hand on, by its guard; None: any number. None at all where
            no rule has a guard.
        may_hold: whether events of the stream may be held: a rule has a guard, or some had been held as the run began.
        referring: quoted names of the streams' tables whose foreign keys keep this one's rows from being deleted, where
            deletions take rows out.
        names_table: whether the ids of its events are made of its table and source, too; not where code made the table
            that left them out.
        undo_days: for how many days the rows that this run replaces are kept; None: they aren't.
    """

    table: Table
    types: tuple[Column, ...]
    rules: tuple[Rule, ...]
    stage: str
    source: str
    run: int = 0
    hard: bool = False
    renewable: bool = False
    generations: Mapping[str, int] = field(default_factory=dict)
    trace: Trace | None = None
    allowed: tuple[int | None, ...] = ()
    may_hold: bool = False
    referring: frozenset[str] = frozenset()
    names_table: bool = True
    undo_days: float | None = None

    @property
    def generation(self) -> int:
        """The number of the last widening; 0 where the table is as it was made."""
        return max(self.generations.values(), default=0)

    @property
    def is_wide(self) -> bool:
        """Whether the content before a transition is one value, since a row can't hold both contents in columns."""
        return len(self.table.content) > MAX_PAIRED_COLUMNS

    @property
    def deletable(self) -> bool:
        """Whether the table has the column that marks a row as deleted."""
        return any(column.name == DELETED_AT for column in self.table.metadata)

    @property
    def version(self) -> Column | None:
        """The column that says which of two versions is older, with its type in the database; None: arrival does."""
        if self.table.order == ARRIVAL or self.table.stale == APPLY:
            return None
        key = self.moment
        return key if key is not None and key.type in ORDERED_TYPES else None

    @property
    def further_versions(self) -> tuple[Column, ...]:
        """The columns that say it where those before are equal; of texts nothing but instants and numbers can."""
        if self.version is None or (self.table.order == TEXT and self.version.type in {*TEXTS, "jsonb"}):
            return ()
        stored = [self.type_of(key.name) for key in self.table.further_keys]
        return tuple(
            column
            for column in (Column(each.name, each.bare) for each in stored if each is not None)
            if column.type in ORDERED_TYPES and not (self.table.order == TEXT and column.type in {*TEXTS, "jsonb"})
        )

    @property
    def moment(self) -> Column | None:
        """The column of the replication key, with its type in the database, whether or not it orders versions."""
        key = self.table.replication_key
        stored = None if key is None else self.type_of(key.name)
        return None if stored is None else Column(stored.name, stored.bare)

    def type_of(self, name: str) -> Column | None:
        """Return a column as it is in the database."""
        return next((column for column in self.types if column.name == name), None)


def rules_for(stream: str, rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """Return the rules that watch a stream."""
    return tuple(rule for rule in rules if rule.stream == stream)


def check(table: Table, rules: Sequence[Rule], *, appends: bool = False) -> None:
    """Refuse rules that the stream's SCHEMA alone shows to be impossible.

    Args:
        table: of the stream.
        rules: those that watch it.
        appends: whether it has no key because each record is to be a row of its own.

    Raises:
        RuleError: a stream without key, or a column that it doesn't have.
    """
    names = [column.name for column in table.properties]
    for rule in rules:
        if appends:
            raise RuleError(
                f'stream "{table.stream}": with load_method append-only each record is a row of its own, so no row ever '
                f'changes: the rule {rule.location} ("{rule.type}") has nothing to compare; use load_method upsert, or '
                "take the rule out"
            )
        if not table.key:
            raise RuleError(
                f'stream "{table.stream}" has no key properties, so no row of it can change: '
                f'the rule {rule.location} ("{rule.type}") has nothing to compare; '
                "declare key properties in the tap, or with __key_properties__ in a stream map"
            )
        watched = rule.trigger.columns if isinstance(rule.trigger, Changes) else ()
        head = rule.location.rpartition(".")[0]
        for location, wanted in ((rule.location, watched), (f"{head}.include", rule.include or ())):
            for name in wanted:
                if name not in names:
                    raise RuleError(
                        f'stream "{table.stream}", {location} of the rule "{rule.type}": there is no column "{name}"'
                        f"{nearest(name, names)}; its columns are {', '.join(names)}"
                    )
