"""Other tools' names, and what they are called here: for configurations that are carried over.

The names are those of dlt's rest_api (1.31), Airbyte's low-code schema (CDK 7.39), singer-sdk (0.54) and
tap-rest-api-msdk (1.4), as their sources have them. What is called alike here is not in these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

DLT: Final = "dlt"
AIRBYTE: Final = "Airbyte"
SINGER: Final = "singer-sdk"
MSDK: Final = "tap-rest-api-msdk"

_ABOVE: Final = "what stands under it stands in the stream itself"
_SDK: Final = "`stream_maps` at the top change and filter records"
_NEEDLESS: Final = "leave it out"
_PAGE_SIZE: Final = "the size stands in `params`, or is the `limit` of the paginator of type offset"
_OAUTH: Final = "`auth: {type: oauth2_client_credentials}` or `auth: {type: oauth2_refresh_token}`"
_BACKOFF: Final = "Retry-After and quotas are obeyed without it; `max_attempts` and `max_wait` bound the tries"
_PARENT: Final = "a child names its parent in its `path`: {parent.STREAM.PATH}"

Table = Mapping[str, tuple[str, str]]
"""A foreign name → whose it is, and what to write."""

STREAM: Final[Table] = MappingProxyType({
    "client": (DLT, "`base_url`, `auth`, `headers` and `paginator` stand at the top"),
    "resources": (DLT, "write `streams`"),
    "resource_defaults": (DLT, "keys that streams share stand at the top"),
    "endpoint": (DLT, f"{_ABOVE}: `path`, `params`, `records`, `paginator`, `incremental`"),
    "data_selector": (DLT, "write `records`"),
    "data": (DLT, "only JSON bodies are sent; write `json`"),
    "response_actions": (DLT, "write `response_rules`"),
    "start_param": (DLT, '`params: {NAME: "{cursor.PATH}"}` sends the cursor'),
    "end_param": (DLT, '`params: {NAME: "{until.PATH}"}` sends the end of a range'),
    "write_disposition": (DLT, f"how records are written is the target's business; {_NEEDLESS}"),
    "merge_key": (DLT, "write `primary_key`"),
    "table_name": (DLT, "the target names a table after its stream's `name`"),
    "columns": (DLT, "write `schema`, a JSON Schema"),
    "selected": (DLT, f"Singer's catalog (Meltano's select) chooses streams; {_NEEDLESS}"),
    "parallelized": (DLT, "write `concurrency`"),
    "processing_steps": (DLT, _SDK),
    "max_table_nesting": (DLT, f"the target decides how nested values are stored; {_NEEDLESS}"),
    "url_base": (AIRBYTE, "write `base_url`"),
    "url": (AIRBYTE, "write `base_url` and `path`"),
    "retriever": (AIRBYTE, f"{_ABOVE}: `path`, `params`, `records`, `paginator`"),
    "requester": (AIRBYTE, f"{_ABOVE}: `path`, `method`, `params`, `headers`, `auth`"),
    "http_method": (AIRBYTE, "write `method`"),
    "request_parameters": (AIRBYTE, "write `params`"),
    "request_headers": (AIRBYTE, "write `headers`"),
    "request_body_json": (AIRBYTE, "write `json`"),
    "request_body_data": (AIRBYTE, "only JSON bodies are sent; write `json`"),
    "request_body": (AIRBYTE, "only JSON bodies are sent; write `json`"),
    "authenticator": (AIRBYTE, "write `auth`"),
    "record_selector": (AIRBYTE, "write `records`, one path such as data.items"),
    "extractor": (AIRBYTE, "write `records`, one path such as data.items"),
    "field_path": (AIRBYTE, "write `records`, one path such as data.items"),
    "record_filter": (AIRBYTE, _SDK),
    "transformations": (AIRBYTE, _SDK),
    "incremental_sync": (AIRBYTE, "write `incremental`"),
    "cursor_field": (AIRBYTE, "write `incremental: {cursor_path: …}`"),
    "start_datetime": (AIRBYTE, "write `incremental: {initial_value: …}`"),
    "partition_router": (AIRBYTE, _PARENT),
    "parent_stream_configs": (AIRBYTE, _PARENT),
    "stream_slicer": (AIRBYTE, f"{_PARENT}; time ranges are `incremental: {{step: …}}`"),
    "schema_loader": (AIRBYTE, "write `schema`"),
    "error_handler": (AIRBYTE, "write `response_rules` and `max_attempts`"),
    "response_filters": (AIRBYTE, "write `response_rules`"),
    "backoff_strategies": (AIRBYTE, _BACKOFF),
    "max_retries": (AIRBYTE, "write `max_attempts`: it counts the first try, too"),
    "concurrency_level": (AIRBYTE, "write `concurrency`"),
    "api_budget": (AIRBYTE, "write `rate_limit`, such as 10/s"),
    "page_size": (AIRBYTE, _PAGE_SIZE),
    "decoder": (AIRBYTE, f"only JSON is read; {_NEEDLESS}"),
    "check": (AIRBYTE, f"`tap-restextract plan` shows what each stream asks; {_NEEDLESS}"),
    "spec": (AIRBYTE, _NEEDLESS),
    "definitions": (AIRBYTE, "keys that streams share stand at the top"),
    "version": (AIRBYTE, _NEEDLESS),
    "type": (AIRBYTE, _NEEDLESS),
    "state_migrations": (AIRBYTE, f"a STATE of another tap is used by its replication_key_value; {_NEEDLESS}"),
    "replication_key": (SINGER, "write `incremental: {cursor_path: …}`"),
    "replication_method": (SINGER, "with `incremental` a stream is incremental, without it the whole list is read"),
    "is_sorted": (SINGER, "write `incremental: {order: asc}`"),
    "key_properties": (SINGER, "write `primary_key`"),
    "primary_keys": (SINGER, "write `primary_key`"),
    "records_jsonpath": (SINGER, "write `records`"),
    "next_page_token_jsonpath": (SINGER, "write `paginator: {type: cursor, cursor_path: …, cursor_param: …}`"),
    "rest_method": (SINGER, "write `method`"),
    "api_url": (MSDK, "write `base_url`"),
    "records_path": (MSDK, "write `records`"),
    "start_date": (MSDK, "write `incremental: {initial_value: …}`"),
    "source_search_field": (MSDK, '`params: {NAME: "{cursor.PATH}"}` sends the cursor'),
    "source_search_query": (MSDK, '`params: {NAME: "gt{cursor.PATH}"}` sends the cursor within a text'),
    "except_keys": (MSDK, f"records come out as they are, nothing is flattened; {_NEEDLESS}"),
    "num_inference_records": (MSDK, f"the first page is the sample, or write `schema`; {_NEEDLESS}"),
    "store_raw_json_message": (MSDK, f"records come out as they are; {_NEEDLESS}"),
    "next_page_token_path": (MSDK, "write `paginator: {type: cursor, cursor_path: …, cursor_param: …}`"),
    "pagination_request_style": (MSDK, "write `paginator`, by its type"),
    "pagination_response_style": (MSDK, f"`paginator` says where the next page stands, too; {_NEEDLESS}"),
    "pagination_page_size": (MSDK, _PAGE_SIZE),
    "pagination_results_limit": (MSDK, f"a list is read to its end; {_NEEDLESS}"),
    "pagination_next_page_param": (MSDK, "it is the paginator's `cursor_param`, `page_param` or `offset_param`"),
    "pagination_limit_per_page_param": (MSDK, "it is the `limit_param` of the paginator of type offset, or stands in `params`"),
    "pagination_total_limit_param": (MSDK, "it is the paginator's `total_path`"),
    "pagination_initial_offset": (MSDK, "it is the paginator's `offset` or `base_page`"),
    "offset_records_jsonpath": (MSDK, f"`records` are what an offset counts; {_NEEDLESS}"),
    "use_request_body_not_params": (MSDK, "write `method: POST` and `json`; paginators have `…_body_path` keys"),
    "backoff_type": (MSDK, _BACKOFF),
    "backoff_param": (MSDK, _BACKOFF),
    "backoff_time_extension": (MSDK, _BACKOFF),
    "auth_method": (MSDK, "write `auth: {type: …}`"),
    "api_keys": (MSDK, "write `auth: {type: api_key, name: …}`, and the key itself as `auth_api_key`"),
    "bearer_token": (MSDK, "write `auth: {type: bearer}`, and the token itself as `auth_token`"),
    "username": (MSDK, "write `auth: {type: http_basic}` and `auth_username`"),
    "password": (MSDK, "write `auth: {type: http_basic}` and `auth_password`"),
    "client_id": (MSDK, f"write {_OAUTH}, and `auth_client_id`"),
    "client_secret": (MSDK, f"write {_OAUTH}, and `auth_client_secret`"),
    "refresh_token": (MSDK, "write `auth: {type: oauth2_refresh_token}`, and `auth_refresh_token`"),
    "grant_type": (MSDK, f"write {_OAUTH}"),
    "scope": (MSDK, "it stands in `auth`"),
    "access_token_url": (MSDK, "it stands in `auth`"),
    "redirect_uri": (MSDK, f"{_NEEDLESS}, or write it into `access_token_request_data` of `auth`"),
    "oauth_extras": (MSDK, "write `access_token_request_data` of `auth`"),
    "oauth_expiration_secs": (MSDK, f"a token is fetched anew when it is refused; {_NEEDLESS}"),
    "aws_credentials": (MSDK, "write `auth: {type: plugin, name: …}`, a signer of another package"),
})  # fmt: skip

PAGINATOR: Final[Table] = MappingProxyType({
    "page": (DLT, "write `base_page`"),
    "maximum_page": (DLT, f"a list is read to its end; {_NEEDLESS}"),
    "maximum_offset": (DLT, f"a list is read to its end; {_NEEDLESS}"),
    "stop_after_empty_page": (DLT, f"an empty page is the end where pages or records are counted; {_NEEDLESS}"),
    "pagination_strategy": (AIRBYTE, "its `type` and keys stand in `paginator` itself"),
    "page_size": (AIRBYTE, _PAGE_SIZE),
    "page_size_option": (AIRBYTE, _PAGE_SIZE),
    "page_token_option": (AIRBYTE, "write `cursor_param`, `page_param` or `offset_param`, by the type"),
    "cursor_value": (AIRBYTE, "write `cursor_path`, where the token lies in the body"),
    "stop_condition": (AIRBYTE, "write `has_more_path`, where the body says whether more follows"),
    "start_from_page": (AIRBYTE, "write `base_page`"),
    "inject_on_first_request": (AIRBYTE, f"page numbers and offsets are always sent; {_NEEDLESS}"),
    "next_page_token_path": (MSDK, "write `cursor_path` (type cursor) or `next_url_path` (type json_link)"),
})  # fmt: skip

INCREMENTAL: Final[Table] = MappingProxyType({
    "start_param": (DLT, 'the stream\'s `params: {NAME: "{cursor.PATH}"}` sends the cursor'),
    "end_param": (DLT, 'the stream\'s `params: {NAME: "{until.PATH}"}` sends the end of a range'),
    "end_value": (DLT, f"a run ends at the newest record; {_NEEDLESS}, or write a bound into the stream's `params`"),
    "last_value_func": (DLT, f"the greatest value is the last; {_NEEDLESS}, and write `order: desc` for a list that falls"),
    "row_order": (DLT, "write `order`"),
    "range_start": (DLT, "write `filter: inclusive` or `filter: exclusive`"),
    "range_end": (DLT, f"ranges overlap by nothing and miss nothing; {_NEEDLESS}"),
    "on_cursor_value_missing": (DLT, "write `nulls`, where such records stand, and `null_params`, what asks for them"),
    "primary_key": (DLT, "it stands in the stream; the boundary's records are known by their content"),
    "allow_external_schedulers": (DLT, _NEEDLESS),
    "convert": (DLT, "a placeholder has forms: {cursor.PATH:unix}, {cursor.PATH:%Y-%m-%d}"),
    "cursor_field": (AIRBYTE, "write `cursor_path`"),
    "start_datetime": (AIRBYTE, "write `initial_value`"),
    "start_value": (AIRBYTE, "write `initial_value`"),
    "end_datetime": (AIRBYTE, f"a run ends at the newest record; {_NEEDLESS}"),
    "datetime_format": (AIRBYTE, "a placeholder has forms: {cursor.PATH:unix}, {cursor.PATH:%Y-%m-%d}"),
    "cursor_datetime_formats": (AIRBYTE, "values are read as ISO 8601, or as numbers (`epoch`)"),
    "cursor_granularity": (AIRBYTE, "write `precision`"),
    "lookback_window": (AIRBYTE, "write `lookback`"),
    "start_time_option": (AIRBYTE, 'the stream\'s `params: {NAME: "{cursor.PATH}"}` sends the cursor'),
    "end_time_option": (AIRBYTE, 'the stream\'s `params: {NAME: "{until.PATH}"}` sends the end of a range'),
    "is_data_feed": (AIRBYTE, "write `order: desc` and `filter: none`"),
    "is_client_side_incremental": (AIRBYTE, "write `filter: none`, with `order: desc`; or `sweep: true` in the stream"),
    "replication_key": (SINGER, "write `cursor_path`"),
    "is_sorted": (SINGER, "write `order: asc`"),
    "start_date": (MSDK, "write `initial_value`"),
    "source_search_field": (MSDK, 'the stream\'s `params: {NAME: "{cursor.PATH}"}` sends the cursor'),
})  # fmt: skip

AUTH: Final[Table] = MappingProxyType({
    "access_token": (DLT, "write `auth: {type: bearer}`, and the token itself as `auth_token`"),
    "default_token_expiration": (DLT, f"a token is fetched anew when it is refused; {_NEEDLESS}"),
    "api_token": (AIRBYTE, "it is a secret, a setting of its own beside `auth`: `auth_token` or `auth_api_key`"),
    "header": (AIRBYTE, "write `name`"),
    "inject_into": (AIRBYTE, "write `location`"),
    "token_refresh_endpoint": (AIRBYTE, "write `access_token_url`"),
    "scopes": (AIRBYTE, "write `scope`, separated by blanks"),
    "grant_type": (AIRBYTE, f"the type says it: {_OAUTH}"),
    "refresh_request_body": (AIRBYTE, "write `access_token_request_data`"),
    "oauth_extras": (MSDK, "write `access_token_request_data`"),
    "bearer_token": (MSDK, "it is a secret, a setting of its own beside `auth`: `auth_token`"),
})  # fmt: skip

RULE: Final[Table] = MappingProxyType({
    "status_code": (DLT, "write `http_codes`, a list"),
    "content": (DLT, "write `error_message_contains`"),
    "failure_type": (AIRBYTE, _NEEDLESS),
})  # fmt: skip

PAGINATOR_TYPES: Final[Table] = MappingProxyType({
    "auto": (DLT, "no paginator is guessed, as a wrong guess loses records: `tap-restextract plan` shows what a type asks for"),
    "json_response": (DLT, "write json_link"),
    "NoPagination": (AIRBYTE, "write single_page"),
    "DefaultPaginator": (AIRBYTE, "write the type of its pagination_strategy: offset, page_number or cursor"),
    "OffsetIncrement": (AIRBYTE, "write offset"),
    "PageIncrement": (AIRBYTE, "write page_number"),
    "CursorPagination": (AIRBYTE, "write cursor, or json_link where the body holds the next address"),
    "default": (MSDK, "write cursor"),
    "jsonpath_paginator": (MSDK, "write cursor, or json_link where the body holds the next address"),
    "header_link_paginator": (MSDK, "write header_link"),
    "restapi_header_link_paginator": (MSDK, "write header_link"),
    "simple_header_paginator": (MSDK, "write header_cursor, with cursor_key: X-Next-Page"),
    "hateoas_paginator": (MSDK, "write json_link"),
    "single_page_paginator": (MSDK, "write single_page"),
    "page_number_paginator": (MSDK, "write page_number"),
    "offset_paginator": (MSDK, "write offset"),
    "simple_offset_paginator": (MSDK, "write offset"),
    "style1": (MSDK, "write offset"),
})  # fmt: skip

AUTH_TYPES: Final[Table] = MappingProxyType({
    "NoAuth": (AIRBYTE, "write none"),
    "BearerAuthenticator": (AIRBYTE, "write bearer"),
    "BasicHttpAuthenticator": (AIRBYTE, "write http_basic"),
    "ApiKeyAuthenticator": (AIRBYTE, "write api_key"),
    "OAuthAuthenticator": (AIRBYTE, "write oauth2_refresh_token or oauth2_client_credentials"),
    "JwtAuthenticator": (AIRBYTE, "write plugin: a signer of another package"),
    "SessionTokenAuthenticator": (AIRBYTE, "write plugin: a signer of another package"),
    "CustomAuthenticator": (AIRBYTE, "write plugin: a signer of another package"),
    "no_auth": (MSDK, "write none"),
    "basic": (MSDK, "write http_basic"),
    "bearer_token": (MSDK, "write bearer"),
    "oauth": (MSDK, "write oauth2_refresh_token or oauth2_client_credentials"),
    "aws": (MSDK, "write plugin: a signer of another package"),
})  # fmt: skip


def foreign_hint(table: Table, name: str) -> str:
    """Return the end of a message about another tool's name: whose it is, and what to write; "" for any other."""
    if name not in table:
        return ""
    tool, remedy = table[name]
    return f"; {tool} has it, and here {remedy}" if remedy != _NEEDLESS else f"; {tool} has it; {remedy}"


def bound_param_fault(value: Any) -> str:
    """Say of a parameter that is bound as dlt binds it how it is written here; "" for any other value."""
    kind = value.get("type") if isinstance(value, Mapping) else None
    if kind == "incremental":
        return 'dlt writes it so; here write "{cursor.PATH}", and its keys into `incremental` of the stream'
    if kind == "resolve":
        return f"dlt writes it so; here {_PARENT}"
    return ""
