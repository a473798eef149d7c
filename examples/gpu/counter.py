"""An actor compiled to machine code, on a GPU where there is one, behind the usual ref."""

import asyncio
from typing import Literal

import actinium as ac
from actinium import gpu


@gpu.message(kind=0x0110)
class Add:
    amount: gpu.i64
    who: gpu.u32 = 0


@gpu.actor(level="thread")
class Counter:
    total: gpu.i64
    by: gpu.Array[gpu.i64, Literal[4]]

    @ac.on
    def add(self, m: Add) -> gpu.i64:
        assert m.amount >= 0
        self.total += m.amount
        self.by[m.who % 4] += m.amount
        return self.total


async def main() -> None:
    async with ac.System() as system:
        runtime = gpu.Runtime(system)
        (counter,) = await runtime.launch(Counter)
        for amount in range(1, 100):
            counter.tell(Add(amount, who=amount))
        print("total:", await counter.ask(Add(100), timeout=5))
        await runtime.close()


if __name__ == "__main__":
    asyncio.run(main())
