"""The gateway under test: one process, one deployment ``m0`` of a server of OpenAI's wire.

python -m bench.serving.gateway_subject PORT UPSTREAM_PORT
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

from actinium.inference import Deployment, Inference
from actinium.serve import Gateway, settle


async def main(port: int, upstream: int) -> None:
    deployment = Deployment(
        name="m0",
        model="gpt-4o-mini",
        runtime="openai",
        base_url=f"http://127.0.0.1:{upstream}/v1",
        max_concurrent=1024,
    )
    inference = Inference([deployment])
    await inference.start()
    async with Gateway(inference, port=port):
        settle()
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
