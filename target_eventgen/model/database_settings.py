"""Settings of the database that is loaded: its address and the way to it, its tables, SQL around a run."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from target_eventgen.model import database_address, grants, ssh_tunnel
from target_eventgen.model.column_types import ColumnTypes
from target_eventgen.model.grants import Grant, GrantEntry
from target_eventgen.model.json_schema import described, object_schema
from target_eventgen.model.ssh_tunnel import SshTunnel

RECONNECT_SECONDS: Final = 60


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Settings under their names; derived values are properties. `settings.Settings` has all of them."""

    database_url: Annotated[
        str | None,
        described(
            "Database URL",
            "postgresql://user:password@host:port/database. Without it, and without the parts below, a "
            "Postgres of the project's own is started in the folder .eventgen/postgres.",
            secret=True,
            writeOnly=True,
        ),
    ] = None
    host: Annotated[str | None, described("Host", "Of Postgres; not beside database_url.")] = None
    port: Annotated[int | None, described("Port", "Of Postgres, 5432 if not given.")] = None
    user: Annotated[str | None, described("User", "Of Postgres; not beside database_url.")] = None
    password: Annotated[str | None, described("Password", "Of the user.", secret=True, writeOnly=True)] = None
    database: Annotated[str | None, described("Database", "Its name; not beside database_url.")] = None
    ssl_mode: Annotated[
        Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None,
        described("TLS mode", "libpq's sslmode: whether the connection is encrypted, and how the server is verified."),
    ] = None
    ssl_certificate_authority: Annotated[
        str | None,
        described(
            "TLS authority",
            "The certificates that the server's is verified with, as a file or as text, beginning with -----BEGIN.",
        ),
    ] = None
    ssl_client_certificate: Annotated[
        str | None, described("TLS client certificate", "The client's certificate, as a file or as text.")
    ] = None
    ssl_client_private_key: Annotated[
        str | None,
        described(
            "TLS client key",
            "The client certificate's private key, as text, or as a file that is readable by nobody else.",
            secret=True,
            writeOnly=True,
        ),
    ] = None
    ssh_tunnel: Annotated[
        dict[str, Any],
        described(
            "SSH tunnel",
            "The SSH server (bastion host) through which Postgres is reached; needs the extra ssh.",
            properties=object_schema(SshTunnel)["properties"],
        ),
    ] = {}

    lock_timeout: Annotated[
        int | None,
        described(
            "Lock timeout",
            "Seconds that a statement may wait for a lock before the run ends; 0 is as long as it takes; without it, as "
            "long as the role's own lock_timeout.",
        ),
    ] = None
    statement_timeout: Annotated[
        int,
        described(
            "Statement timeout", "Seconds that a statement may take before the run ends; 0 is as long as it takes."
        ),
    ] = 0
    reconnect_seconds: Annotated[
        int,
        described(
            "Seconds of reconnecting",
            "For how long to reconnect after a lost connection before the run ends; 0 ends it at once.",
        ),
    ] = RECONNECT_SECONDS

    interpret_content_encoding: Annotated[
        bool,
        described(
            "Bytes",
            "Whether a text whose SCHEMA has contentEncoding base64 or base16 is stored as the bytes that it stands for: "
            "a new column of it is bytea.",
        ),
    ] = False
    bounded_integers: Annotated[
        bool,
        described(
            "Bounded integers",
            "Whether a new column of an integer with minimum and maximum is as narrow as these allow: smallint, integer, "
            "bigint or numeric.",
        ),
    ] = False
    sql_datatypes: Annotated[
        Literal["use", "ignore"],
        described(
            "SQL types", "Whether x-sql-datatype in a property's SCHEMA names the type of a new column, or is ignored."
        ),
    ] = "use"
    grants: Annotated[
        list[dict[str, Any]],
        described(
            "Grants",
            "Roles that may use the tables which the target makes: each has a role, and privileges, SELECT if not given. "
            "They get USAGE on the tables' schemas, too.",
            items=object_schema(GrantEntry),
        ),
    ] = []
    before_run_sql: Annotated[
        str | None,
        described(
            "SQL before a run", "Statements that are executed before anything else, in a transaction of their own."
        ),
    ] = None
    after_run_sql: Annotated[
        str | None,
        described(
            "SQL after a run",
            "Statements that are executed once the input has ended normally, all is committed and STATE is out, in a "
            "transaction of their own.",
        ),
    ] = None

    @functools.cached_property
    def dsn(self) -> str | None:
        """Where Postgres is; None: the project's own."""
        return database_address.dsn_of(self)

    @property
    def column_types(self) -> ColumnTypes:
        """What decides the types of new columns."""
        return ColumnTypes(
            decodes=self.interpret_content_encoding, bounded=self.bounded_integers, named=self.sql_datatypes == "use"
        )

    @property
    def granted(self) -> tuple[Grant, ...]:
        """Who may use the tables that are made."""
        return grants.parse(self.grants)

    @functools.cached_property
    def tunnel(self) -> SshTunnel | None:
        """The SSH server in front of the database; None: there is none."""
        return ssh_tunnel.parse(self.ssh_tunnel)


def faults(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the faults of these settings that a JSON Schema can't find, without any value of a secret."""
    yield from ssh_tunnel.faults(
        config.get("ssh_tunnel"), has_host=bool(config.get("database_url") or config.get("host"))
    )
    yield from grants.faults(config.get("grants"))
