"""Where a model server lives, taken from its base URL."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

import msgspec

from actinium.base.address import is_loopback
from actinium.errors import ConfigError


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A server and the path all its calls start with (``/v1``, without a slash at the end)."""

    host: str
    port: int
    tls: bool
    path: str

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.authority}{self.path}"

    def context(self, ca_file: str | None = None) -> ssl.SSLContext | None:
        """TLS 1.2 or newer with verified certificates, or None for plain HTTP.

        Raises ConfigError where ``ca_file`` (PEM, further trusted authorities) is no such file.
        """
        if not self.tls:
            return None
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        if ca_file is not None:
            try:
                context.load_verify_locations(ca_file)
            except OSError as error:  # ssl.SSLError is one as well
                raise ConfigError(f"ca_file {ca_file!r} cannot be used: {error}") from error
        return context


def parse_endpoint(url: str, *, insecure: bool = False) -> Endpoint:
    """Reads a base URL such as ``https://api.openai.com/v1``.

    Plain http is accepted for loopback only, unless ``insecure``, because a key and the
    prompts would cross the network readable (SC-1). Raises ConfigError.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"base_url: not a URL ({error}); write https://host/v1") from None
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(
            f"base_url: expected http://host or https://host with a path, got "
            f"{_shown(url)!r}; write for example https://api.openai.com/v1"
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            "base_url: it holds a user or password; put the key into credentials = 'env:NAME'"
        )
    if parts.query or parts.fragment:
        raise ConfigError(f"base_url: expected no '?' and no '#', got {_shown(url)!r}")
    if any(ord(c) <= 32 or ord(c) > 126 for c in host + parts.path):
        raise ConfigError("base_url: expected visible ASCII characters in host and path")
    tls = parts.scheme == "https"
    if not tls and not insecure and not is_loopback(host):
        raise ConfigError(
            f"base_url: plain http to {host!r} would send prompts and key readable over the "
            "network; write https://, or set options.insecure = true if that network is yours"
        )
    return Endpoint(
        host=host, port=port or (443 if tls else 80), tls=tls, path=parts.path.rstrip("/")
    )


def _shown(url: str) -> str:
    """The URL without what could be a password or a key in it."""
    return url.split("?", 1)[0].rsplit("@", 1)[-1][:120]
