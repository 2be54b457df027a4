"""Certificates for TLS on loopback: an authority of its own for each factory, and contexts for both sides."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple

import trustme

__all__ = ["Certificates", "Tls"]


class Tls(NamedTuple):
    """Both sides of TLS on loopback."""

    server: ssl.SSLContext
    of_another: ssl.SSLContext  # a server with another's name in its certificate
    client: ssl.SSLContext


class Certificates:
    """A factory of certificates, all of one authority that nobody else knows."""

    def __init__(self) -> None:
        self._authority = trustme.CA()

    def server(self, *names: str) -> ssl.SSLContext:
        """The context of a server of these names and addresses: localhost and 127.0.0.1 if there are none."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(*names or ("localhost", "127.0.0.1", "::1")).configure_cert(context)
        return context

    def client(self) -> ssl.SSLContext:
        """The context of a client that trusts them: ``Client(ssl_context=...)``."""
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context

    def authority(self, folder: Path) -> Path:
        """The authority's certificate as a PEM file in ``folder``, for ``SSL_CERT_FILE`` and other programs."""
        path = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(path))
        return path

    def tls(self) -> Tls:
        """Both sides, and a server that gives itself out for somebody else."""
        return Tls(self.server(), self.server("elsewhere.example"), self.client())
