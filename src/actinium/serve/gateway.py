"""The OpenAI-compatible gateway."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType

from actinium.base.address import is_loopback
from actinium.base.measures import Reading
from actinium.base.secret import Secret
from actinium.base.tls import ServerTls, Tls
from actinium.errors import ConfigError
from actinium.inference.service import Inference
from actinium.inference.tenants import Keyring

from .app import GatewayApp
from .http.limits import Limits


class Gateway:
    """Serves an :class:`Inference` over HTTP while its block runs.

        async with Gateway(inference, port=8080) as gateway:
            print(gateway.url)

    It answers OpenAI's endpoints under /v1, Anthropic's /v1/messages, /healthz, /readyz and
    /metrics. With ``api_key`` clients must send it as a Bearer token, with ``keys`` one of those.
    An address that other machines reach is refused without any, unless ``insecure``. ``tls`` makes
    it https. ``shared`` lets further processes serve on the same port. The inference service stays
    its owner's: start it before or while the gateway runs (``/readyz`` tells), close it after.
    Entering raises Unavailable where the address cannot be bound, StoreError where the keys cannot
    be read; ConfigError for a setting that cannot be meant.
    """

    def __init__(
        self,
        inference: Inference,
        host: str = "127.0.0.1",
        port: int = 8080,
        *,
        api_key: Secret | str | None = None,
        keys: Keyring | None = None,
        insecure: bool = False,
        limits: Limits | None = None,
        tls: Tls | None = None,
        shared: bool = False,
    ) -> None:
        if not 0 <= port <= 65535:
            raise ConfigError(f"port: expected 0 to 65535 (0: any free one), got {port}")
        key = Secret(api_key) if isinstance(api_key, str) else api_key
        if key is not None and not key:
            raise ConfigError("api_key is empty; give a key, or None for a gateway without one")
        if key is None and keys is None and not insecure and not is_loopback(host):
            raise ConfigError(
                f"host {host!r} can be reached from other machines and there is no api_key: "
                "anybody could use the models. Set an api_key or keys, bind 127.0.0.1, or say "
                "insecure=True if the network itself keeps others out"
            )
        from .http.server import HttpServer  # loads httptools, which only a gateway needs

        self._keys = keys
        self._app = GatewayApp(inference, key, keys)
        self._tls = ServerTls(tls) if tls is not None else None
        self._server = HttpServer(
            self._app, host, port, limits or Limits(), self._tls, shared=shared
        )
        self._registry = inference.registry
        self._registry.view("http_connections", "Open client connections.", (), self._connections)

    @property
    def url(self) -> str:
        """Where clients point their base URL to, without ``/v1``."""
        return self._server.url

    async def __aenter__(self) -> Gateway:
        async with AsyncExitStack() as stack:
            if self._keys is not None:
                await self._keys.open()
                stack.push_async_callback(self._keys.close)
            await self._server.start()
            stack.push_async_callback(self._server.close)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def reload(self) -> None:
        """Reads the certificate's files anew, for the connections that come from now on.

        Raises ConfigError where they cannot be used; those of before stay then.
        """
        if self._tls is not None:
            self._tls.reload()

    async def drain(self, seconds: float = 30.0) -> bool:
        """Ends in order: not ready, no new requests, answers under way may end.

        True if all of them did within ``seconds``; the rest is cut off when the block ends.
        """
        self._app.context.draining = True
        return await self._server.drain(seconds)

    def _connections(self) -> list[Reading]:
        return [((), float(self._server.connections))]
