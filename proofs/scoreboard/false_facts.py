"""Cases in which the API's documentation is wrong, or leaves out what a client must know.

A client that does as the documentation says loses records here; the best is to notice it, and to say what was noticed.
"""

from __future__ import annotations

from typing import Final

from proofs.scoreboard.model import Api, Case, child, records

TWELVE: Final = records(*range(1, 13))
HOURLY: Final = tuple(3600 * hour for hour in range(12))

CHILDREN: Final = (child(1, 1, 30), child(2, 2, 20), child(3, 3, 10))

FALSE_FACTS: Final = (
    Case(
        "unread-link",
        "The list has three pages, as a Link header says.",
        (TWELVE, TWELVE),
        Api(filter="none", has_more=False, has_link=True),
        told="the answer is the whole list",
        best="named error",
    ),
    Case(
        "token-elsewhere",
        "The token of the next page isn't where the documentation has it, but at paging.next_token.",
        (TWELVE, TWELVE),
        Api(pages="token", token_path=("paging", "next_token")),
        told="next is the token of the next page; the last page has none",
        best="named error",
    ),
    Case(
        "smaller-pages-than-asked",
        "A page has 3 records, though 5 were asked for.",
        (TWELVE, TWELVE),
        Api(pages="offset", size=3),
        told="limit is the number of records in a page",
    ),
    Case(
        "token-on-the-last-page",
        "Each page has a token, the last one too, and a flag says that it is the last.",
        (TWELVE, TWELVE),
        Api(pages="token", end_flag=True),
        told="end is true on the last page; every page has a token",
    ),
    Case(
        "404-after-the-last-page",
        "No page says that it is the last, and the page after the last is answered 404.",
        (TWELVE, TWELVE),
        Api(has_more=False, not_found=True),
        told="a page after the last is answered 404",
    ),
    Case(
        "exclusive-though-inclusive",
        "The filter leaves out the second that it is given: then a new record of that second, and one after it.",
        (records(1, 2), records(1, 2, 2, 3)),
        Api(filter=">", clock=(3, 10_000)),
        told="since is inclusive",
        best="named error",
    ),
    Case(
        "filter-in-another-zone",
        "A record each hour; the filter takes since as a local time six hours west of UTC. Then two new records.",
        (records(*HOURLY), records(*HOURLY, HOURLY[-1] + 600, HOURLY[-1] + 30_000)),
        Api(hours=6),
        told="all instants are UTC",
        best="named error",
    ),
    Case(
        "empty-pages-without-end",
        "After the last record come empty pages, each with a new token.",
        (TWELVE, TWELVE),
        Api(pages="token", endless=True),
        told="the last page has no token",
        best="named error",
    ),
    Case(
        "ignored-page-parameter",
        "The API takes no notice of the page's number: each answer is the first page.",
        (TWELVE, TWELVE),
        Api(ignored=frozenset({"page"})),
        told="page is the number of the page",
    ),
    Case(
        "lines-of-orders",
        "The records lie in orders of none to five lines each; a page has five orders.",
        (records(*range(1, 25)), records(*range(1, 25))),
        Api(pages="offset", filter="none", orders=(5, 3, 0, 4, 1, 0, 0, 2, 5, 0, 4)),
        told="offset counts orders; an order has its records in lines",
    ),
    Case(
        "error-with-status-200",
        "A feed, newest first; the third request is answered 200 with an error instead of the list.",
        (TWELVE, TWELVE),
        Api(order="descending", filter="none", size=3, faults={3: "error in 200"}),
        told="the newest come first, ties by id; there is no filter",
        best="named error",
    ),
    Case(
        "nothing-is-left-out",
        "The second run finds nothing new, and its answer has no list at all.",
        (TWELVE, TWELVE),
        Api(filter=">", clock=(13, 10_000), left_out=True),
        told="since is exclusive; data is left out where there is nothing",
    ),
    Case(
        "parent-that-cannot-be-read-yet",
        "The children of one of three parents are answered 403 at first, and can be read in the second run.",
        (CHILDREN, CHILDREN),
        Api(barred=frozenset({2})),
        parents=(1, 2, 3),
        told="/parents is paged; /parents/{id}/children has the filter since, and is 403 for who may not read it yet",
    ),
)
