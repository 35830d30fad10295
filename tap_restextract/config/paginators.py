"""How the next page is asked for: one struct a type of paginator."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from tap_restextract.config.annotations import described

EndPath = Annotated[str, described("JSONPath of a flag that is true on the last page.")]
EmptyPage = Annotated[
    Literal["continue", "end"], described("What an empty page means that has a token or a link: more, or the end.")
]
RepeatedToken = Annotated[
    Literal["error", "end"], described("What the token or link means by which this page itself was asked for.")
]


class SinglePage(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="single_page"):
    """The API answers all at once, or at most `limit` records, and has no way to ask for more."""

    limit: (
        Annotated[int, Meta(ge=1, description="The most records that one answer holds, where there is a most.")] | None
    ) = None


class CursorToken(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="cursor"):
    """A token in the body asks for the next page."""

    cursor_path: Annotated[str, described("JSONPath of the token in the body.")] = "cursors.next"
    cursor_param: Annotated[str, described("Query parameter that carries the token.")] | None = None
    cursor_body_path: Annotated[str, described("Dotted path in the JSON body that carries the token.")] | None = None
    has_more_path: Annotated[str, described("JSONPath of a boolean that says whether more follows.")] | None = None
    total_path: (
        Annotated[str, described("JSONPath of the number of records, which shows a full result window at once.")] | None
    ) = None
    end_path: EndPath | None = None
    empty_page: EmptyPage = "continue"
    repeated_token: RepeatedToken = "error"  # noqa: S105  what a token means, and none itself
    stable: Annotated[bool, described("The token names a position or a snapshot, not an offset in disguise.")] = False


class HeaderCursor(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="header_cursor"):
    """A token in a response header asks for the next page."""

    cursor_key: Annotated[str, described("Response header that holds the token.")] = "next"
    cursor_param: Annotated[str, described("Query parameter that carries the token.")] = "cursor"
    end_path: EndPath | None = None
    empty_page: EmptyPage = "continue"
    repeated_token: RepeatedToken = "error"  # noqa: S105  what a token means, and none itself
    stable: Annotated[bool, described("The token names a position or a snapshot, not an offset in disguise.")] = False


class JsonLink(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="json_link"):
    """The body holds the next page's address."""

    next_url_path: Annotated[str, described("JSONPath of the address in the body.")] = "next"
    end_path: EndPath | None = None
    empty_page: EmptyPage = "continue"
    repeated_token: RepeatedToken = "error"  # noqa: S105  what a token means, and none itself
    stable: Annotated[bool, described("The link names a position or a snapshot, not an offset in disguise.")] = False


class HeaderLink(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="header_link"):
    """A response header holds the next page's address: RFC 8288's `Link`, or one that is the bare address."""

    links_next_key: Annotated[str, described("The link's relation in a Link header.")] = "next"
    header: Annotated[str, described("Another header than Link, whose value is the address itself.")] = "Link"
    end_attribute: (
        Annotated[
            str, Meta(pattern=r"^[^=\s]+=.+$", description="Attribute of the link that says the end: results=false.")
        ]
        | None
    ) = None
    end_path: EndPath | None = None
    empty_page: EmptyPage = "continue"
    repeated_token: RepeatedToken = "error"  # noqa: S105  what a token means, and none itself
    stable: Annotated[bool, described("The link names a position or a snapshot, not an offset in disguise.")] = False


class PageNumber(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="page_number"):
    """Pages are counted."""

    base_page: Annotated[int, Meta(ge=0, description="The first page's number.")] = 0
    page_param: Annotated[str, described("Query parameter that carries the number.")] | None = None
    page_body_path: Annotated[str, described("Dotted path in the JSON body that carries the number.")] | None = None
    total_path: Annotated[str, described("JSONPath of the number of pages.")] | None = None
    has_more_path: Annotated[str, described("JSONPath of a boolean that says whether more follows.")] | None = None


class Offset(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="offset"):
    """Records are counted."""

    limit: Annotated[int, Meta(ge=1, description="Records to ask for.")]
    offset: Annotated[int, Meta(ge=0, description="The first record's offset.")] = 0
    offset_param: Annotated[str, described("Query parameter that carries the offset.")] | None = None
    limit_param: Annotated[str, described("Query parameter that carries the limit.")] | None = None
    offset_body_path: Annotated[str, described("Dotted path in the JSON body that carries the offset.")] | None = None
    limit_body_path: Annotated[str, described("Dotted path in the JSON body that carries the limit.")] | None = None
    total_path: Annotated[str, described("JSONPath of the number of records.")] | None = None
    has_more_path: Annotated[str, described("JSONPath of a boolean that says whether more follows.")] | None = None


Paginator = SinglePage | CursorToken | HeaderCursor | JsonLink | HeaderLink | PageNumber | Offset
