"""A tap on singer-sdk's RESTStream with its defaults, run in singer-sdk's environment with nothing of this project."""

from __future__ import annotations

from typing import Any, ClassVar

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.pagination import BaseAPIPaginator, JSONPathPaginator


class Subscriptions(RESTStream[Any]):
    """The list, by its tokens."""

    name = "subscriptions"
    path = ""
    primary_keys: ClassVar[tuple[str, ...]] = ("id",)
    records_jsonpath = "$.data[*]"

    @property
    def url_base(self) -> str:
        """The list's address."""
        return str(self.config["api_url"])

    @property
    def schema(self) -> dict[str, Any]:
        """As configured."""
        declared: dict[str, Any] = self.config["schema"]
        return declared

    def get_new_paginator(self) -> BaseAPIPaginator[Any]:
        """Return the token `next`."""
        return JSONPathPaginator("$.next")

    def get_url_params(self, context: Any, next_page_token: Any) -> dict[str, Any]:
        """Send the token as it came."""
        del context
        return {"cursor": next_page_token} if next_page_token else {}


class PlainTap(Tap):
    """The tap."""

    name = "tap-plain"
    config_jsonschema = th.PropertiesList(
        th.Property("api_url", th.StringType, required=True), th.Property("schema", th.ObjectType(), required=True)
    ).to_dict()

    def discover_streams(self) -> list[Subscriptions]:
        """Return the one stream."""
        return [Subscriptions(tap=self)]


if __name__ == "__main__":
    PlainTap.cli()
