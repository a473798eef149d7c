"""A partner behind an OpenAI-compatible server; Actinium's own gateway keeps sessions too."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Final, Self

import msgspec

from actinium.base.secret import read_secret
from actinium.errors import MissingCredentials, ProtocolError
from actinium.inference import Burst, Deployment, Message, Request
from actinium.inference.http import HttpClient, parse_endpoint
from actinium.inference.runners.openai import OpenAIRunner

_MOST_BYTES: Final = 4 * 1024 * 1024


class _Model(msgspec.Struct, frozen=True):
    id: str
    owned_by: str = ""


class _Models(msgspec.Struct, frozen=True):
    data: list[_Model]


class RemotePartner:
    """Talks to a server by its URL; ``key`` is a secret reference such as ``env:NAME``.

    Raises ConfigError for what is no URL, MissingCredentials where the key is not set.
    """

    def __init__(
        self, url: str, key: str | None, environ: Mapping[str, str], *, insecure: bool = False
    ) -> None:
        base = url.rstrip("/")
        base = base if base.endswith("/v1") else f"{base}/v1"
        self._endpoint = endpoint = parse_endpoint(base, insecure=insecure)
        self._deployment = Deployment(
            name="remote",
            model="remote",
            runtime="openai",
            base_url=base,
            credentials=key,
            options={"insecure": True} if insecure else {},
        )
        self._environ = environ
        self._runners: dict[str, OpenAIRunner] = {}
        self._client = HttpClient(endpoint, connect_seconds=5.0, tls=endpoint.context())
        lines = [f"GET {endpoint.path}/models HTTP/1.1", f"Host: {endpoint.authority}"]
        if key is not None:
            lines.append(f"Authorization: Bearer {read_secret(key, environ).reveal()}")
        self._head = "\r\n".join((*lines, "", "")).encode("ascii")
        self._remembers = False

    @classmethod
    async def open(
        cls, url: str, key: str | None, environ: Mapping[str, str], *, insecure: bool = False
    ) -> Self:
        """A partner that has answered once. Raises InferenceError where it does not."""
        partner = cls(url, key, environ, insecure=insecure)
        try:
            await partner.models()
        except BaseException:
            await partner.close()
            raise
        return partner

    async def models(self) -> list[str]:
        connection = await self._client.send(self._head)
        try:
            status = connection.status
            body = await connection.body(_MOST_BYTES)
        finally:
            connection.abort()
        if status in (401, 403):
            raise MissingCredentials(
                f"{self._endpoint} wants an API key (it answered {status}); put the key into a "
                "variable and name that: --api-key-env NAME"
            )
        try:
            found = msgspec.json.decode(body, type=_Models).data
        except msgspec.DecodeError as error:
            raise ProtocolError(
                f"{self._endpoint}/models answered {status} and no list of models ({error}); "
                "is this an OpenAI-compatible server?"
            ) from error
        self._remembers = any(model.owned_by == "actinium" for model in found)
        return [model.id for model in found]

    def generate(self, request: Request) -> AsyncGenerator[Burst]:
        runner = self._runners.get(request.model)
        if runner is None:
            deployment = msgspec.structs.replace(self._deployment, model=request.model)
            runner = self._runners[request.model] = OpenAIRunner(deployment, self._environ)
        if request.session is not None:
            extra = {**request.extra, "metadata": {"session_id": request.session}}
            request = msgspec.structs.replace(request, extra=extra)
        return runner.generate(request)

    async def history(self, session: str) -> tuple[Message, ...] | None:
        return None

    async def sessions(self) -> list[str] | None:
        return None

    def can_remember(self) -> bool:
        return self._remembers

    async def close(self) -> None:
        for runner in self._runners.values():
            await runner.close()
        await self._client.close()
