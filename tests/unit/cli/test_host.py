"""What a server process consists of: the order of its start and of its end."""

from __future__ import annotations

import asyncio
import http.client

import pytest

from actinium.cli.failures import CANNOT_BIND, CommandFailed
from actinium.cli.serve.host import hosting
from actinium.inference import Deployment
from actinium.topology import GatewaySection, Plan, SystemSection, plan_of


def _plan(port: int = 0) -> Plan:
    return plan_of(
        [Deployment(name="embedded")],
        {},
        system=SystemSection(store="memory"),
        gateway=GatewaySection(port=port),
    )


def _status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_gateway_is_bound_before_the_model_is_loaded() -> None:
    async def main() -> None:
        async with hosting(_plan(), None) as host:
            port = int(host.gateway.url.rpartition(":")[2])
            assert await asyncio.to_thread(_status, port, "/healthz") == 200
            assert await asyncio.to_thread(_status, port, "/readyz") == 503
            cut_off, report = await host.end(1.0, asyncio.Event())
            assert (cut_off, report.lost, report.forced) == (0, 0, 0)

    asyncio.run(main())


def test_a_taken_port_is_found_before_the_model_is_loaded() -> None:
    async def main() -> None:
        async with hosting(_plan(), None) as host:
            port = int(host.gateway.url.rpartition(":")[2])
            with pytest.raises(CommandFailed, match=f"port {port} on 127.0.0.1 is taken") as caught:
                async with hosting(_plan(port), None):
                    pass
            assert caught.value.code == CANNOT_BIND

    asyncio.run(main())


def test_an_address_of_another_machine_cannot_be_bound() -> None:
    plan = plan_of(
        [Deployment(name="embedded")],
        {},
        system=SystemSection(store="none"),
        gateway=GatewaySection(host="192.0.2.1", port=0, insecure=True),
    )

    async def main() -> None:
        with pytest.raises(CommandFailed, match=r"cannot listen on 192\.0\.2\.1") as caught:
            async with hosting(plan, None):
                pass
        assert caught.value.code == CANNOT_BIND

    asyncio.run(main())
