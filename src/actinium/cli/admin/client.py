"""Asks the admin API of a gateway."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from actinium.base.secret import read_secret
from actinium.errors import ConfigError, MissingCredentials, NetworkError, UpstreamTimeout
from actinium.inference.http import HttpClient, parse_endpoint

from ..failures import FAILED, USAGE, CommandFailed
from ..loop import new_runner

_MOST_BYTES: Final = 64 * 1024 * 1024

T = TypeVar("T")


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """Where the admin API is, and the variable with its token."""

    url: str
    token_env: str
    ca_file: str | None = None
    insecure: bool = False


class _Told(msgspec.Struct):
    message: str
    param: str | None = None


class _Refusal(msgspec.Struct):
    error: _Told


class AdminClient:
    """One gateway. Every call raises CommandFailed with what to do where it cannot be done."""

    def __init__(self, site: Site, environ: Mapping[str, str]) -> None:
        try:
            self._endpoint = parse_endpoint(site.url, insecure=site.insecure)
            self._tls: ssl.SSLContext | None = self._endpoint.context(site.ca_file)
        except ConfigError as error:
            text = str(error).replace("base_url", "--url")
            raise CommandFailed(text, "see --url, --ca-file and --insecure", USAGE) from error
        try:
            self._token = read_secret(f"env:{site.token_env}", environ)
        except MissingCredentials as error:
            raise CommandFailed(
                f"the token of the admin API is missing: {error}",
                f"export {site.token_env}=... with the token that the gateway's configuration "
                "names below [gateway.admin]",
                USAGE,
            ) from error
        self._variable = site.token_env

    def get(self, path: str, kind: type[T]) -> T:
        """What a path answers."""
        return self._call("GET", path, None, kind)

    def send(self, method: str, path: str, body: Any, kind: type[T]) -> T:
        """Changes something."""
        return self._call(method, path, body, kind)

    def delete(self, path: str) -> None:
        """Ends something."""
        self._call("DELETE", path, None, type(None))

    def _call(self, method: str, path: str, body: Any, kind: type[T]) -> T:
        try:
            with new_runner() as runner:
                status, raw = runner.run(self._exchange(method, path, body))
        except (NetworkError, UpstreamTimeout) as error:
            raise CommandFailed(
                f"no gateway answers at {self._endpoint}: {error}",
                "start one with: actinium serve actinium.toml; or name another with --url",
                FAILED,
            ) from error
        if 200 <= status < 300:
            return msgspec.json.decode(raw or b"null", type=kind)
        raise self._refused(status, raw)

    async def _exchange(self, method: str, path: str, body: Any) -> tuple[int, bytes]:
        endpoint = self._endpoint
        client = HttpClient(endpoint, connect_seconds=5.0, tls=self._tls)
        data = msgspec.json.encode(body) if body is not None else b""
        lines = (
            f"{method} {endpoint.path}/admin/v1/{path} HTTP/1.1",
            f"Host: {endpoint.authority}",
            f"Authorization: Bearer {self._token.reveal()}",
            f"Content-Length: {len(data)}",
        )
        try:
            connection = await client.send("\r\n".join((*lines, "", "")).encode("ascii") + data)
            try:
                status = connection.status
                return status, b"" if status == 204 else await connection.body(_MOST_BYTES)
            finally:
                connection.abort()
        finally:
            await client.close()

    def _refused(self, status: int, raw: bytes) -> CommandFailed:
        try:
            told = msgspec.json.decode(raw, type=_Refusal).error.message
        except msgspec.DecodeError:
            return CommandFailed(
                f"{self._endpoint} answered {status}, and not as a gateway of this kind does",
                "is another program there? name the gateway with --url",
            )
        if status == 401:
            return CommandFailed(
                f"{self._endpoint} does not take the token in {self._variable}",
                "set it to the token that the gateway's configuration names below [gateway.admin]",
            )
        if status == 403:
            return CommandFailed(
                f"what is in {self._variable} is a key, and not the token of the admin API",
                "set it to the token that the gateway's configuration names below [gateway.admin]",
            )
        if status == 404 and told.startswith("there is no '/"):
            return CommandFailed(
                f"the gateway at {self._endpoint} has no admin API there",
                'write [gateway.admin] with token = "env:ACTINIUM_ADMIN_TOKEN" into its '
                "configuration; if it has a port of its own, name that with --url",
            )
        return CommandFailed(told, code=USAGE if status == 400 else FAILED)
