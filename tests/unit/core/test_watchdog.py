"""A handler that does not end can be seen: from the side if it blocks, by asking if it awaits."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from actinium import testkit
from actinium.core import Actor, ActorStuckEvent, Message, Settings, System, on
from actinium.core.watchdog import Watchdog
from actinium.testkit import TestSystem


class Spin(Message):
    pass


class Wait(Message):
    pass


class Busy(Actor):
    released = threading.Event()

    @on
    def spin(self, m: Spin) -> None:
        while not Busy.released.wait(0.001):  # stands for `while True: pass`
            pass

    @on
    async def wait(self, m: Wait) -> None:
        await self.deeper()

    async def deeper(self) -> None:
        await asyncio.get_running_loop().create_future()


def test_a_handler_that_blocks_is_named_with_its_message_and_its_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    Busy.released.clear()

    class Freeing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            Busy.released.set()

    async def main() -> list[ActorStuckEvent]:
        logger = logging.getLogger("actinium.watchdog")
        freeing = Freeing()
        logger.addHandler(freeing)
        try:
            async with System("seen", settings=Settings(watchdog=0.02)) as system:
                seen: asyncio.Queue[ActorStuckEvent] = asyncio.Queue()
                system.events.subscribe(ActorStuckEvent, seen.put_nowait)
                system.spawn(Busy, name="busy").tell(Spin())
                await system.idle()
                return [await seen.get()]
        finally:
            logger.removeHandler(freeing)

    seen = asyncio.run(asyncio.wait_for(main(), 60))
    assert "/user/busy" in caplog.text
    assert "Spin" in caplog.text
    assert "in spin" in caplog.text, "the line"
    assert [event.path for event in seen] == ["/user/busy"]
    assert "actinium.seen.watchdog" not in [t.name for t in threading.enumerate()], "LC-3"


def test_a_shard_that_moves_or_rests_is_not_reported() -> None:
    class Core:
        def __init__(self) -> None:
            self.state: tuple[object, str | None, bool, tuple[int, int, int]]
            self.state = (None, None, False, (1, 1, 0))

        def snapshot(self) -> object:
            return self.state

    core = Core()
    dog = Watchdog.__new__(Watchdog)
    dog._core = core  # type: ignore[assignment]
    dog._limit = 5.0
    dog._seen = None
    dog._since = 0.0
    dog._told = False
    dog._loop_thread = threading.get_ident()
    for second in range(20):  # at rest
        assert dog.look(float(second)) is None
    for second in range(20, 40):  # at work
        core.state = (None, None, True, (second, 1, 0))
        assert dog.look(float(second)) is None
    found = [dog.look(float(second)) for second in range(40, 60)]  # blocked, by no actor
    reported = [f for f in found if f is not None]
    assert len(reported) == 1, "once"
    assert reported[0].seconds >= 5.0
    assert reported[0].ref is None
    assert "test_watchdog" in reported[0].stack


def test_handlers_that_await_for_long_are_listed_with_their_place() -> None:
    async def test(t: TestSystem) -> None:
        ref = t.spawn(Busy, name="busy")
        ref.tell(Wait())
        await t.advance(0.5)
        assert t.system.stuck(1.0) == []
        await t.advance(1.0)
        [stuck] = t.system.stuck(1.0)
        assert (stuck.ref, stuck.path, stuck.blocks) == (ref, "/user/busy", False)
        assert stuck.message.endswith("Wait")
        assert stuck.seconds >= 1.4
        assert "in wait" in stuck.stack
        assert "in deeper" in stuck.stack
        ref.kill()
        await ref.stopped()
        assert t.system.stuck(0.0) == []

    testkit.run(test)


def test_the_watchdog_can_be_left_out() -> None:
    async def main() -> None:
        async with System("unseen", settings=Settings(watchdog=0.0)):
            assert "actinium.unseen.watchdog" not in [t.name for t in threading.enumerate()]

    asyncio.run(main())
