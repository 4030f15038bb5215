"""TLS: the service's certificate, which can be exchanged while it runs."""

from __future__ import annotations

import ssl
from pathlib import Path

__all__ = ["Certificate"]


class Certificate:
    """A certificate with its chain, and its key, in files in PEM format.

    Raises `ValueError` if they can't be used.
    """

    def __init__(self, cert: Path, key: Path | None = None) -> None:
        self._cert = cert
        self._key = key or cert
        self.context: ssl.SSLContext = self._load()
        """For the connections of a server: TLS 1.2 or newer."""

    def reload(self) -> None:
        """Read the files again, for new connections. Raises `ValueError`; then all stays as it is."""
        self._load()
        self.context.load_cert_chain(self._cert, self._key, password="")

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        for name, path in (("tls_cert", self._cert), ("tls_key", self._key)):
            try:
                path.read_bytes()
            except OSError as error:
                raise ValueError(f"{name}: can't read {str(path)!r}: {error.strerror}") from None
        try:
            # With an empty password: a key which needs one is an error, and no question at a terminal.
            context.load_cert_chain(self._cert, self._key, password="")
        except (ssl.SSLError, OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise ValueError(
                f"tls_cert: {str(self._cert)!r} and the key in {str(self._key)!r} can't be used: {reason}; "
                "they must be PEM and belong together, and the key must have no password"
            ) from None
        return context
