"""TLS for servers: certificates from files, which can be read anew while connections are open."""

from __future__ import annotations

import ssl
import time
from typing import Any, Literal

import msgspec

from actinium.errors import ConfigError

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class Tls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a server speaks TLS. ``cert`` and ``key`` are PEM files: the certificate with those it
    was signed by, and its private key without a password.

    ``minimum`` is the oldest version spoken. With ``client_ca`` (a PEM file of authorities)
    clients must show a certificate that one of them signed.
    """

    cert: str
    key: str
    minimum: Literal["1.2", "1.3"] = "1.2"
    client_ca: str | None = None

    def __post_init__(self) -> None:
        for field in ("cert", "key", "client_ca"):
            if getattr(self, field) == "":
                raise ConfigError(f'tls.{field}: expected the path of a PEM file, got ""')

    def context(self) -> ssl.SSLContext:
        """A context from the files as they are now.

        Raises ConfigError for a file that cannot be read, is no PEM, or does not fit the other.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[self.minimum]
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self.cert, self.key, password=_no_password)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError as well
            raise ConfigError(
                f"tls: the certificate {self.cert!r} with the key {self.key!r} cannot be used: "
                f"{_reason(error)}; expected two PEM files that belong together"
            ) from error
        if self.client_ca is not None:
            try:
                context.load_verify_locations(self.client_ca)
            except (OSError, ValueError) as error:
                raise ConfigError(
                    f"tls.client_ca: {self.client_ca!r} cannot be used: {_reason(error)}; expected "
                    "a PEM file with the certificates of authorities"
                ) from error
            context.verify_mode = ssl.CERT_REQUIRED
            # Who resumes a session shows no certificate: an authority that has been taken away
            # would go on opening the door for as long as its sessions last. See `is_stale`.
            context.num_tickets = 0
            context.options |= ssl.OP_NO_TICKET
        return context


class ServerTls:
    """The TLS of one server. ``context`` is what it listens with; :meth:`reload` has new
    connections get the certificate and the authorities that the files hold by then."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._current = tls.context()
        self.context = tls.context()
        self.context.sni_callback = self._choose
        self._reloaded = 0.0

    def reload(self) -> None:
        """Reads the files anew. Raises ConfigError, and then everything stays as it was."""
        self._current = self._tls.context()
        self._reloaded = time.time()

    def is_stale(self, connection: ssl.SSLObject | None) -> bool:
        """Whether a connection goes on with a session of before the last :meth:`reload`, and so its
        client has shown no certificate since; with TLS 1.2 servers keep sessions themselves."""
        if connection is None or self._tls.client_ca is None or not connection.session_reused:
            return False
        session = connection.session
        return session is None or session.time <= self._reloaded

    def _choose(self, connection: Any, name: str | None, context: ssl.SSLContext) -> None:
        """Called in every handshake, whether or not the client names a host."""
        connection.context = self._current


def _no_password() -> str:
    raise ValueError("the key has a password, which nobody could type when the server starts")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "it is no PEM"
    return getattr(error, "strerror", None) or str(error)
