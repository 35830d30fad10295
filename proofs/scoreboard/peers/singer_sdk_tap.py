"""A tap as a developer writes it on singer-sdk's RESTStream, run in singer-sdk's environment with nothing of ours.

Each stream class is one of the fixture's ways to page a list; which one runs, is a setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.pagination import BaseAPIPaginator, JSONPathPaginator, OffsetPaginator, PageNumberPaginator

SIZE = 5
FORBIDDEN = 403
NOT_FOUND = 404


class More(PageNumberPaginator):
    """Pages are counted, and the answer says whether more follow."""

    def has_more(self, response: Any) -> bool:
        """What the answer says."""
        return bool(response.json()["hasMore"])


class MoreWhereAllowed(More):
    """The same, where the answer may be a refusal."""

    def has_more(self, response: Any) -> bool:
        """What the answer says."""
        return response.status_code != FORBIDDEN and super().has_more(response)


class MoreOffsets(OffsetPaginator):
    """Records are counted, and the answer says whether more follow."""

    def has_more(self, response: Any) -> bool:
        """What the answer says."""
        return bool(response.json()["hasMore"])


class LenientTokens(JSONPathPaginator):
    """Tokens, where a page without records may have one."""

    def continue_if_empty(self, response: Any) -> bool:
        """Whether the empty page has a token."""
        return bool(response.json()["next"])


class FlaggedTokens(JSONPathPaginator):
    """Tokens, where the answer says which page is the last."""

    def has_more(self, response: Any) -> bool:
        """What the answer says."""
        return not response.json()["end"]


class UntilNotFound(PageNumberPaginator):
    """Pages are counted until one isn't found."""

    def has_more(self, response: Any) -> bool:
        """Whether this page was found."""
        return bool(response.status_code != NOT_FOUND)


class Pages(RESTStream[Any]):
    """An incremental list, paged by numbers."""

    name = "items"
    path = "/items"
    primary_keys: ClassVar[tuple[str, ...]] = ("id",)
    replication_key: str | None = "updated_at"
    records_jsonpath = "$.data[*]"
    page_param = "page"
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType, required=True),
        th.Property("updated_at", th.DateTimeType),
        th.Property("version", th.IntegerType),
        th.Property("parent_id", th.IntegerType),
    ).to_dict()

    @property
    def url_base(self) -> str:
        """The API's address."""
        return str(self.config["api_url"])

    def get_new_paginator(self) -> BaseAPIPaginator[Any] | None:
        """Pages from 1 on."""
        return More(1)

    def get_url_params(self, context: Mapping[str, Any] | None, next_page_token: Any | None) -> dict[str, Any]:
        """The page, and the bookmark of the last run."""
        params: dict[str, Any] = {"limit": SIZE}
        if next_page_token is not None:
            params[self.page_param] = next_page_token
        if self.replication_key and (start := self.get_starting_timestamp(context)):
            since = start - timedelta(seconds=self.config["lookback"])
            params["since"] = since.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return params

    def backoff_wait_generator(self) -> Any:
        """The seconds of Retry-After where there are some, as the documentation shows it."""

        def seconds(error: Any) -> int:
            response = getattr(error, "response", None)
            return int(response.headers.get("Retry-After", 2)) if response is not None else 2

        return self.backoff_runtime(value=seconds)


class Offsets(Pages):
    """An incremental list, by offset and limit."""

    page_param = "offset"

    def get_new_paginator(self) -> BaseAPIPaginator[Any] | None:
        """Offsets from 0 on."""
        return MoreOffsets(0, SIZE)


class Tokens(Pages):
    """An incremental list with tokens."""

    page_param = "cursor"

    def get_new_paginator(self) -> BaseAPIPaginator[Any] | None:
        """The token `next`."""
        return JSONPathPaginator("$.next")


class TokensOverEmptyPages(Tokens):
    """The same, by a developer who knows that a page may be empty."""

    def get_new_paginator(self) -> BaseAPIPaginator[Any] | None:
        """The token `next`."""
        return LenientTokens("$.next")


class Whole(Pages):
    """The whole list each time."""

    replication_key = None


class Single(Whole):
    """The whole list in one answer."""

    def get_new_paginator(self) -> BaseAPIPaginator[Any] | None:
        """One page."""
        return None


class Lines(Whole):
    """The lines of orders, by offset and limit."""

    page_param = "offset"
    records_jsonpath = "$.data[*].lines[*]"

    def get_new_paginator(self) -> BaseAPIPaginator[Any] | None:
        """Offsets from 0 on."""
        return MoreOffsets(0, SIZE)


class TokensWithAFlag(Tokens):
    """An incremental list with tokens and a flag."""

    def get_new_paginator(self) -> BaseAPIPaginator[Any] | None:
        """The token `next`."""
        return FlaggedTokens("$.next")


class PagesUntilNotFound(Pages):
    """An incremental list, whose pages end with one that isn't found."""

    def get_new_paginator(self) -> BaseAPIPaginator[Any] | None:
        """Pages from 1 on."""
        return UntilNotFound(1)

    def validate_response(self, response: Any) -> None:
        """Let a page that isn't found be the end."""
        if response.status_code != NOT_FOUND:
            super().validate_response(response)

    def parse_response(self, response: Any) -> Any:
        """Yield the records of a page that was found."""
        if response.status_code != NOT_FOUND:
            yield from super().parse_response(response)


class Parents(Whole):
    """The parents, each a page."""

    name = "parents"
    path = "/parents"

    def get_child_context(self, record: Mapping[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG002  the SDK's signature
        """What the children's path needs."""
        return {"parent_id": record["id"]}


class Children(Pages):
    """The children of each parent, with a bookmark for each."""

    name = "children"
    path = "/parents/{parent_id}/children"
    parent_stream_type = Parents


class LenientChildren(Children):
    """The children of each parent that may be read."""

    def validate_response(self, response: Any) -> None:
        """Let children that may not be read be none."""
        if response.status_code != FORBIDDEN:
            super().validate_response(response)

    def parse_response(self, response: Any) -> Any:
        """Yield the children of a parent that may be read."""
        if response.status_code != FORBIDDEN:
            yield from super().parse_response(response)

    def get_new_paginator(self) -> BaseAPIPaginator[Any] | None:
        """Pages from 1 on, none after one that may not be read."""
        return MoreWhereAllowed(1)


STREAMS: dict[str, tuple[type[Pages], ...]] = {
    "pages": (Pages,),
    "offsets": (Offsets,),
    "tokens": (Tokens,),
    "lenient_tokens": (TokensOverEmptyPages,),
    "feed": (Whole,),
    "whole": (Whole,),
    "single": (Single,),
    "lines": (Lines,),
    "flagged_tokens": (TokensWithAFlag,),
    "until_not_found": (PagesUntilNotFound,),
    "lenient_children": (Parents, LenientChildren),
    "children": (Parents, Children),
}


class FixtureTap(Tap):
    """The tap."""

    name = "tap-fixture"
    config_jsonschema = th.PropertiesList(
        th.Property("api_url", th.StringType, required=True),
        th.Property("stream", th.StringType, required=True),
        th.Property("lookback", th.IntegerType, default=0),
    ).to_dict()

    def discover_streams(self) -> list[Pages]:
        """The stream of the setting."""
        return [stream(tap=self) for stream in STREAMS[self.config["stream"]]]


if __name__ == "__main__":
    FixtureTap.cli()
