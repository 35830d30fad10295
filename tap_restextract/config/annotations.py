"""What annotations of settings say beside the type: a description, and that a value is a secret."""

from __future__ import annotations

from typing import Any

from msgspec import Meta

Json = dict[str, Any]


def described(text: str) -> Any:
    """Describe a setting."""
    return Meta(description=text)


def secret(text: str) -> Any:
    """Describe a setting that nobody may read back."""
    return Meta(description=text, extra_json_schema={"secret": True, "writeOnly": True})
