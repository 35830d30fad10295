"""The settings of TLS that publishers share."""

from __future__ import annotations

import ssl
from typing import Protocol

from target_eventgen.errors import SettingsError


class Encrypted(Protocol):
    """Settings that have those of TLS."""

    @property
    def certificate_authority(self) -> str | None:
        """File of the certificates that the server's is verified with."""

    @property
    def client_certificate(self) -> str | None:
        """File of the client's certificate."""

    @property
    def client_private_key(self) -> str | None:
        """File of its private key."""


def check(settings: Encrypted, *, encrypted: bool) -> None:
    """Refuse settings of TLS that would not be heeded.

    Args:
        settings: of a publisher.
        encrypted: whether its connections are.

    Raises:
        ValueError: they are given without encryption, or a client's key without its certificate.
    """
    given = [
        name
        for name in ("certificate_authority", "client_certificate", "client_private_key")
        if getattr(settings, name)
    ]
    if given and not encrypted:
        raise ValueError(f"{', '.join(given)} without TLS, which the address or the setting of TLS must ask for")
    if settings.client_private_key and not settings.client_certificate:
        raise ValueError("client_private_key without client_certificate")


def context(name: str, settings: Encrypted) -> ssl.SSLContext:
    """Return what a connection is encrypted with; the server's certificate and name are always verified.

    Args:
        name: the publisher's in the configuration.
        settings: of the publisher.

    Raises:
        SettingsError: a file is missing, or is not what its setting says.
    """
    try:
        context = ssl.create_default_context(cafile=settings.certificate_authority)
        if settings.client_certificate:
            context.load_cert_chain(settings.client_certificate, settings.client_private_key)
    except OSError as error:  # those of ssl among them
        raise SettingsError(
            [f'the publisher "{name}": its certificates or its key can\'t be read ({error.strerror or error})']
        ) from error
    return context
