"""The database of a run's settings: where it is, the tunnel to it, and what is done with it before a run."""

from __future__ import annotations

from target_eventgen import embedded
from target_eventgen.model.settings import Settings
from target_eventgen.store import tunnel
from target_eventgen.store.postgres import BeforeCommit, Postgres


def address(settings: Settings) -> str:
    """Return the dsn of the database that the settings name, through whose tunnel all connections go from now on.

    Without a name it is the project's own, which is started.

    Raises:
        SettingsError: the tunnel can't be made from its settings.
        EmbeddedPostgresError: the project's own can't run.
    """
    dsn = embedded.resolve(settings.dsn)
    if settings.tunnel is not None:
        tunnel.declare(dsn, settings.tunnel)
    return dsn


def opened(settings: Settings, run: int, before_commit: BeforeCommit | None) -> Postgres:
    """Connect to the database, make the outbox where it is missing, and execute `before_run_sql`.

    Args:
        settings: of the target.
        run: a number that no other run of the target has.
        before_commit: publishes events within their transaction.

    Raises:
        SettingsError: the database's address, or its tunnel, is none.
        DatabaseError: it can't be reached, or refuses.
    """
    postgres = Postgres(
        address(settings),
        run,
        lock_timeout=settings.lock_timeout,
        statement_timeout=settings.statement_timeout,
        reconnect_seconds=settings.reconnect_seconds,
        before_commit=before_commit,
        granted=settings.granted,
    )
    try:
        if settings.before_run_sql:
            postgres.execute("before_run_sql", settings.before_run_sql)
    except BaseException:
        postgres.close()
        raise
    return postgres
