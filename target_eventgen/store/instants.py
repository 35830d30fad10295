"""When a replication key that is a plain text to its SCHEMA is newer than another.

Many taps send instants without saying so (`type: string`, no `format`), and many APIs leave zeros out of a fraction. As
letters `10:30:00Z` is behind `10:30:00.5Z`, and `12:00:00+02:00` behind `11:00:00Z`, so that the newer version would be kept
out as stale. A text that is written as an instant of ISO 8601 (RFC 3339, and its relatives with a space, a comma, without
seconds, minutes of the zone, or a zone, which is UTC then) is therefore compared as this instant, whatever its number of
fractional digits; any other text by its bytes, whatever the database's locale.
"""

from __future__ import annotations

from typing import Final

from psycopg2 import sql

PATTERN: Final = (
    r"^((?!0000)\d{4}-(?:0[1-9]|1[0-2]))-(0[1-9]|[12]\d|3[01])[Tt ]([01]\d|2[0-4]):([0-5]\d)"
    r"(?::([0-5]\d|60)(?:[.,](\d+))?)?(?:[Zz]|([+-])([01]\d|2[0-4]):?([0-5]\d)?)?$"
)
"""Month, day, hour, minute, second, fraction; sign, hours and minutes of the zone."""


def comparable(text: sql.Composable) -> sql.Composable:
    """Return an expression that orders as the text is meant to: an instant in UTC, without trailing zeros, or the text.

    What it returns stands for itself: it is the same again. No text makes it fail, for days are counted from the first of
    the month, and are not looked up.
    """
    return sql.SQL(
        "(SELECT coalesce(to_char((m[1] || '-01')::timestamp + make_interval(days => m[2]::int - 1, hours => m[3]::int"
        " - coalesce((m[7] || m[8])::int, 0), mins => m[4]::int - coalesce((m[7] || m[9])::int, 0),"
        " secs => coalesce(m[5]::int, 0)), 'YYYY-MM-DD\"T\"HH24:MI:SS')"
        " || coalesce('.' || nullif(rtrim(m[6], '0'), ''), ''), {text})"
        ' FROM (SELECT regexp_match({text}, {pattern}) AS m) AS parts) COLLATE "C"'
    ).format(text=text, pattern=sql.Literal(PATTERN))
