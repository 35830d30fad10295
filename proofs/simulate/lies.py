"""Lies: facts that a configuration states of an API that does otherwise, as values.

A lie is a change of the API's quirks, while the configuration goes on to state those from before. `claims` are quirks
that the configuration states as well, so that there is something to be false. A pair is two lies that change different
things.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, Final

from proofs.simulate.cases import CASES, case
from proofs.simulate.quirks import Quirks

Applies = Callable[[Quirks], bool]


@dataclass(frozen=True)
class Lie:
    """One fact made false in one way.

    Attributes:
        fact: what the configuration states, in a word or two.
        way: what the API does instead.
        applies: to which honest quirks.
        real: what differs in the API.
        claims: what the configuration states besides.
    """

    fact: str
    way: str
    applies: Applies
    real: Mapping[str, Any]
    claims: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The fact and the way, as one text."""
        return f"{self.fact}: {self.way}"

    def __reduce__(self) -> tuple[Callable[[int], Lie], tuple[int]]:
        """Between processes a lie is its place among all, as conditions can't be sent."""
        return lie_at, (LIES.index(self),)


@dataclass(frozen=True)
class Claim:
    """What a configuration states (`claimed`) of an API that has the `real` quirks, and the lies that part them."""

    lies: tuple[Lie, ...]
    claimed: Quirks
    real: Quirks

    @property
    def fact(self) -> str:
        """The facts that are false."""
        return " + ".join(lie.fact for lie in self.lies)


def _timed(quirks: Quirks) -> bool:
    return not quirks.timeless


def _by_time(quirks: Quirks) -> bool:
    return quirks.filter in {"inclusive", "exclusive"}


def _filtered(quirks: Quirks) -> bool:
    return quirks.filter in {"inclusive", "exclusive", "compound"}


def _ordered(quirks: Quirks) -> bool:
    return _timed(quirks) and quirks.order != "none"


def _ranked(quirks: Quirks) -> bool:
    """Whether a rank can be the tie-breaker."""
    return quirks.ids == "random" and _ordered(quirks) and not quirks.parents and quirks.tie == "id"


def _paged(quirks: Quirks) -> bool:
    return quirks.counted or quirks.tokens


def _shifty(quirks: Quirks) -> bool:
    """Whether pages are no positions, so that the order of ties matters, and ties have one."""
    return _paged(quirks) and not (quirks.tokens and quirks.stable) and not quirks.unstable_ties


def _stated(quirks: Quirks) -> bool:
    """Whether a paginator of this type has paths to an end that is stated."""
    return quirks.counted or quirks.paginator == "cursor"


def _by(**same: Any) -> Applies:
    return lambda quirks: all(getattr(quirks, name) == value for name, value in same.items())


def _and(*conditions: Applies) -> Applies:
    return lambda quirks: all(condition(quirks) for condition in conditions)


def _plain(quirks: Quirks) -> bool:
    """Whether the times are written as they usually are, so that they can be written otherwise."""
    return _timed(quirks) and quirks.writing == "Z" and quirks.tick % 1000 == 0 and quirks.zone == 0


HOUR: Final = 60
MORE: Final = {"has_more": True}
TOTAL: Final = {"total": True}

