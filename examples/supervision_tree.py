"""A tree with a strategy per level: a broken connection takes down what was built on it."""

import asyncio
import logging

import actinium as ac


class Query(ac.Message):
    text: str


class Database(ac.Actor):
    def started(self) -> None:
        print("database: connected")

    @ac.on
    def query(self, m: Query) -> str:
        if m.text == "bad":
            raise ConnectionError("the server has gone away")
        return m.text.upper()


class Cache(ac.Actor):
    """Worth nothing once the database it was filled from is another one."""

    def __init__(self, database: ac.LocalRef[Database]) -> None:
        self.database = database
        self.known: dict[str, str] = {}

    def started(self) -> None:
        print("cache: empty")

    @ac.on
    async def query(self, m: Query) -> str:
        if m.text not in self.known:
            self.known[m.text] = await self.database.ask(m)
        return self.known[m.text]


class Clock(ac.Actor):
    def started(self) -> None:
        print("clock: started")


# Who fails is restarted together with those of its group that were started after it.
CHAIN = ac.RestForOne(max_restarts=3, within=60.0)


class Backend(ac.Actor, supervise=ac.OneForOne()):
    def started(self) -> None:
        self.clock = self.ctx.spawn(Clock)  # on its own: nobody's failure concerns it
        self.database = self.ctx.spawn(Database, supervise=CHAIN)
        self.cache = self.ctx.spawn(Cache, self.database, supervise=CHAIN)

    @ac.on
    def query(self, m: Query) -> None:
        (self.database if m.text == "bad" else self.cache).forward()


async def main() -> None:
    logging.disable()  # the failure would be logged with its stack
    async with ac.System() as system:
        backend = system.spawn(Backend, name="backend")
        print("answer:", await backend.ask(Query("one")))
        try:
            await backend.ask(Query("bad"))
        except ac.ActiniumError as error:
            print("failed:", error.__cause__)
        await system.idle()
        print("answer:", await backend.ask(Query("two")))


if __name__ == "__main__":
    asyncio.run(main())
