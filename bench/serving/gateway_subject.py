"""The gateway under test: one process, one deployment ``m0`` of a server of OpenAI's wire.

python -m bench.serving.gateway_subject PORT UPSTREAM_PORT [--all]

``--all``: with limits, breaker, budgets and a key, none of which ever says no.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvloop

from actinium.inference import Budget, Deployment, Inference, Price, RateLimits
from actinium.inference.limits.policy import BreakerPolicy
from actinium.serve import Gateway, settle

KEY = "sk-bench-0123456789"


async def main(port: int, upstream: int, everything: bool) -> None:
    more: dict[str, Any] = {}
    if everything:
        more = {
            "limits": RateLimits(rpm=10**9, tpm=10**12, concurrent=1024),
            "breaker": BreakerPolicy(),
            "budget": Budget(per_day=1e9),
            "price": Price(input=0.15, output=0.6),
        }
    deployment = Deployment(
        name="m0",
        model="gpt-4o-mini",
        runtime="openai",
        base_url=f"http://127.0.0.1:{upstream}/v1",
        max_concurrent=1024,
        **more,
    )
    inference = Inference([deployment])
    await inference.start()
    async with Gateway(inference, port=port, api_key=KEY if everything else None):
        settle()
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), "--all" in sys.argv))