LIES: Final = (
    Lie("order", "falls", _and(_timed, _by(order="asc")), {"order": "desc"}),
    Lie("order", "rises", _and(_timed, _by(order="desc")), {"order": "asc"}),
    Lie("order", "none", _ordered, {"order": "none"}),
    Lie("order", "newest change first", _and(_timed, _by(order="asc")), {"order": "none", "hidden": "newest"}),
    Lie("filter", "exclusive", _by(filter="inclusive"), {"filter": "exclusive"}),
    Lie("filter", "inclusive", _by(filter="exclusive"), {"filter": "inclusive"}),
    Lie("filter", "inclusive by time alone", _by(filter="compound"), {"filter": "inclusive"}),
    Lie("filter", "exclusive by time alone", _by(filter="compound"), {"filter": "exclusive"}),
    Lie("filter", "by the time of creation", _by_time, {"filters_by": "born"}),
    Lie("filter parameter", "ignored", _filtered, {"ignored": "since"}),
    Lie("filter parameter", "ignored", _by(filter="unique"), {"ignored": "after"}),
    Lie("range parameter", "ignored", lambda quirks: quirks.ranges, {"ignored": "until"}),
    Lie("range parameter", "the end is not in it", lambda quirks: quirks.ranges, {"until_exclusive": True}),
    Lie("null parameter", "ignored", _by(null_request=True), {"ignored": "nulls"}),
    Lie("precision", "a second", _and(_by_time, _by(precision=1)), {"precision": 1000, "tick": 1}, {"tick": 1}),
    Lie("precision", "a minute", _and(_by_time, lambda quirks: quirks.precision < 60_000), {"precision": 60_000}),
    Lie("digits of values", "seconds of milliseconds", _timed, {"digits": 1000}, {"tick": 1}),
    Lie("paginator type", "page numbers", _by(paginator="cursor"), {"paginator": "page_number"}),
    Lie("paginator type", "page numbers, has_more", _by(paginator="cursor"), {"paginator": "page_number"} | MORE),
    Lie("paginator type", "offsets, a total", _by(paginator="json_link"), {"paginator": "offset"} | TOTAL),
    Lie("paginator type", "page numbers", _by(paginator="offset"), {"paginator": "page_number"}),
    Lie("paginator type", "offsets", _by(paginator="page_number"), {"paginator": "offset"}),
    Lie("paginator type", "tokens", lambda quirks: quirks.counted, {"paginator": "cursor"}),
    Lie("paginator type", "tokens", _by(paginator="single_page"), {"paginator": "cursor"}),
    Lie("paginator type", "page numbers", _by(paginator="single_page"), {"paginator": "page_number"}),
    Lie("paginator type", "offsets, a total", _by(paginator="single_page"), {"paginator": "offset"} | TOTAL),
    Lie("paginator path", "lies elsewhere", lambda quirks: quirks.tokens, {"renamed": "following"}),
    Lie("paginator path", "lies elsewhere, has_more", lambda quirks: quirks.tokens, {"renamed": "following"} | MORE),
    Lie("paging parameter", "ignored", lambda quirks: quirks.tokens, {"ignored": "token"}),
    Lie("paging parameter", "ignored", _by(paginator="page_number"), {"ignored": "page"}),
    Lie("paging parameter", "ignored", _by(paginator="offset"), {"ignored": "offset"}),
    Lie("first page", "one later", _by(paginator="page_number"), {"first": 1}),
    Lie("first page", "one earlier", _by(paginator="page_number"), {"first": 0}, {"first": 1}),
    Lie("limit", "smaller", lambda quirks: quirks.paginator in {"offset", "single_page"}, {"page": 2}, {"page": 6}),
    Lie(
        "stable tokens", "offsets in disguise", _and(lambda quirks: quirks.tokens, _by(stable=True)), {"stable": False}
    ),
    Lie("fixed order", "oldest change first", lambda quirks: quirks.keeps_places, {"hidden": "oldest"}),
    Lie("fixed order", "newest change first", lambda quirks: quirks.keeps_places, {"hidden": "newest"}),
    Lie("order of ties", "another each time", _and(_ordered, _shifty), {"unstable_ties": True}),
    Lie("unique tie-breaker", "shared", _ranked, {"tie": "shared"}, {"tie": "rank"}),
    Lie("primary key", "shared", _ranked, {"same_ids": True}, {"tie": "rank"}),
    Lie("primary key", "shared", _by(ids="random", filter="sweep"), {"same_ids": True}),
    Lie(
        "no null replication key",
        "some, first",
        _and(_timed, _by(null_request=False, nulls_told=False)),
        {"nulls": True},
    ),
    Lie(
        "no null replication key",
        "some, last",
        _and(_timed, _by(null_request=False, nulls_told=False)),
        {"nulls": True, "nulls_turned": True},
    ),
    Lie(
        "no null replication key",
        "some, besides those by request",
        _by(null_request=True, nulls_told=False),
        {"nulls_told": True},
    ),
    Lie("time zone of values", "two hours ahead, unnamed", _plain, {"zone": 2 * HOUR, "local": True}),
    Lie("time zone of values", "two hours behind, unnamed", _plain, {"zone": -2 * HOUR, "local": True}),
    Lie("time zone of the filter", "an hour too late", _filtered, {"misread": HOUR}),
    Lie("time zone of the filter", "an hour too early", _filtered, {"misread": -HOUR}),
    Lie("epoch unit", "seconds, not milliseconds", _plain, {"writing": "epoch_s"}, {"writing": "epoch_ms"}),
    Lie("epoch unit", "milliseconds, not seconds", _plain, {"writing": "epoch_ms"}, {"writing": "epoch_s"}),
    *(Lie("end mark", f"has_more is {way}", _stated, MORE | {"flag": way}, MORE) for way in ("inverted", "missing")),
    *(Lie("end mark", f"has_more is {way} true", _stated, MORE | {"flag": way}, MORE) for way in ("never", "always")),
    *(
        Lie("total", way, lambda quirks: quirks.counted, TOTAL | {"totals": kind}, TOTAL)
        for way, kind in (
            ("of the page", "page"),
            ("one short", "short"),
            ("a page too many", "long"),
            ("missing", "missing"),
        )
    ),
    Lie("lag", "late writes", _and(_timed, _by(lookback=False)), {"late": 8000}),
    Lie("lag", "a clock that is ahead", _and(_timed, _by(clock=True)), {"skew": 6000}),
    Lie("lag", "times of whole minutes", _and(_timed, _by(tick=1000)), {"tick": 60_000}),
    Lie("lookback", "later writes", _by(lookback=True), {"late": 15_000}),
    Lie("result window", "smaller", _by(declared=True), {"window": 8}),
    Lie("lookup", "finds nothing", lambda quirks: quirks.looked_up, {"forgetful": True}),
    Lie(
        "every change moves the key",
        "some don't",
        lambda quirks: not quirks.swept and _timed(quirks),
        {"unmoved": True},
    ),
    Lie("the list is whole", "some are in no list", lambda quirks: quirks.filter != "traversal", {"omits": True}),
    Lie("the list is whole", "some are in no list", _by(filter="traversal"), {"omits": True}),
    *(
        Lie(
            "place of null keys",
            way,
            _by(nulls_told=True, order=order, nulls_turned=turned),
            {"nulls_turned": not turned},
        )
        for way, order, turned in (
            ("last, not first", "asc", False),
            ("first, not last", "asc", True),
            ("last, not first", "desc", True),
            ("first, not last", "desc", False),
        )
    ),
)


