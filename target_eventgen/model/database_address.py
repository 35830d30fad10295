"""The address of the database, of the settings that make it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from psycopg2 import ProgrammingError
from psycopg2.extensions import make_dsn

if TYPE_CHECKING:
    from target_eventgen.model.database_settings import DatabaseSettings

PARTS: Final = ("host", "port", "user", "password", "database")
"""The settings that make up a URL."""

TLS: Final = {
    "ssl_mode": "sslmode",
    "ssl_certificate_authority": "sslrootcert",
    "ssl_client_certificate": "sslcert",
    "ssl_client_private_key": "sslkey",
}
"""Our settings of TLS, which are called as in another target of the SDK, with libpq's names for them."""


def dsn_of(settings: DatabaseSettings) -> str | None:
    """Return where Postgres is, for libpq; None: the project's own."""
    if settings.database_url:
        # SQLAlchemy's way of naming the driver; libpq knows only the scheme.
        return _with_tls(str(settings.database_url).replace("postgresql+psycopg2://", "postgresql://", 1), settings)
    if not settings.host:
        return None
    given = {name: value for name in PARTS if (value := getattr(settings, name)) is not None}
    return _with_tls(
        str(make_dsn(**{"dbname" if name == "database" else name: value for name, value in given.items()})), settings
    )


def _with_tls(dsn: str, settings: DatabaseSettings) -> str:
    given = {libpq: value for name, libpq in TLS.items() if (value := getattr(settings, name))}
    try:
        return str(make_dsn(dsn, **given)) if given else dsn
    except ProgrammingError:
        return dsn  # the connection's own error says so, without quoting it
