"""The files of TLS: the certificates that are trusted, and this client's own certificate and key."""

from __future__ import annotations

import functools
import os
import ssl
from pathlib import Path

from tap_restextract.config.streams import StreamSettings
from tap_restextract.errors import ConfigurationError
from tap_restextract.exchange.request import host_address


def certificates(stream: StreamSettings) -> tuple[str | bool, str | tuple[str, str] | None]:
    """Return what TLS connections are verified with (True: requests' own bundle), and this client's own certificate.

    Raises:
        ConfigurationError: for a file that can't be read, or that holds no certificate or key.
    """
    bundle = stream.ca_bundle or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    own = stream.client_certificate
    faults = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    addresses = (host_address(stream), getattr(stream.auth, "access_token_url", ""))
    # One that the environment names concerns plain HTTP only where it meets an HTTPS proxy, whose error names it then.
    if bundle and (stream.ca_bundle or any(address.lower().startswith("https:") for address in addresses)):
        try:
            _check_bundle(bundle)
        except OSError as error:
            name = "ca_bundle" if stream.ca_bundle else "the variable REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"
            faults.append(f"stream {stream.name}: {name}: {bundle} holds no certificates ({_file_fault(error)})")
    if own:
        try:
            context.load_cert_chain(own, stream.client_key, password="")
        except (OSError, ValueError) as error:
            faults.append(
                f"stream {stream.name}: client_certificate {own} and client_key {stream.client_key or own} are no unencrypted "
                f"certificate and its key ({_file_fault(error)})"
            )
    if faults:
        raise ConfigurationError(faults)
    return bundle or True, (own, stream.client_key) if own and stream.client_key else own


@functools.lru_cache(maxsize=64)
def _check_bundle(bundle: str) -> None:
    """Read the certificates, once for all streams: it takes longer than a page.

    Raises:
        OSError: where there are none.
    """
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
        **{"capath" if Path(bundle).is_dir() else "cafile": bundle}
    )


def _file_fault(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
    return str(reason or type(error).__name__)
