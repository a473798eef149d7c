"""Python on every core: actors in worker processes, behind the same refs."""

import asyncio
import os

import actinium as ac


class CountPrimes(ac.Message):
    below: int


class Mathematician(ac.Actor):
    @ac.on
    def count(self, m: CountPrimes) -> tuple[int, int]:
        found = sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, m.below))
        return found, os.getpid()


async def main() -> None:
    async with ac.System(workers=2) as system:
        people = [system.spawn(Mathematician) for _ in range(4)]
        answers = await asyncio.gather(*(p.ask(CountPrimes(10_000), 60.0) for p in people))
        print("primes:", answers[0][0])
        print("processes:", len({pid for _, pid in answers} - {os.getpid()}))
    print("lost:", (await system.shutdown()).lost)


if __name__ == "__main__":  # worker processes import this file
    asyncio.run(main())
