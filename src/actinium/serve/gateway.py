"""The OpenAI-compatible gateway."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Final

import msgspec

from actinium.base.address import is_loopback
from actinium.base.measures import Reading
from actinium.base.secret import Secret
from actinium.base.tls import ServerTls, Tls
from actinium.errors import ConfigError
from actinium.inference.service import Inference

from .access import Access
from .app import GatewayApp
from .context import Context, Gather
from .http.limits import Limits
from .measures import GatewayMeasures
from .openapi import describing
from .process import file_limit
from .routes import PUBLIC, Route, Routes

if TYPE_CHECKING:
    from actinium.inference.tenants import Keyring
    from actinium.ops.requests import RequestLog
    from actinium.ops.tracing import Tracing

    from .admin.crew import Crew
    from .http.server import HttpServer

_OPERATORS: Final = (b"/healthz", b"/readyz", b"/metrics")
"""What the admin API's own address has beside it."""


class Admin(msgspec.Struct, frozen=True, kw_only=True):
    """The admin API: below ``/admin/v1`` of the gateway, or (with ``port``; 0: any free one) on an
    address of its own and not on the gateway's. ``token`` opens it, and nothing else does."""

    token: Secret
    host: str = "127.0.0.1"
    port: int | None = None


class Gateway:
    """Serves an :class:`Inference` over HTTP while its block runs.

        async with Gateway(inference, port=8080) as gateway:
            print(gateway.url)

    It answers OpenAI's endpoints under /v1, Anthropic's /v1/messages, /healthz, /readyz and
    /metrics. With ``api_key`` clients must send it as a Bearer token, with ``keys`` one of those.
    An address that other machines reach is refused without any, unless ``insecure``. ``tls`` makes
    it https; ``admin`` turns the admin API on; ``shared`` lets further processes serve on the same
    port; ``gather`` then gives the measures of all for /metrics, and ``crew`` does for all of them
    what an operator asks of one. The inference service stays its owner's: start it before or while
    the gateway runs (``/readyz`` tells), close it after.
    ``tracing`` and ``request_log`` (both off) watch requests to models; their owner closes them.
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
        admin: Admin | None = None,
        shared: bool = False,
        gather: Gather | None = None,
        crew: Crew | None = None,
        tracing: Tracing | None = None,
        request_log: RequestLog | None = None,
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

        limits = limits or Limits()
        self._keys = keys
        self._tls = ServerTls(tls) if tls is not None else None
        self._context = Context(inference, inference.registry)
        self._context.gather = gather
        access = Access(
            self._context, api_key=key, keyring=keys,
            admin=admin.token if admin is not None else None,
        )  # fmt: skip
        self._context.may_see_all = access.may_see_all
        measures = GatewayMeasures(inference)
        watch = None
        if tracing is not None or request_log is not None:
            from .watch import Watch

            watch = Watch(tracing, request_log)
            if tracing is not None:
                tracing.watch(inference.registry)
        public = dict(PUBLIC)
        self._admin_server: HttpServer | None = None
        if admin is not None:
            from .admin.api import AdminApi
            from .admin.crew import Alone
            from .admin.routes import admin_routes

            api = admin_routes(AdminApi(crew or Alone(inference, keys), keys))
            if admin.port is None:
                public |= api
            else:
                routes = {**{path: PUBLIC[path] for path in _OPERATORS}, **api}
                app = GatewayApp(self._context, access, _described(routes), measures)
                self._admin_server = HttpServer(
                    app, admin.host, admin.port, limits, self._tls, shared=shared
                )
        app = GatewayApp(self._context, access, _described(public), measures, watch)
        self._server = HttpServer(app, host, port, limits, self._tls, shared=shared)
        registry = inference.registry
        registry.view("http_connections", "Open client connections.", (), self._connections)
        self._most = limits.connections
        registry.view(
            "http_connections_limit",
            "Client connections that there may be; files of the process bound it too.",
            (),
            self._room,
        )

    @property
    def url(self) -> str:
        """Where clients point their base URL to, without ``/v1``."""
        return self._server.url

    @property
    def admin_url(self) -> str | None:
        """Where the admin API is, without ``/admin``, if it has an address of its own."""
        return self._admin_server.url if self._admin_server is not None else None

    async def __aenter__(self) -> Gateway:
        async with AsyncExitStack() as stack:
            if self._keys is not None:
                await self._keys.open()
                stack.push_async_callback(self._keys.close)
            for server in (self._server, self._admin_server):
                if server is not None:
                    await server.start()
                    stack.push_async_callback(server.close)
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
        self._context.draining = True
        return await self._server.drain(seconds)

    def _room(self) -> list[Reading]:
        # A request needs a file for its client and one for its upstream.
        return [((), float(min(self._most, file_limit() // 2)))]

    def _connections(self) -> list[Reading]:
        return [((), float(self._server.connections))]


def _described(routes: Mapping[bytes, Route]) -> Routes:
    """The routes, and the document about them."""
    return Routes(
        {**routes, b"/openapi.json": describing(routes, import_module("actinium").__version__)}
    )
