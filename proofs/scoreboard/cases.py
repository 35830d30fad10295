"""The scoreboard's cases: APIs with odd habits, and those that aren't what their documentation says (`false_facts`)."""

from __future__ import annotations

from typing import Final

from proofs.scoreboard.false_facts import FALSE_FACTS
from proofs.scoreboard.model import NOW, Api, Case, child, record, records

TWELVE: Final = records(*range(1, 13))
TIED: Final = records(1, 2, 3, *[10] * 25, 20, 21)
MOVED: Final = (*(shown for shown in TWELVE if shown["id"] != 2), record(2, 20, 2))
CHILDREN: Final = (child(1, 1, 30), child(2, 2, 20), child(3, 3, 10))
MILLISECONDS: Final = records(864_000.123, 2_591_999.5, 3_456_000.25, 5_183_999.9, 6_912_000)

CASES: Final = (
    Case(
        "plain",
        "Nothing odd: three pages, then two changes and a new record.",
        (TWELVE, (*TWELVE[2:], record(1, 13, 2), record(2, 14, 2), record(13, 15))),
    ),
    Case(
        "changed-in-the-boundary-second",
        "A record of the newest second changes once more within that second, after the first run.",
        (records(1, 2, 2), (record(1, 1), record(2, 2), record(3, 2, 2))),
        label="P1",
    ),
    Case(
        "late-by-a-second",
        "A record is committed a moment late, one second before the newest that the first run saw.",
        (tuple(record(key, key) for key in (1, 2, 3, 4, 5, 6, 7, 8, 10)), records(*range(1, 11))),
        Api(clock=(10, 10_000)),
        label="P2",
    ),
    Case(
        "late-by-a-minute",
        "A record is committed 35 seconds late.",
        (records(*range(10, 110, 10)), (*records(*range(10, 110, 10)), record(11, 65))),
        Api(clock=(120, 10_000)),
        told="records may appear up to 60 seconds late",
    ),
    Case(
        "children-of-many-parents",
        "Three parents on three pages, each with one child; the first parent's child is the newest. Then one changes.",
        (CHILDREN, (child(1, 1, 30), child(2, 2, 40, 2), child(3, 3, 10))),
        parents=(1, 2, 3),
        label="P3",
        told="/parents is paged; /parents/{id}/children has the filter since",
    ),
    Case(
        "newest-first",
        "A feed, newest first, without a filter: then a new record of the second that was the newest, and one after it.",
        (records(*range(1, 7)), (*records(*range(1, 7)), record(7, 6), record(8, 8))),
        Api(order="descending", filter="none", size=2),
        label="P4",
        told="the newest come first, ties by id; there is no filter",
    ),
    Case(
        "newest-first-interrupted",
        "The same kind of feed: the first run is killed while it waits for its third page, then two records join.",
        (TWELVE, (*TWELVE, record(13, 13), record(14, 14))),
        Api(order="descending", filter="none", size=3, stalls=3),
        told="the newest come first, ties by id; there is no filter",
    ),
    Case(
        "milliseconds-and-whole-seconds",
        "Values in milliseconds, since and until in whole seconds, months of data.",
        (MILLISECONDS, MILLISECONDS),
        Api(precision=1),
        label="P5",
        told="since and until (inclusive) take whole seconds",
    ),
    Case(
        "coarse-exclusive-filter",
        "Values in milliseconds, a filter by > that compares whole seconds: then a new record of the boundary second.",
        (records(1.1, 10.25), records(1.1, 10.25, 10.7, 11)),
        Api(filter=">", precision=1, clock=(11, 10_000)),
        told="since is exclusive and compares whole seconds",
    ),
    Case(
        "exclusive-filter",
        "A filter by >: then a new record of the boundary second, and one after it.",
        (records(1, 2), records(1, 2, 2, 3)),
        Api(filter=">", clock=(3, 10_000)),
        told="since is exclusive",
    ),
    Case(
        "result-window",
        "25 records share a second, and only the first 10 records of a list can be reached by pages.",
        (TIED, TIED),
        Api(pages="offset", window=10, behind=True),
        label="P6",
        told="offset + limit may be 10 at most; since with after_id asks strictly behind (updated_at, id)",
    ),
    Case(
        "result-window-without-a-way",
        "The same, and nothing asks behind an id: 15 of the records can't be had.",
        (TIED, TIED),
        Api(pages="offset", window=10),
        told="offset + limit may be 10 at most",
        best="named error",
    ),
    Case(
        "short-page",
        "A whole list, whose first page is shorter than the others, as some of its records aren't shown; more follow.",
        (TWELVE, TWELVE),
        Api(filter="none", hidden=frozenset({2, 4})),
        label="P7",
        told="there is no filter; a page may hold fewer records than its limit; the answer says hasMore",
    ),
    Case(
        "empty-page-with-a-token",
        "The second and third page are empty, and have a token for the next.",
        (records(*range(1, 18)), records(*range(1, 18))),
        Api(pages="token", hidden=frozenset(range(6, 16))),
        label="P7",
        told="the last page has no token",
    ),
    Case(
        "offsets-from-zero",
        "A list by offset and limit.",
        (TWELVE, TWELVE),
        Api(pages="offset"),
        label="P8",
        told="the first record's offset is 0",
    ),
    Case(
        "tokens-in-a-circle",
        "The third page's token is the second's again.",
        (records(*range(1, 10)), records(*range(1, 10))),
        Api(pages="token", size=3, circle=True),
        label="H1",
        best="named error",
    ),
    Case(
        "ties-wider-than-a-page",
        "25 records share a second, a page holds 5; the first run is killed while it waits for the fourth page.",
        (TIED, TIED),
        Api(stalls=4),
    ),
    Case(
        "future-row",
        "A record is dated in 2099; between the runs two of the present join. (Who asks only up to now, gets it in 2099.)",
        (
            (*records(1, 2), {"id": 99, "updated_at": "2099-01-01T00:00:00Z", "version": 1}),
            (
                *records(1, 2),
                {"id": 3, "updated_at": NOW, "version": 1},
                {"id": 4, "updated_at": NOW, "version": 1},
                {"id": 99, "updated_at": "2099-01-01T00:00:00Z", "version": 1},
            ),
        ),
        Api(clock="real"),
    ),
    Case(
        "pages-that-shift",
        "While the list is read by page numbers, a record of the first page changes and moves to the end.",
        (TWELVE, MOVED),
        Api(moves={2: record(2, 20, 2)}),
    ),
    Case(
        "offsets-that-shift",
        "The same, by offset and limit.",
        (TWELVE, MOVED),
        Api(pages="offset", moves={2: record(2, 20, 2)}),
    ),
    Case(
        "ties-after-a-failover",
        "12 records share a second, one is newer; after the first page another replica answers, with the ties in another order.",
        (records(*[10] * 12, 20), records(*[10] * 12, 20)),
        Api(failover=2),
        told="nothing about the order of ties",
    ),
    Case(
        "ties-without-an-order",
        "12 records share a second, one is newer; the order of ties is another one at each request, so nobody can be sure.",
        (records(*[10] * 12, 20), records(*[10] * 12, 20)),
        Api(restless=True),
        told="nothing about the order of ties",
        best="named error",
    ),
    Case(
        "rate-limit",
        "The second request is answered 429 with Retry-After: 3; asking before starts the wait anew.",
        (TWELVE, TWELVE),
        Api(faults={2: "429"}),
        told="429 has Retry-After in seconds",
    ),
    Case(
        "server-errors",
        "The second and third request are answered 503.",
        (TWELVE, TWELVE),
        Api(faults={2: "503", 3: "503"}),
    ),
    Case(
        "cut-off-body",
        "The connection of the second request breaks in mid-body.",
        (TWELVE, TWELVE),
        Api(faults={2: "cut off"}),
    ),
    Case(
        "half-a-body",
        "The second request is answered 200 with half of a JSON document, and a Content-Length that agrees with it.",
        (TWELVE, TWELVE),
        Api(faults={2: "half a body"}),
    ),
    Case(
        "duplicates-across-pages",
        "Each page begins with the last record of the page before.",
        (TWELVE, TWELVE),
        Api(pages="token", overlap=True),
    ),
    Case(
        "changes-without-a-timestamp",
        "A record changes and its updated_at doesn't.",
        (TWELVE, (*TWELVE[:3], record(4, 4, 2), *TWELVE[4:])),
        told="updated_at doesn't move with every change",
    ),
    Case(
        "deletions",
        "Two records are deleted, and nothing tells of it but the list.",
        (TWELVE, (*TWELVE[:3], *TWELVE[5:])),
        deletions=True,
        told="deleted records are gone from the list, and /items/{id} answers 404",
    ),
    *FALSE_FACTS,
)
