"""How fast requests may leave: a pure decision over a rate, what the API says of its quota, and a clock's moments.

Requests are spaced evenly, so that no pause is followed by a burst: in any stretch of a rate's length there are at most
as many as it allows. An API's quota is spent freely until a tenth of it is left; that tenth is spread over the time
until the quota is full again, a minute a request at most; and an empty quota is waited for. Read are the fields of the
IETF's draft (`RateLimit` and `RateLimit-Policy`, and the older `RateLimit-Limit`, `-Remaining`, `-Reset`) and the
`X-RateLimit-*` family, whose reset is a number of seconds, an epoch in seconds or milliseconds, or a date.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tap_restextract.exchange.retry import http_date

UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
PREFIXES: Final = ("ratelimit-", "x-ratelimit-", "x-rate-limit-")
FIELDS: Final = ("ratelimit", "x-ratelimit-", "x-rate-limit-")
LOW_QUOTA_REQUESTS: Final = 10.0
LOW_QUOTA_SHARE: Final = 0.1
MAX_SPACING_SECONDS: Final = 60.0
EPOCH: Final = 1e8  # seconds: no API's quota is renewed in three years, and none was in 1973
EPOCH_MS: Final = 1e11
NUMBER: Final = re.compile(r"\s*(-?[0-9]{1,15}(?:\.[0-9]{1,9})?)\s*(?:$|[,;])")
MEMBER: Final = re.compile(
    r'(?:^|,)\s*(?P<name>"[^"]*"|[a-z*][a-z0-9_.*-]*)\s*(?P<parameters>(?:;[^,;]*)*)', re.IGNORECASE
)
PARAMETER: Final = re.compile(r";\s*([a-z*][a-z0-9_.*-]*)=([0-9]{1,15})\b", re.IGNORECASE)
PAIR: Final = re.compile(r"(?:^|,)\s*(limit|remaining|reset)=([0-9]{1,15})\b", re.IGNORECASE)


class Quota(Struct, frozen=True):
    """What an API says of one of its quotas: requests left, seconds until it is full again, its size if known."""

    remaining: float
    reset: float
    limit: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the next request would be refused."""
        return self.remaining <= 0


class Pace(Struct, frozen=True):
    """What is known of when the next request may leave; all moments are seconds of one clock.

    Attributes:
        last: when the last request left, or will leave.
        not_before: when the API's quota is full again, or its pause over.
        spacing: the seconds between requests that a quota running low asks for.
        until: when that is over.
    """

    last: float = float("-inf")
    not_before: float = float("-inf")
    spacing: float = 0.0
    until: float = float("-inf")


def spacing_of(rate: str | None) -> float:
    """Return the seconds between two requests at a rate such as 10/s, 600/m or 1/2s."""
    if rate is None:
        return 0.0
    requests, _, per = rate.partition("/")
    return int(per[:-1] or 1) * UNITS[per[-1]] / int(requests)


def departure(pace: Pace, spacing: float, now: float) -> float:
    """Return when the next request may leave, with the seconds between two that the configuration asks for."""
    slower = max(spacing, pace.spacing if pace.last < pace.until else 0.0)
    return max(now, pace.not_before, pace.last + slower)


def departed(pace: Pace, at: float) -> Pace:
    """Return the pace once a request's departure is settled."""
    return Pace(max(pace.last, at), pace.not_before, pace.spacing, pace.until)


def paused(pace: Pace, until: float) -> Pace:
    """Return the pace once the API asked to wait."""
    return replace(pace, not_before=max(pace.not_before, until))


def learned(pace: Pace, quotas: tuple[Quota, ...], now: float, flying: int = 0) -> Pace:
    """Return the pace after an answer that reports quotas; without any, as it was.

    Args:
        pace: until then.
        quotas: the answer's.
        now: this moment.
        flying: requests that have no answer yet; they may be in no quota's count.
    """
    if not quotas:
        return pace
    left = [replace(quota, remaining=max(0.0, quota.remaining - flying)) for quota in quotas]
    spaced = max((spread(quota), quota.reset) for quota in left)
    empty = [now + quota.reset for quota in left if quota.is_empty]
    return replace(pace, spacing=spaced[0], until=now + spaced[1], not_before=max([pace.not_before, *empty]))


def spread(quota: Quota) -> float:
    """Return the seconds between requests that make what is left of a quota last, once that is little."""
    little = LOW_QUOTA_REQUESTS if quota.limit is None else max(1.0, quota.limit * LOW_QUOTA_SHARE)
    if quota.is_empty or quota.remaining > little:
        return 0.0
    return min(MAX_SPACING_SECONDS, quota.reset / (quota.remaining + 1))


def quotas(headers: Mapping[str, str], clock: float) -> tuple[Quota, ...]:
    """Read the quotas in an answer's headers, resets by the server's clock; none where there are none to read."""
    if not any(name.startswith(FIELDS) for name in headers):
        return ()
    read = [*_structured(headers), *(_plain(headers, prefix, clock) for prefix in PREFIXES)]
    return tuple(quota for quota in read if quota is not None)


def exhausted(reported: tuple[Quota, ...]) -> float | None:
    """Return the seconds until every empty quota is full again; None where none is empty."""
    return max((quota.reset for quota in reported if quota.is_empty), default=None)


def _structured(headers: Mapping[str, str]) -> list[Quota]:
    """Return the fields `RateLimit: "name";r=50;t=30` and, before draft 08, `limit=100, remaining=50, reset=30`."""
    text = headers.get("ratelimit", "")
    if pairs := {name.lower(): float(value) for name, value in PAIR.findall(text)}:
        if "remaining" not in pairs or "reset" not in pairs:
            return []
        return [Quota(pairs["remaining"], pairs["reset"], pairs.get("limit"))]
    policies = _members(headers.get("ratelimit-policy", ""))
    result = []
    for name, parameters in _members(text).items():
        policy = policies.get(name, {})
        # The window's length is the most that its reset can be.
        reset = parameters.get("t", policy.get("w"))
        if "r" in parameters and reset is not None:
            result.append(Quota(parameters["r"], reset, policy.get("q")))
    return result


def _members(text: str) -> dict[str, dict[str, float]]:
    return {
        match["name"]: {name.lower(): float(value) for name, value in PARAMETER.findall(match["parameters"])}
        for match in MEMBER.finditer(text)
    }


def _plain(headers: Mapping[str, str], prefix: str, clock: float) -> Quota | None:
    remaining = _number(headers.get(f"{prefix}remaining", ""))
    after = _number(headers.get(f"{prefix}reset-after", ""))
    reset = after if after is not None else _reset(headers.get(f"{prefix}reset", ""), clock)
    if remaining is None or reset is None:
        return None
    return Quota(max(0.0, remaining), max(0.0, reset), _number(headers.get(f"{prefix}limit", "")))


def _number(text: str) -> float | None:
    """Return a field's first number; parameters and more members may stand after it."""
    match = NUMBER.match(text)
    return float(match[1]) if match else None


def _reset(text: str, clock: float) -> float | None:
    number = _number(text) if NUMBER.fullmatch(text) else None
    if number is not None:
        if number < EPOCH:
            return number
        return (number / 1000 if number >= EPOCH_MS else number) - clock
    moment = http_date(text)
    if moment is None:
        try:
            instant = datetime.fromisoformat(text.strip().upper().replace("Z", "+00:00"))
        except ValueError:
            return None
        moment = (instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc)).timestamp()
    return moment - clock
