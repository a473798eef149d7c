"""State that outlives the process: an answer means that the change is on the disk."""

import asyncio
import sys

import msgspec

import actinium as ac


class Visit(ac.Message):
    pass


class Visits(msgspec.Struct, frozen=True):
    count: int = 0


class Visitor(ac.Durable):
    State = Visits

    @ac.on
    def visit(self, m: Visit) -> int:
        self.state = Visits(self.state.count + 1)
        return self.state.count


async def main(path: str) -> None:
    store = await ac.SqliteStore.open(path)
    async with ac.System(store=store) as system:
        anna = system.entity(Visitor, "anna")  # found by its key, made when first needed
        print(f"hello anna, this is visit {await anna.ask(Visit())}")
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "visits.db"))