def lie_at(place: int) -> Lie:
    """Return the lie at this place of `LIES`."""
    return LIES[place]


NOISY: Final = ("faults", "expiring", "cycle", "nulls", "duplicates", "overlap", "undone", "future")
"""Quirks with which a walk may stop, or log, for reasons of their own: cases that have one tell nothing of a lie."""
TRUTHFUL: Final = tuple(
    name
    for name in CASES
    if case(name).clock
    and not any(getattr(case(name), quirk) for quirk in NOISY if not (quirk == "nulls" and case(name).nulls_told))
)
"""The cases whose configurations lie."""


def claim_of(quirks: Quirks, lies: Sequence[Lie]) -> Claim | None:
    """Return what a configuration for these quirks claims with these lies; None where they don't go together."""
    claimed = real = quirks
    for lie in lies:
        if not lie.applies(claimed):
            return None
        claimed = replace(claimed, **lie.claims)
    for lie in lies:
        real = replace(real, **lie.claims)
    for lie in lies:
        if any(getattr(real, name) != getattr(claimed, name) for name in lie.real):
            return None  # another lie has changed it already
        real = replace(real, **lie.real)
    return None if real == claimed else Claim(tuple(lies), claimed, real)


def singles(name: str) -> list[Claim]:
    """Each lie that a case's configuration can state."""
    return [each for lie in LIES if (each := claim_of(case(name), (lie,))) is not None]


def pairs(name: str) -> list[Claim]:
    """Each two lies of different facts that a case's configuration can state at once."""
    alone = [each.lies[0] for each in singles(name)]
    both = (claim_of(case(name), two) for two in combinations(alone, 2) if two[0].fact != two[1].fact)
    return [each for each in both if each is not None]
