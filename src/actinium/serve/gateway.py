"""The OpenAI-compatible gateway."""

from __future__ import annotations

from types import TracebackType

from actinium.base.address import is_loopback
from actinium.base.measures import Reading
from actinium.base.secret import Secret
from actinium.base.tls import ServerTls, Tls
from actinium.errors import ConfigError
from actinium.inference.service import Inference

from .app import GatewayApp
from .http.limits import Limits


class Gateway:
    """Serves an :class:`Inference` over HTTP while its block runs.

        async with Gateway(inference, port=8080) as gateway:
            print(gateway.url)

    Endpoints: /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/models, /healthz,
    /readyz, /metrics. With ``api_key`` clients must send it as a Bearer token. An address that
    other machines reach is refused without one, unless ``insecure``. ``tls`` makes it https.
    ``shared`` lets further processes serve on the same port. The inference service stays its
    owner's: start it before or while the gateway runs (``/readyz`` tells), close it after.
    Entering raises Unavailable where the address cannot be bound; ConfigError for a setting that
    cannot be meant.
    """

    def __init__(
        self,
        inference: Inference,
        host: str = "127.0.0.1",
        port: int = 8080,
        *,
        api_key: Secret | str | None = None,
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
        if key is None and not insecure and not is_loopback(host):
            raise ConfigError(
                f"host {host!r} can be reached from other machines and there is no api_key: "
                "anybody could use the models. Set an api_key, bind 127.0.0.1, or say "
                "insecure=True if the network itself keeps others out"
            )
        from .http.server import HttpServer  # loads httptools, which only a gateway needs

        self._app = GatewayApp(inference, key)
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
        await self._server.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._server.close()

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
