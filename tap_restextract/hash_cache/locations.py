"""Where a hash cache lies, by the setting `hash_cache`: a path is a SQLite file, an address a server."""

from __future__ import annotations

from urllib.parse import urlsplit

from tap_restextract.hash_cache.protocol import HashCache
from tap_restextract.hash_cache.sqlite import SqliteHashes


def open_cache(location: str, stream: str) -> HashCache:
    """Return the stream's part of the cache at this location.

    Raises:
        ConfigurationError: where it can't be opened, or its client isn't installed.
    """
    scheme = location.partition("://")[0] if "://" in location else ""
    if scheme in {"redis", "rediss"}:
        from tap_restextract.hash_cache.redis import RedisHashes  # noqa: PLC0415  its client is an extra

        return RedisHashes(location, stream, redacted_location(location))
    if scheme in {"postgresql", "postgres"}:
        from tap_restextract.hash_cache.postgres import PostgresHashes  # noqa: PLC0415  a slow import

        return PostgresHashes(location, stream, redacted_location(location))
    return SqliteHashes(location, stream)


def redacted_location(location: str) -> str:
    """Return the location as a person may see it: a path as it is, an address without user, password and options."""
    if "://" not in location:
        return location
    scheme = location.partition("://")[0]
    try:
        split = urlsplit(location)
        host = split.netloc.rpartition("@")[2]
    except ValueError:  # an IPv6 address that is none
        return f"{scheme}://…"
    # A password with unescaped slashes makes the path hold its end.
    return f"{scheme}://…" if "@" in split.path + split.query + split.fragment else f"{scheme}://{host}{split.path}"
