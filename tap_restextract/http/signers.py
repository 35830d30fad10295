"""Signers: code of others that authenticates a request as it goes over the wire, such as HMAC or AWS's signatures.

A signer is a function behind an entry point of the group `tap_restextract.signers`. It is called for each request that
is sent, retries too (a signature has its time in it), and returns headers, which replace those of the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, Final

from msgspec import Struct

from tap_restextract.errors import ConfigurationError

GROUP: Final = "tap_restextract.signers"


class Unsigned(Struct, frozen=True):
    """A request as it will go over the wire, but for the signer's headers.

    Attributes:
        method: GET or POST.
        url: the whole address, its query encoded.
        headers: those that are sent; Host is the address's.
        body: the bytes, none for GET.
        settings: the stream's settings whose names begin with `auth_`, by these names, where they are set.
        options: `auth.options`, for what is no secret: a region, a service.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    settings: Mapping[str, str]
    options: Mapping[str, Any]


Signer = Callable[[Unsigned], Mapping[str, str]]


def signer(name: str) -> Signer:
    """Return the installed signer of this name.

    Raises:
        ConfigurationError: where there is none, or it can't be imported.
    """
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name not in points:
        known = f"installed are {', '.join(sorted(points))}" if points else "none is installed"
        raise ConfigurationError(
            [
                f"auth.name: there is no signer {name!r} in the entry points {GROUP}; {known}; install its package beside the tap"
            ]
        )
    try:
        loaded: Signer = points[name].load()
    except Exception as error:
        remedy = "install that module beside the tap" if _missing_module(error) else "fix its package"
        raise ConfigurationError(
            [f"auth.name: the signer {name!r} ({points[name].value}) can't be imported ({_named(error)}); {remedy}"]
        ) from error
    return loaded


def signature_headers(name: str, sign: Signer, unsigned: Unsigned) -> dict[str, str]:
    """Return the signer's headers.

    Raises:
        ConfigurationError: where it fails, without its words: they may hold secrets.
    """
    try:
        headers = dict(sign(unsigned))
    except Exception as error:
        raise ConfigurationError(
            [f"the signer {name!r} raised {_named(error)}; check auth.options and the auth_ settings that it needs"]
        ) from error
    if not all(isinstance(part, str) for pair in headers.items() for part in pair):
        raise ConfigurationError([f"the signer {name!r} returned headers that aren't text; fix its package"])
    return headers


def _named(error: Exception) -> str:
    """Name an error of others' code by its type, and by the module that is missing; its own words may hold secrets."""
    module = _missing_module(error)
    return f"{type(error).__name__}: there is no module {module!r}" if module else type(error).__name__


def _missing_module(error: Exception) -> str | None:
    return error.name if isinstance(error, ModuleNotFoundError) else None
