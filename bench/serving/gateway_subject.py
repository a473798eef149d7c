"""The gateway under test: one process, one deployment ``m0`` of a server of OpenAI's wire.

python -m bench.serving.gateway_subject PORT UPSTREAM_PORT [--all]

``--all``: with limits, breaker, budgets, a tenant's key that has limits of its own, and traces (1 %
exported, into memory). None of them ever says no. Measures are always on.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import uvloop

from actinium.inference import Budget, Deployment, Inference, Price, RateLimits
from actinium.inference.limits import Accounts
from actinium.inference.limits.policy import BreakerPolicy
from actinium.inference.tenants import DeclaredKey, KeyLimits, Keyring, Tenant
from actinium.ops import Tracing
from actinium.ops.tracing import Memory, TracingSettings
from actinium.serve import Gateway, settle

KEY = "sk-bench-0123456789"

_MUCH: Any = {"rpm": 10**9, "tpm": 10**9, "concurrent": 1024}
_MONEY = Budget(per_day=1e9)


def everything() -> dict[str, Any]:
    """The fields of the deployment that guard it."""
    return {
        "limits": RateLimits(**_MUCH),
        "breaker": BreakerPolicy(),
        "budget": _MONEY,
        "price": Price(input=0.15, output=0.6),
    }


def keys(inference: Inference) -> Keyring:
    """One tenant with one key, both with limits."""
    limits = KeyLimits(**_MUCH)
    return Keyring(
        inference,
        tenants=[Tenant(name="acme", limits=limits, budget=_MONEY)],
        keys=[DeclaredKey(name="web", tenant="acme", limits=limits, secret="env:BENCH_KEY")],
        environ={**os.environ, "BENCH_KEY": KEY},
    )


async def main(port: int, upstream: int, all_on: bool) -> None:
    deployment = Deployment(
        name="m0",
        model="gpt-4o-mini",
        runtime="openai",
        base_url=f"http://127.0.0.1:{upstream}/v1",
        max_concurrent=1024,
        **(everything() if all_on else {}),
    )
    inference = Inference([deployment], accounts=Accounts() if all_on else None)
    await inference.start()
    tracing = Tracing(TracingSettings(ratio=0.01), exporter=Memory()) if all_on else None
    guarded = keys(inference) if all_on else None
    async with Gateway(inference, port=port, keys=guarded, tracing=tracing):
        settle()
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), "--all" in sys.argv))
