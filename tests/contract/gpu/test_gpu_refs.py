"""Messages out of handlers, to actors of this process and of devices; refs on a device."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ledger import BACKENDS, on_device, reasons, until

import actinium as ac
from actinium import gpu

on_each = pytest.mark.parametrize("backend", BACKENDS)


@gpu.message(kind=0x0130)
class Subscribe:
    who: gpu.Ref


@gpu.message(kind=0x0131)
class Publish:
    value: gpu.i64


@gpu.message(kind=0x0132)
class News:
    value: gpu.i64
    by: gpu.Ref


@gpu.message(kind=0x0133)
class Who:
    which: gpu.u32 = 0


@gpu.message(kind=0x0134)
class Greet:
    n: gpu.i64


@gpu.message(kind=0x0135)
class Hops:
    left: gpu.i64


@gpu.actor(level="thread")
class Board:
    reader: gpu.Ref
    heard: gpu.i64

    @ac.on
    def subscribe(self, m: Subscribe) -> None:
        self.reader = m.who

    @ac.on
    def publish(self, m: Publish) -> gpu.i64:
        gpu.tell(self.reader, News(m.value, gpu.me()))
        return m.value

    @ac.on
    def news(self, m: News) -> None:
        self.heard += m.value

    @ac.on
    def who(self, m: Who) -> gpu.Ref:
        if m.which == 1:
            return gpu.me()
        if m.which == 2:
            return gpu.sender()
        return self.reader

    @ac.on
    def greet(self, m: Greet) -> gpu.i64:
        gpu.tell(gpu.sender(), Greet(m.n + 1))
        return self.heard

    @ac.on
    def hop(self, m: Hops) -> None:
        self.heard += 1
        if m.left > 0:
            gpu.tell(self.reader, Hops(m.left - 1))


class Reader(ac.Actor):
    def __init__(self, board: Any = None) -> None:
        self.board = board
        self.seen: list[Any] = []
        self.senders: list[Any] = []

    @ac.on
    def news(self, m: News) -> None:
        self.seen.append(m)
        self.senders.append(self.ctx.sender)

    @ac.on
    def greeted(self, m: Greet) -> None:
        self.seen.append(m)
        self.senders.append(self.ctx.sender)

    @ac.on
    async def go(self, what: str) -> Any:
        if what == "tell":
            self.board.tell(Greet(5))
            return None
        if what == "ask":
            return await self.board.ask(Who(2))
        return self.seen, self.senders


@on_each
def test_a_handler_tells_an_actor_of_this_process(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        reader = system.spawn(Reader)
        refs[0].tell(Subscribe(reader))
        assert [await refs[0].ask(Publish(n)) for n in range(5)] == [0, 1, 2, 3, 4]
        await system.idle()
        seen, senders = await reader.ask("seen")
        assert seen == [News(n, refs[0]) for n in range(5)]
        assert senders == [refs[0]] * 5

    on_device(backend, body, what=Board)


@on_each
def test_a_handler_tells_another_actor_of_the_device(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        refs[0].tell(Subscribe(refs[1]))
        refs[1].tell(Subscribe(refs[0]))
        refs[0].tell(Hops(99))
        await until(lambda: rt.launches()[0].told == 99)
        await system.idle()
        assert await asyncio.gather(*(ref.ask(Greet(0)) for ref in refs)) == [50, 50]

    on_device(backend, body, what=Board, instances=2, blocks=2)


@on_each
def test_a_handler_tells_itself(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        refs[0].tell(Subscribe(refs[0]))
        refs[0].tell(Hops(10))
        await until(lambda: rt.launches()[0].told == 10)
        assert await refs[0].ask(Greet(0)) == 11

    on_device(backend, body, what=Board)


@on_each
def test_refs_come_back_as_what_they_were(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        reader = system.spawn(Reader)
        assert await refs[0].ask(Who()) is None
        refs[0].tell(Subscribe(reader))
        assert await refs[0].ask(Who()) == reader
        assert await refs[0].ask(Who(1)) == refs[0]
        refs[0].tell(Subscribe(None))
        assert await refs[0].ask(Who()) is None

    on_device(backend, body, what=Board)


@on_each
def test_a_handler_knows_who_sent_its_message(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        reader = system.spawn(Reader, refs[0])
        assert await reader.ask("ask") == reader
        assert await refs[0].ask(Who(2)) is None
        await reader.ask("tell")
        await until(lambda: rt.launches()[0].told == 1)
        await system.idle()
        assert await reader.ask("seen") == ([Greet(6)], [refs[0]])

    on_device(backend, body, what=Board)


@on_each
def test_what_is_told_to_nobody_is_a_dead_letter(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        assert await refs[0].ask(Publish(1)) == 1
        await until(lambda: bool(reasons(system)))
        assert reasons(system) == {"actor_not_found": 1}
        reader = system.spawn(Reader)
        refs[0].tell(Subscribe(reader))
        await refs[0].ask(Publish(2))
        reader.stop()
        await reader.stopped()
        await refs[0].ask(Publish(3))
        await until(lambda: reasons(system).get("actor_not_found") == 2)

    on_device(backend, body, what=Board)


@on_each
def test_a_ref_reaches_its_actor_after_a_restart(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        me = await refs[0].ask(Who(1))
        assert me == refs[0]
        system.quarantine(refs[0])
        system.release(refs[0])
        assert await refs[0].ask(Who(1)) == me

    on_device(backend, body, what=Board)
