"""A pool: one ref in front of as many workers as the load needs."""

import asyncio

import actinium as ac


class Square(ac.Message):
    n: int


class Worker(ac.Actor):
    @ac.on
    async def square(self, m: Square) -> int:
        await asyncio.sleep(0.001)  # stands for a call to somewhere else
        return m.n * m.n


async def main() -> None:
    async with ac.System() as system:
        pool = ac.Pool(system, Worker, size=(4, 8), target_depth=20)
        await system.idle()
        print("workers:", len(pool.routees))
        results = await ac.gather([(pool, Square(n)) for n in range(100)], timeout=10.0)
        print("sum of squares:", sum(r.value for r in results if isinstance(r, ac.Ok)))
        pool.stop(drain=True)  # nothing new; what waits is handled first
        print("pool:", await pool.stopped())


if __name__ == "__main__":
    asyncio.run(main())
