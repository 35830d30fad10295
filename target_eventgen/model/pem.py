"""Certificates and keys that a setting holds as text, in place of the path of a file."""

from __future__ import annotations

from typing import Final

_BEGIN: Final = "-----BEGIN "


def is_pem(value: str) -> bool:
    """Return whether a setting's value is the text of a certificate or key, and not a path."""
    return value.lstrip().startswith(_BEGIN)


def pem(value: str) -> str:
    r"""Return the text of a certificate or key; one on a single line may write `\n` for its line breaks."""
    text = value.strip()
    return (text if "\n" in text else text.replace("\\n", "\n")) + "\n"
