"""A worker fails; its supervisor starts it again; the others do not notice."""

import asyncio

import actinium as ac


class Divide(ac.Message):
    by: int


class Worker(ac.Actor):
    def __init__(self, name: str) -> None:
        self.name = name
        self.done = 0

    @ac.on
    def divide(self, m: Divide) -> str:
        result = 100 // m.by
        self.done += 1
        return f"{self.name}: 100 // {m.by} = {result} (job {self.done} of this instance)"


async def main() -> None:
    async with ac.System() as system:
        anna = system.spawn(Worker, "anna")
        bob = system.spawn(Worker, "bob")
        print(await anna.ask(Divide(5)))
        print(await bob.ask(Divide(4)))
        try:
            await anna.ask(Divide(0))
        except ac.ActiniumError as error:
            print("anna failed:", error.__cause__)
        print(await anna.ask(Divide(2)))  # the same ref, a fresh instance
        print(await bob.ask(Divide(10)))  # untouched


if __name__ == "__main__":
    asyncio.run(main())
