"""The database of a run's settings: where it is, and the tunnel to it."""

from __future__ import annotations

from target_eventgen import embedded
from target_eventgen.model.settings import Settings
from target_eventgen.store import tunnel


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
