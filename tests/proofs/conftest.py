"""What the slices of the campaigns share."""

from __future__ import annotations

from tests.tap.conftest import _no_proxies

__all__ = ["_no_proxies"]
