"""Programs that use the core in ways nobody should: each ends in an error, none in a crash.

A crash would take the test process along, and the test's name is then in its last words.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from actinium import _native
from actinium.core import (
    Actor,
    LocalRef,
    Mailbox,
    Message,
    OneForOne,
    Settings,
    Stop,
    System,
    Unbounded,
    on,
)
from actinium.core.afterlife import Afterlife
from actinium.errors import ActiniumError, ActorStopped, HandlerError, SpawnError


class M(Message):
    n: int = 0


class N(Message):
    n: int = 0


class Echo(Actor):
    @on
    def plain(self, m: M) -> int:
        return m.n

    @on
    async def slow(self, m: N) -> int:
        await asyncio.sleep(0)
        return m.n


ORDINARY = (ActiniumError, TypeError, ValueError, RuntimeError, AttributeError)


def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    asyncio.run(main())
    gc.collect()


def attempt(*calls: Callable[[], Any]) -> None:
    """Makes each call; an ordinary error is as good as an answer."""
    for call in calls:
        try:
            call()
        except (*ORDINARY, asyncio.InvalidStateError):
            continue


# -- after the end


def test_refs_stay_usable_after_the_system_is_closed() -> None:
    class New(Message):
        pass

    async def main() -> None:
        async with System() as system:
            ref = system.spawn(Echo)
            ref.tell(M())
        assert ref.tell(M()).code == "closed"
        assert ref.tell(New()).code == "closed"
        with pytest.raises(ActorStopped):
            await ref.ask(M())
        with pytest.raises(ActorStopped):
            async for _ in ref.stream(M()):
                pass
        with pytest.raises(ActorStopped):
            await ref.send(M())
        assert await ref.stopped() == "stopped"
        await system.idle()
        assert (await system.shutdown()).lost == 0
        attempt(lambda: system.spawn(Echo), lambda: system.spawn(Echo, name="x"))
        core = ref.core
        attempt(
            ref.kill, ref.stop, ref.pause, ref.unpause, ref.rebuild, ref.finish, ref.children,
            ref.cancel_running, ref.await_orphans, lambda: ref.signal(1), lambda: ref.deliver(M()),
            lambda: ref.set_waiters(True), lambda: ref.signal_children(4),
            lambda: ref.try_tell(M()),
            core.pump, core.on_timer, core.next_timer, lambda: core.step(5),
            lambda: core.want_idle(True), lambda: core.schedule(0.0, M(), ref),
            lambda: system.lookup("/user"), system.statistics, system.dead_letters.find,
        )  # fmt: skip
        assert {r.outcome for r in await system.dead_letters.replay()} == {"refused"}
        assert ref.path.startswith("/user/")
        assert "stopped" in repr(ref)

    run(main)


def test_a_context_kept_beyond_the_end_refuses() -> None:
    kept: list[Any] = []

    class Keeps(Actor):
        @on
        def plain(self, m: M) -> None:
            kept.append(self.ctx)

    async def main() -> None:
        async with System() as system:
            ref = system.spawn(Keeps)
            await ref.ask(M())
        ctx = kept[0]
        attempt(
            lambda: ctx.spawn(Echo), lambda: ctx.spawn(Echo, name="n"),
            lambda: ctx.schedule(1, M()),
            lambda: ctx.watch(ref), lambda: ctx.unwatch(ref), lambda: ctx.reply(1), ctx.defer,
            ctx.stop, lambda: ctx.idle_after(1), lambda: ctx.cancel("x"), lambda: ctx.sender,
            lambda: ctx.current, lambda: ctx.remaining, lambda: ctx.children, lambda: ctx.system,
        )  # fmt: skip

    run(main)


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("message", [M(), N()])
def test_the_core_is_closed_by_a_handler(message: Any, fails: bool) -> None:
    class Closes(Actor):
        def close(self) -> None:
            ref = self.ctx.self_ref
            ref.core.close(Afterlife(self.ctx.system.dead_letters))
            if fails:
                raise ValueError

        @on
        def plain(self, m: M) -> None:
            self.close()

        @on
        async def slow(self, m: N) -> None:
            self.close()
            await asyncio.sleep(0)

    async def main() -> None:
        system = System()
        await system.start()
        ref, other = system.spawn(Closes), system.spawn(Echo)
        for _ in range(3):
            other.tell(M())
        reply = ref.ask(message, 0.2)
        other.tell(N())
        for _ in range(10):
            await asyncio.sleep(0)
        reply.cancel()

    run(main)


def test_threads_tell_while_the_actor_stops() -> None:
    class Sink(Actor, mailbox=Unbounded()):
        @on
        def plain(self, m: M) -> None: ...

    async def main() -> None:
        for how in ("stop", "kill", "shutdown"):
            async with System() as system:
                ref = system.spawn(Sink)
                counts: list[int] = []

                def tell(ref: LocalRef[Any] = ref, counts: list[int] = counts) -> None:
                    counts.append(sum(ref.tell(M()).ok for _ in range(2000)))

                threads = [threading.Thread(target=tell) for _ in range(4)]
                for thread in threads:
                    thread.start()
                await asyncio.sleep(0)
                if how != "shutdown":
                    getattr(ref, how)()
                    await ref.stopped()
                    for thread in threads:
                        await asyncio.to_thread(thread.join)
            for thread in threads:
                await asyncio.to_thread(thread.join)
            report = await system.shutdown()
            assert report.lost == 0, f"MS-1: {how}"

    run(main)


# -- instances


@pytest.mark.parametrize("what", ["int", "none", "shared", "other"])
def test_new_must_return_a_new_instance(what: str) -> None:
    shared: list[Any] = []

    class Odd(Actor):
        def __new__(cls) -> Any:
            if what == "int":
                return 5
            if what == "none":
                return None
            if what == "other":
                return object.__new__(Echo)
            if not shared:
                shared.append(object.__new__(cls))
            return shared[0]

    async def main() -> None:
        async with System() as system:
            if what == "shared":
                system.spawn(Odd)
            with pytest.raises(SpawnError, match="must return a new"):
                system.spawn(Odd)

    run(main)


def test_native_types_cannot_be_made_or_copied() -> None:
    async def main() -> None:
        async with System() as system:
            ref = system.spawn(Echo)
            made: list[Any] = [ref, ref.instance.ctx, ref.ask(M()), ref.core.schedule(9, M(), ref)]
            for thing in made:
                cls = type(thing)
                for call in (
                    cls, lambda c=cls: object.__new__(c), lambda c=cls: c.__new__(c),
                    lambda x=thing: copy.copy(x), lambda x=thing: copy.deepcopy(x),
                    lambda x=thing: pickle.dumps(x),
                ):  # fmt: skip
                    with pytest.raises(TypeError):
                        call()
            for name in ("Cell", "ContextBase", "Reply", "Activation", "Envelope", "Timer"):
                with pytest.raises(TypeError):
                    getattr(_native, name)()
        with pytest.raises(ActiniumError, match="has no ctx"):
            _ = Echo().ctx

    run(main)


def test_everything_within_init_that_then_fails() -> None:
    kept: list[Any] = []

    class Fails(Actor):
        def __init__(self) -> None:
            ctx = self.ctx
            for _ in range(5):
                kept.append(ctx.spawn(Echo))
                kept[-1].tell(M())
            ctx.self_ref.tell(M())
            ctx.schedule(0.0, M())
            ctx.schedule(0.0, M(), every=0.01)
            ctx.watch(kept[0])
            kept.append(ctx.self_ref)
            self.reply = ctx.self_ref.ask(M())
            ctx.self_ref.stop()
            raise ValueError

        @on
        def plain(self, m: M) -> None: ...

    async def main() -> None:
        async with System() as system:
            for _ in range(5):
                with pytest.raises(SpawnError):
                    system.spawn(Fails)
            await system.idle()
            assert not any(ref.alive for ref in kept)
        assert (await system.shutdown()).lost == 0

    run(main)


def test_del_of_an_instance_that_goes_on_talking() -> None:
    class Talks(Actor):
        def __init__(self) -> None:
            self.me = self.ctx.self_ref
            self.system = self.ctx.system

        @on
        def plain(self, m: M) -> None:
            if m.n == 2:
                raise ValueError

        def __del__(self) -> None:
            attempt(
                lambda: self.me.tell(M(1)), self.me.kill, lambda: self.system.spawn(Echo).tell(M()),
                lambda: self.me.ask(M(1)), lambda: self.ctx,
            )  # fmt: skip

    async def main() -> None:
        async with System() as system:
            for _ in range(3):
                ref = system.spawn(Talks)
                for n in (1, 2, 1):
                    ref.tell(M(n))
                await system.idle()
                ref.kill()
                await ref.stopped()
            system.spawn(Talks)
        gc.collect()

    run(main)


def test_an_endless_family_ends_in_an_error() -> None:
    class Endless(Actor):
        def __init__(self) -> None:
            self.child = self.ctx.spawn(Endless)

    async def main() -> None:
        async with System() as system:
            with pytest.raises((SpawnError, RecursionError)):
                system.spawn(Endless)
            await system.idle()

    run(main)


def test_a_chain_of_thousands_of_generations() -> None:
    class Line(Actor):
        def __init__(self, n: int) -> None:
            self.n = n

        @on
        def plain(self, m: M) -> None:
            if m.n:
                self.ctx.spawn(Line, m.n).tell(M(m.n - 1))

    async def main() -> None:
        async with System() as system:
            ref = system.spawn(Line, 0)
            ref.tell(M(3000))
            await system.idle()
            leaf = ref
            while leaf.children():
                leaf = leaf.children()[0]
            assert leaf.path.count("/") == 3002
        report = await system.shutdown()
        assert (report.lost, report.forced) == (0, 0)

    run(main)


# -- exceptions that are no Exception


class Own(BaseException):
    pass


@pytest.mark.parametrize("error", [GeneratorExit, asyncio.CancelledError, Own, StopIteration,
                                   StopAsyncIteration, RecursionError])  # fmt: skip
@pytest.mark.parametrize("place", ["plain", "async", "started", "stopping", "slow_stopping",
                                   "restarting"])  # fmt: skip
def test_any_exception_anywhere_leaves_an_actor_that_stops(place: str, error: Any) -> None:
    class Raises(Actor):
        fresh = True

        def started(self) -> None:
            if place == "started" and Raises.fresh:
                Raises.fresh = False
                raise error

        def restarting(self, failure: BaseException) -> None:
            if place == "restarting":
                raise error

        @on
        def plain(self, m: M) -> None:
            if place in ("plain", "restarting"):
                raise error

        @on
        async def slow(self, m: N) -> None:
            await asyncio.sleep(0)
            if place == "async":
                raise error

        if place == "stopping":

            def stopping(self, reason: str) -> None:
                raise error

        if place == "slow_stopping":

            async def stopping(self, reason: str) -> None:  # type: ignore[override]
                await asyncio.sleep(0)
                raise error

    async def main() -> None:
        policy = OneForOne(backoff=(0.0, 0.0))
        async with System(settings=Settings(supervise=policy)) as system:
            ref = system.spawn(Raises)
            for message in (M(), N()):
                await asyncio.gather(ref.ask(message, 5.0), return_exceptions=True)
            ref.stop()
            async with asyncio.timeout(10):
                await ref.stopped()
        report = await system.shutdown()
        assert (report.lost, report.forced) == (0, 0)

    run(main)


# -- replies


def test_a_reply_awaited_in_every_way() -> None:
    boxes: list[Any] = []

    class Waits(Actor):
        @on
        async def plain(self, m: M) -> Any:
            return await boxes[0]

    async def main() -> None:
        async with System() as system:
            ref = system.spawn(Echo)
            reply = ref.ask(N(5))
            assert await asyncio.gather(reply, reply, asyncio.shield(reply)) == [5, 5, 5]
            assert [await reply, await reply] == [5, 5]
            boxes.append(ref.ask(N(6)))
            waiting = [system.spawn(Waits).ask(M()) for _ in range(4)]
            assert await asyncio.gather(*waiting) == [6] * 4
            half = ref.ask(N(7)).__await__()
            next(half)
            half.close()
            cancelled = ref.ask(N(8))
            assert (cancelled.cancel(), cancelled.cancel()) == (True, False)
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            odd = ref.ask(N(9))
            attempt(
                odd.result, odd.exception, lambda: odd.throw(ValueError),
                lambda: odd.reject(5), lambda: odd.resolve(1),  # type: ignore[arg-type]
                lambda: odd.resolve(2), lambda: delattr(odd, "_asyncio_future_blocking"),
            )  # fmt: skip
            assert await odd == 1
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(system.spawn(Waits).ask(M(), 60), 0)

    run(main)


class Awaitable:
    def __await__(self) -> Any:
        yield 5


@pytest.mark.parametrize("step", range(6))
def test_cancelled_at_every_step(step: int) -> None:
    class Steps(Actor):
        @on
        async def slow(self, m: N) -> str:
            other = self.ctx.spawn(Echo)
            try:
                await asyncio.sleep(0)
                await other.ask(N(1))
                await asyncio.gather(other.ask(N(2)), other.ask(N(3)))
                async with asyncio.timeout(10):
                    await other.ask(N(4))
                return "done"
            finally:
                await asyncio.sleep(0)
                await other.ask(M(5))

    async def main() -> None:
        async with System() as system:
            ref = system.spawn(Steps)
            reply = ref.ask(N())
            for _ in range(step):
                await asyncio.sleep(0)
            ref.kill()
            assert await ref.stopped() == "killed"
            outcome = (await asyncio.gather(reply, return_exceptions=True))[0]
            assert outcome == "done" or isinstance(outcome, (ActorStopped, HandlerError))
        assert (await system.shutdown()).lost == 0

    run(main)


def test_awaiting_what_is_no_future_fails_the_handler_alone() -> None:
    class Odd(Actor):
        @on
        async def slow(self, m: N) -> Any:
            return await Awaitable()

    async def main() -> None:
        async with System() as system:
            with pytest.raises(HandlerError, match="not an asyncio awaitable"):
                await system.spawn(Odd).ask(N())

    run(main)


def test_values_of_any_kind_are_answers() -> None:
    values = [
        Exception("x"), (1, 2), StopIteration(4), object, type, NotImplemented, ..., Awaitable(),
    ]  # fmt: skip

    class Gives(Actor):
        @on
        def plain(self, m: M) -> Any:
            return values[m.n]

        @on
        async def slow(self, m: N) -> Any:
            return values[m.n]

    async def main() -> None:
        async with System() as system:
            ref = system.spawn(Gives)
            for n, value in enumerate(values):
                assert await ref.ask(M(n)) is value
                assert await ref.ask(N(n)) is value

    run(main)


def test_a_stop_while_concurrent_handlers_and_messages_wait() -> None:
    class Many(Actor, concurrent=3, mailbox=Mailbox(10)):
        @on
        async def slow(self, m: N) -> None:
            await asyncio.sleep(0.001)

        @on
        def plain(self, m: M) -> None: ...

    async def main() -> None:
        for end in ("stop", "kill", "drain"):
            async with System() as system:
                ref = system.spawn(Many)
                ref.tell(N())
                await asyncio.sleep(0)
                for _ in range(3):
                    ref.tell(M())
                ref.stop(drain=True) if end == "drain" else getattr(ref, end)()
                async with asyncio.timeout(10):
                    await ref.stopped()
            assert (await system.shutdown()).lost == 0, f"MS-1: {end}"

    run(main)


def test_stop_raised_in_hooks_and_handlers() -> None:
    class Stops(Actor):
        def __init__(self, where: str) -> None:
            self.where = where

        def started(self) -> None:
            if self.where == "started":
                raise Stop

        @on
        async def slow(self, m: N) -> None:
            raise Stop

    async def main() -> None:
        async with System() as system:
            for where in ("started", "handler"):
                ref = system.spawn(Stops, where)
                ref.tell(N())
                async with asyncio.timeout(10):
                    await ref.stopped()

    run(main)
