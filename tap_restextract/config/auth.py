"""How requests are authenticated: one struct a type of authentication."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from tap_restextract.config.annotations import Json, described


class NoAuth(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="none"):
    """No credentials are sent."""


class Bearer(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="bearer"):
    """`Authorization: Bearer` with the setting auth_token (RFC 6750)."""


class ApiKey(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="api_key"):
    """The setting auth_api_key in a header, a query parameter or a cookie."""

    name: Annotated[str, described("Name of the header, parameter or cookie.")] = "Authorization"
    location: Annotated[Literal["header", "query", "cookie"], described("Where the key goes.")] = "header"


class HttpBasic(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="http_basic"):
    """HTTP Basic (RFC 7617) with the settings auth_username and auth_password."""


class OAuth2ClientCredentials(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="oauth2_client_credentials"
):
    """OAuth 2.0 client credentials (RFC 6749, 4.4) with auth_client_id and auth_client_secret."""

    access_token_url: Annotated[str, described("Address of the token endpoint.")]
    scope: Annotated[str, described("Scopes, separated by blanks.")] | None = None
    access_token_request_data: Annotated[Json, described("More form fields of the token request.")] = {}
    client_authentication: Annotated[
        Literal["body", "header"], described("Whether the client's id and secret go in the form or in a Basic header.")
    ] = "body"


class OAuth2RefreshToken(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="oauth2_refresh_token"):
    """OAuth 2.0 refresh token (RFC 6749, 6) with auth_refresh_token; a rotated token is kept in `token_file`."""

    access_token_url: Annotated[str, described("Address of the token endpoint.")]
    scope: Annotated[str, described("Scopes, separated by blanks.")] | None = None
    access_token_request_data: Annotated[Json, described("More form fields of the token request.")] = {}
    client_authentication: Annotated[
        Literal["body", "header"], described("Whether the client's id and secret go in the form or in a Basic header.")
    ] = "body"
    token_file: Annotated[str, described("Where a rotated refresh token is kept, readable by its owner alone.")] = (
        ".tap-restextract/refresh_token.json"  # noqa: S105  a path
    )


class Plugin(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="plugin"):
    """A signer of another package: it receives each request as it is sent, and returns headers."""

    name: Annotated[str, Meta(min_length=1, description="Its name in the entry points tap_restextract.signers.")]
    options: Annotated[Json, described("What it needs besides the settings auth_…, such as a region.")] = {}


Auth = NoAuth | Bearer | ApiKey | HttpBasic | OAuth2ClientCredentials | OAuth2RefreshToken | Plugin
