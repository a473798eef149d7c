"""A state machine: an order that is paid and shipped, or given up in time."""

import asyncio

import actinium as ac


class Pay(ac.Message):
    cents: int


class Ship(ac.Message):
    pass


class Order(ac.FSM, initial="open", state_timeout={"open": 0.05}):
    def __init__(self, cents: int) -> None:
        self.cents = cents

    @ac.on(state="open")
    def pay(self, m: Pay) -> object:
        if m.cents < self.cents:
            return self.stay(reply=f"{self.cents - m.cents} cents are missing")
        return self.goto("paid", reply="paid")

    @ac.on(state="open")
    def late(self, m: ac.StateTimeout) -> object:
        return self.goto("given_up")

    @ac.on(state="paid")
    def ship(self, m: Ship) -> object:
        return self.end(reply="on its way")

    @ac.on(state="given_up")
    def too_late(self, m: Pay) -> str:
        return "too late"

    @ac.FSM.enter("paid", "given_up")
    def say(self) -> None:
        print("order:", self.state)


async def main() -> None:
    print(Order.diagram())
    async with ac.System() as system:
        order = system.spawn(Order, 500)
        print(await order.ask(Pay(400)))
        print(await order.ask(Pay(500)))
        print(await order.ask(Ship()))
        forgotten = system.spawn(Order, 500)
        await asyncio.sleep(0.3)
        print(await forgotten.ask(Pay(500)))


if __name__ == "__main__":
    asyncio.run(main())
