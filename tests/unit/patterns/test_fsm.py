"""State machines: moves, hooks, timeouts, what is refused, and what is read off the class."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actinium import testkit
from actinium.core import Actor, Message, on
from actinium.errors import HandlerError, Unhandled, UsageError
from actinium.patterns import FSM, StateTimeout, Transition
from actinium.testkit import TestSystem


class Push(Message):
    pass


class Lock(Message):
    code: int


class Break(Message):
    pass


class Look(Message):
    pass


class Door(FSM, initial="closed", state_timeout={"open": 5.0}):
    def __init__(self) -> None:
        self.story: list[str] = []

    @on
    def look(self, m: Look) -> tuple[str, Any, list[str]]:
        return self.state, self.data, list(self.story)

    @on(state="closed")
    def open(self, m: Push) -> Any:
        return self.goto("open", reply="opened")

    @on(state="closed")
    async def lock(self, m: Lock) -> Any:
        await asyncio.sleep(1.0)
        return self.goto("locked", m.code)

    @on(state="open")
    def shut(self, m: Push) -> Any:
        return self.goto("closed", reply="shut")

    @on(state="open")
    def hold(self, m: Lock) -> Any:
        return self.stay(m.code, reply="an open door has no lock")

    @on(state="open")
    def late(self, m: StateTimeout) -> Any:
        self.story.append(f"late in {m.state}")
        return self.goto("closed")

    @on(state="locked")
    def unlock(self, m: Lock) -> Any:
        return self.goto("closed", None) if m.code == self.data else "wrong code"

    @on(state=("open", "closed", "locked"))
    def broken(self, m: Break) -> Any:
        return self.end(reply="gone")

    @on
    def computed(self, m: str) -> Any:
        return self.goto(m)

    @on
    def long(self, m: float) -> Any:
        return self.goto("open", timeout=m)

    @FSM.enter("open", "closed")
    def entered(self) -> None:
        self.story.append(f"enter {self.state}")

    @FSM.exit("closed", "locked")
    def left(self) -> None:
        self.story.append(f"exit {self.state}")


async def look(door: Any) -> Any:
    return await door.ask(Look())


def test_it_moves_by_what_its_handlers_return() -> None:
    async def test(t: TestSystem) -> None:
        door = t.spawn(Door)
        assert await look(door) == ("closed", None, ["enter closed"])
        assert await door.ask(Push()) == "opened"
        assert await door.ask(Push()) == "shut"
        assert await door.ask(Lock(7)) is None
        assert (await look(door))[:2] == ("locked", 7)
        assert await door.ask(Lock(8)) == "wrong code"
        with pytest.raises(Unhandled, match="in the state 'locked' cannot take a Push"):
            await door.ask(Push())
        await door.ask(Lock(7))
        assert (await look(door))[:2] == ("closed", None)

    testkit.run(test)


def test_hooks_run_around_each_move() -> None:
    async def test(t: TestSystem) -> None:
        door = t.spawn(Door)
        for m in (Push(), Push(), Lock(1), Lock(1)):
            await door.ask(m)
        assert (await look(door))[2] == [
            "enter closed", "exit closed", "enter open", "enter closed", "exit closed",
            "exit locked", "enter closed",
        ]  # fmt: skip

    testkit.run(test)


def test_a_state_ends_after_its_time_and_staying_does_not_renew_it() -> None:
    async def test(t: TestSystem) -> None:
        door = t.spawn(Door)
        await door.ask(Push())
        await t.advance(3.0)
        assert await door.ask(Lock(1)) == "an open door has no lock"
        await t.advance(1.9)
        assert (await look(door))[0] == "open"
        await t.advance(0.2)
        state, data, story = await look(door)
        assert (state, data) == ("closed", 1)
        assert "late in open" in story

    testkit.run(test)


def test_a_timeout_of_an_earlier_stay_never_comes() -> None:
    async def test(t: TestSystem) -> None:
        door = t.spawn(Door)
        for _ in range(4):  # leaves and comes back
            await door.ask(Push())
            await t.advance(1.0)
            await door.ask(Push())
            await t.advance(1.0)
        await door.ask(Push())
        await t.advance(4.9)
        assert "late in open" not in (await look(door))[2]
        await t.advance(0.2)
        assert "late in open" in (await look(door))[2]

    testkit.run(test)


def test_a_stay_may_have_a_time_of_its_own() -> None:
    async def test(t: TestSystem) -> None:
        door = t.spawn(Door)
        await door.ask(50.0)
        await t.advance(49.0)
        assert (await look(door))[0] == "open"
        await t.advance(2.0)
        assert (await look(door))[0] == "closed"

    testkit.run(test)


def test_end_answers_and_stops() -> None:
    async def test(t: TestSystem) -> None:
        door = t.spawn(Door)
        assert await door.ask(Break()) == "gone"
        assert await door.stopped() == "stopped"

    testkit.run(test)


def test_subscribers_hear_of_each_move() -> None:
    async def test(t: TestSystem) -> None:
        probe = t.probe()
        t.system.events.subscribe(Transition, probe.ref)
        door = t.spawn(Door)
        for m in (Push(), Push(), Lock(3), Lock(3), Break()):
            await door.ask(m)
        await t.run_until_idle()
        moves = [(m.source, m.target, m.data) for m in probe.messages]
        assert moves == [
            ("closed", "open", None), ("open", "closed", None), ("closed", "locked", 3),
            ("locked", "closed", None), ("closed", None, None),
        ]  # fmt: skip
        assert all(m.ref == door for m in probe.messages)

    testkit.run(test)


def test_a_restart_enters_the_first_state_and_leaves_no_timeout_behind() -> None:
    async def test(t: TestSystem) -> None:
        door = t.spawn(Door)
        await door.ask(Push())
        with pytest.raises(HandlerError, match="has the states closed, locked, open"):
            await door.ask("nowhere")
        await t.advance(20.0)
        assert not door.alive or (await look(door))[2] == ["enter closed"]

    testkit.run(test)


def test_started_runs_before_the_first_entry() -> None:
    class Started(Door):
        def started(self) -> None:
            self.story.append("started")

    class Later(Door):
        async def started(self) -> None:
            await asyncio.sleep(1.0)
            self.story.append("started later")

    class Both(Started):
        def started(self) -> None:
            super().started()
            self.story.append("and more")

    async def test(t: TestSystem) -> None:
        assert (await look(t.spawn(Started)))[2] == ["started", "enter closed"]
        assert (await look(t.spawn(Later)))[2] == ["started later", "enter closed"]
        assert (await look(t.spawn(Both)))[2] == ["started", "enter closed", "and more"]

    testkit.run(test)


def test_a_timeout_of_the_first_state() -> None:
    class Short(FSM, initial="young", states=("old",), state_timeout={"young": 1.0}):
        @on(state="young")
        def age(self, m: StateTimeout) -> Any:
            return self.goto("old")

        @on
        def look(self, m: Look) -> str:
            return self.state

    async def test(t: TestSystem) -> None:
        short = t.spawn(Short)
        await t.advance(0.9)
        assert await short.ask(Look()) == "young"
        await t.advance(0.2)
        assert await short.ask(Look()) == "old"

    testkit.run(test)


def test_a_machine_is_moved_by_nothing_else() -> None:
    class Wrong(Door):
        @on
        def wrong(self, m: int) -> None:
            self.ctx.become("open")

        @on
        def back(self, m: bytes) -> None:
            self.ctx.unbecome()

    async def test(t: TestSystem) -> None:
        for m in (1, b""):
            with pytest.raises(HandlerError, match=r"write `return self\.goto\(\.\.\.\)`"):
                await t.spawn(Wrong).ask(m)

    testkit.run(test)


def test_a_hook_cannot_move_it() -> None:
    class Wrong(FSM, initial="a", states=("a", "b")):
        @on
        def go(self, m: int) -> Any:
            return self.goto("b")

        @FSM.enter("b")
        def on_again(self) -> Any:
            return self.goto("a")

    async def test(t: TestSystem) -> None:
        with pytest.raises(HandlerError, match="a hook cannot move the machine"):
            await t.spawn(Wrong).ask(1)

    testkit.run(test)


def test_what_cannot_work_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(UsageError, match=r"has no first state: write initial='\.\.\.'"):

        class NoFirst(FSM):
            pass

    with pytest.raises(UsageError, match=r"line \d+ goes to 'opne'; \S+Typo has the states open"):

        class Typo(FSM, initial="open"):
            @on(state="open")
            def push(self, m: Push) -> Any:
                return self.goto("opne")

    with pytest.raises(UsageError, match=r"@ac\.FSM\.enter names 'shut'; .* has the states open"):

        class Hook(FSM, initial="open", states=("open",)):
            @FSM.enter("shut")
            def entered(self) -> None: ...

    with pytest.raises(UsageError, match="state_timeout names 'shut'"):

        class Timeout(FSM, initial="open", states=("open",), state_timeout={"shut": 1.0}):
            @on
            def late(self, m: StateTimeout) -> None: ...

    with pytest.raises(UsageError, match="has a timeout for 'open' and no handler for it"):

        class Unheard(FSM, initial="open", states=("open",), state_timeout={"open": 1.0}):
            pass

    with pytest.raises(UsageError, match="needs seconds above 0, got 0"):

        class Zero(FSM, initial="open", states=("open",), state_timeout={"open": 0}):
            pass

    with pytest.raises(UsageError, match="takes several messages at once"):

        class Many(FSM, initial="open", states=("open",), concurrent=2):
            pass

    with pytest.raises(UsageError, match="takes several messages at once"):

        class Some(FSM, initial="open", states=("open",)):
            @on(concurrent=2)
            async def push(self, m: Push) -> None: ...

    with pytest.raises(UsageError, match="belongs on a `def` method"):

        class Async(FSM, initial="open", states=("open",)):
            @FSM.enter("open")
            async def entered(self) -> None: ...

    with pytest.raises(UsageError, match="two enter hooks for 'open'"):

        class Two(FSM, initial="open", states=("open",)):
            @FSM.enter("open")
            def first(self) -> None: ...

            @FSM.enter("open")
            def second(self) -> None: ...

    with pytest.raises(UsageError, match="name the states"):
        FSM.enter()(test_a_hook_cannot_move_it)


def test_the_diagram_shows_the_moves_that_are_written() -> None:
    class Small(FSM, initial="closed", states=("attic", "half open"), state_timeout={"open": 5.0}):
        @on(state="closed")
        def open(self, m: Push) -> Any:
            return self.goto("open")

        @on(state="open")
        def late(self, m: StateTimeout) -> Any:
            return self.goto("half open")

        @on(state="open")
        def end_it(self, m: Break) -> Any:
            return self.end()

    assert Small.diagram().splitlines() == [
        "stateDiagram-v2",
        "    attic",
        '    state "half open" as s2',
        "    [*] --> closed",
        "    closed --> open : Push",
        "    open --> s2 : after 5 s",
        "    open --> [*] : Break",
    ]
    assert Small.unreachable() == ("attic",)
    assert Door.unreachable() == (), "it computes a state"
    assert "    %% open: str goes to a computed state" in Door.diagram()


def test_a_helper_may_move_any_state() -> None:
    class Helped(FSM, initial="a", states=("b",)):
        @on(state="a")
        def go(self, m: int) -> Any:
            return self._fail()

        def _fail(self) -> Any:
            return self.goto("b")

    assert Helped.unreachable() == ()
    assert "    a --> b : _fail" in Helped.diagram()


def test_the_stash_of_a_machine_waits_for_the_right_state() -> None:
    class Loader(FSM, initial="loading"):
        @on(state="loading")
        def ready(self, m: Push) -> Any:
            self.ctx.unstash_all()
            return self.goto("ready")

        @on(state="loading")
        def wait(self, m: Any) -> None:
            self.ctx.stash()

        @on(state="ready")
        def work(self, m: int) -> int:
            return m + 1

    async def test(t: TestSystem) -> None:
        loader = t.spawn(Loader)
        replies = [loader.ask(n) for n in range(3)]
        loader.tell(Push())
        assert [await reply for reply in replies] == [1, 2, 3]

    testkit.run(test)


def test_a_plain_actor_may_declare_states_without_handlers() -> None:
    class Plain(Actor, states=("paused",)):
        @on
        def pause(self, m: Push) -> str | None:
            self.ctx.become("paused")
            return self.ctx.state

    async def test(t: TestSystem) -> None:
        assert await t.spawn(Plain).ask(Push()) == "paused"

    testkit.run(test)
