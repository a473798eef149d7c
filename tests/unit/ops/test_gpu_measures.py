"""The measures of GPU actors."""

from __future__ import annotations

import asyncio

import actinium as ac
from actinium import gpu
from actinium.base.measures import Registry
from actinium.ops import render, watch_gpu


@gpu.message(kind=0x0110)
class Add:
    amount: gpu.i64


@gpu.actor()
class Sum:
    total: gpu.i64

    @ac.on
    def add(self, m: Add) -> gpu.i64:
        self.total += m.amount
        return self.total


def test_a_runtime_shows_its_launches() -> None:
    async def main() -> str:
        async with ac.System() as system:
            rt = gpu.Runtime(system, backend="oracle")
            registry = Registry()
            watch_gpu(registry, rt)
            refs = await rt.launch(Sum, instances=2, name="sums")
            assert await asyncio.gather(*(ref.ask(Add(1)) for ref in refs)) == [1, 1]
            return render(registry)[0].decode()

    text = asyncio.run(main())
    labels = 'backend="oracle",launch="sums",program="Sum"'
    assert f"actinium_gpu_actors{{{labels}}} 2.0" in text
    assert f"actinium_gpu_messages_handled_total{{{labels}}} 2.0" in text
    assert f"actinium_gpu_faults_total{{{labels}}} 0.0" in text
