"""Several servers of one deployment: what was sent to each counts as its load."""

from __future__ import annotations

import asyncio

from guard_support import END, Told, request, run

from actinium.errors import ServerError
from actinium.inference import Deployment, Inference

URLS = tuple(f"http://127.0.0.1:{n}/v1" for n in range(1, 9))


def test_inf_ro_2_what_was_sent_counts_until_it_ends_however_it_ends() -> None:
    """400 at once over 8 equal servers, none of which has told anything: each gets about 50."""

    async def test() -> None:
        told = {url: Told([1.0, "hi", END], [1.0, ServerError("no")]) for url in URLS}
        inference = Inference(
            [Deployment(name="a", model="m", base_url=URLS[0], replicas=URLS[1:],
                        max_concurrent=1000)],
            runner_factory=lambda d: told[d.base_url or ""],
        )  # fmt: skip
        await inference.start()

        async def one(number: int) -> None:
            async for _ in inference.generate(request("a", f"question {number}")):
                pass

        asks = [asyncio.ensure_future(one(number)) for number in range(400)]
        await asyncio.sleep(0.5)
        loads = [runner.live for runner in told.values()]
        assert sum(loads) == 400 and max(loads) <= 1.15 * 50, f"RO-2: {loads}"
        for ask in asks[::3]:
            ask.cancel()
        await asyncio.gather(*asks, return_exceptions=True)
        guard = inference.guard("a")
        assert guard is not None
        assert [replica.inflight for replica in guard.pool.replicas] == [0] * 8, "RO-2"
        await inference.close()

    run(test)
