"""Lies that no client can notice: no answer contradicts them, whatever is asked; or none does unless `unless` holds.

What is lost by one of them is counted apart. An entry is no excuse where another question would have shown the lie,
such as one page more behind a stated end in a run without STATE; but for a fact that is stated so that a question
needn't be put for each page, as `stable` is, whose pages would be asked for twice otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proofs.simulate import evidence
from proofs.simulate.evidence import Answers, Evidence
from proofs.simulate.lies import Claim


@dataclass(frozen=True)
class Unnoticeable:
    """A lie, why no answer shows it, and the evidence where one does; `way` is a part of the way, of the lie."""

    fact: str
    way: str
    reason: str
    unless: Evidence = evidence.never


UNNOTICEABLE: Final = (
    Unnoticeable("the list is whole", "", "a record that is in no list is in no answer"),
    Unnoticeable(
        "every change moves the key",
        "",
        "two versions of a record with one time are no proof: properties that change by themselves, such as an age or a "
        "signed address, look the same, and a change within the instant that it is read in moves no time either",
    ),
    Unnoticeable(
        "lag",
        "",
        "what comes later than it is declared to, older than the bookmark, is asked for by nobody; it shows only in an answer "
        "whose range an earlier answer had without it",
        evidence.came_late,
    ),
    Unnoticeable(
        "lookback",
        "",
        "what comes later than it is declared to, beyond the lookback, is asked for by nobody",
        evidence.came_late,
    ),
    Unnoticeable(
        "time zone of values",
        "",
        "times of another zone than UTC are as good as times of other records, unless one comes that an earlier answer "
        "should have had",
        evidence.came_late,
    ),
    Unnoticeable(
        "epoch unit",
        "",
        "an initial value that the filter takes for a time far ahead is answered by nothing, as by a list that is empty; "
        "any record shows its unit",
        evidence.a_time_is_shown,
    ),
    Unnoticeable(
        "filter",
        "exclusive",
        "an exclusive filter leaves out the boundary alone: nothing shows it unless a record of the boundary is still there",
        evidence.a_known_one_is_missing,
    ),
    Unnoticeable(
        "filter",
        "creation",
        "what was created before the bookmark and changed since is in no answer; nothing shows it unless a record of the "
        "boundary was changed after its creation",
        evidence.a_known_one_is_missing,
    ),
    Unnoticeable(
        "precision",
        "",
        "a coarser filter leaves out what shares the boundary's second or minute; nothing shows it unless a record that "
        "was told is among them",
        evidence.a_known_one_is_missing,
    ),
    Unnoticeable(
        "digits of values",
        "",
        "what shares a written time with the boundary and lies before it is left out; nothing shows it unless a record "
        "that was told is among them",
        evidence.a_known_one_is_missing,
    ),
    Unnoticeable(
        "time zone of the filter",
        "",
        "a filter that begins later leaves records out; nothing shows it unless one that was told is among them",
        evidence.a_known_one_is_missing,
    ),
    Unnoticeable(
        "unique tie-breaker",
        "",
        "of records that share time and tie-breaker the filter lets through those of one page; nothing shows it unless "
        "two of them were on one page",
        evidence.two_share_a_tie,
    ),
    Unnoticeable(
        "order",
        "",
        "a page or two may be in order by chance, and what is older than their end is asked for by nobody",
        evidence.out_of_order,
    ),
    Unnoticeable(
        "order of ties",
        "",
        "ties that come in another order each time are in one order by chance; nothing shows it unless two of them rise and two fall. "
        "Of records without replication key no order is stated; what a run misses of those that null_params asks for comes with one after it",
        evidence.ties_stand_in_no_order,
    ),
    Unnoticeable(
        "stable tokens",
        "",
        "a token that counts records gives the pages of one that names a position, unless the list shifts between two of them, and then what "
        "slips through is on neither; nothing shows it but to ask for each page twice, which is what is done where `stable` isn't stated",
        evidence.a_page_lost_some,
    ),
    Unnoticeable(
        "no null replication key",
        "",
        "a filter by time leaves out the records that have none; nothing shows them unless a request without filter does",
        evidence.a_null_is_shown,
    ),
    Unnoticeable(
        "place of null keys",
        "",
        "from the first bookmark on a filter by time leaves out the records that have none; nothing shows where they stand "
        "unless a whole list does",
        evidence.a_null_is_shown,
    ),
    Unnoticeable(
        "limit",
        "smaller",
        "records that share the newest value, beyond where the API cuts an answer, can be asked for by nobody; nothing shows "
        "them unless an answer has one that another answer had room for",
        evidence.cut_short,
    ),
    Unnoticeable(
        "end mark",
        "",
        "an end that an answer states is one, unless the page behind it, asked for in a first run, has other records; nothing "
        "shows it where no token asks for that page, where the API doesn't look at what does, or where no time tells that what is there "
        "now was there then",
        evidence.more_was_there,
    ),
    Unnoticeable(
        "total",
        "",
        "a total that is reached is an end, unless the page behind it, asked for in a first run, has other records",
        evidence.more_was_there,
    ),
    Unnoticeable(
        "paginator type",
        "page numbers",
        "one page of an answer without token, total or has_more is an answer that is whole: no client guesses parameters",
        evidence.more_is_told,
    ),
)


def is_unseen(claim: Claim, answers: Answers) -> bool:
    """Return whether one of the lies is one that no answer showed."""
    return any(
        entry.fact == lie.fact
        and entry.way in lie.way
        and not (entry.fact == "paginator type" and claim.claimed.counted)
        and not entry.unless(claim.claimed, answers)
        for lie in claim.lies
        for entry in UNNOTICEABLE
    )
