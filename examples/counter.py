"""An actor: messages come one at a time, so its state needs no lock."""

import asyncio

import actinium as ac


class Add(ac.Message):
    n: int


class Total(ac.Message):
    pass


class Counter(ac.Actor):
    def __init__(self) -> None:
        self.total = 0

    @ac.on
    def add(self, m: Add) -> None:
        self.total += m.n

    @ac.on
    def get(self, m: Total) -> int:
        return self.total


async def main() -> None:
    async with ac.System() as system:
        counter = system.spawn(Counter, name="counter")
        for n in range(1, 101):
            counter.tell(Add(n))  # one way: nobody waits
        print("total:", await counter.ask(Total()))  # there and back


if __name__ == "__main__":
    asyncio.run(main())
