"""States of an actor: which handlers take messages, and which names are known."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actinium import testkit
from actinium.core import Actor, Message, on
from actinium.errors import HandlerError, Unhandled, UsageError
from actinium.testkit import TestSystem


class Push(Message):
    pass


class Ask(Message):
    pass


class Lamp(Actor, initial="off"):
    @on
    def ask(self, m: Ask) -> str | None:
        return self.ctx.state

    @on(state="off")
    def light(self, m: Push) -> str:
        self.ctx.become("on")
        return "now on"

    @on(state="on")
    def darken(self, m: Push) -> str:
        self.ctx.become("off")
        return "now off"

    @on(state="on")
    async def later(self, m: float) -> str:
        await asyncio.sleep(m)
        self.ctx.become("broken", push=True)
        return "broken"

    @on(state=("broken", "lost"))
    def nothing(self, m: Any) -> str:
        return f"nothing for {type(m).__name__}"

    @on(state="broken")
    def mend(self, m: bytes) -> None:
        self.ctx.unbecome()

    @on
    def fail(self, m: int) -> None:
        raise ValueError(m)

    @on
    def go(self, m: str) -> None:
        self.ctx.become(m)


def test_messages_go_to_the_handlers_of_the_state() -> None:
    async def test(t: TestSystem) -> None:
        lamp = t.spawn(Lamp)
        said = [await lamp.ask(Push()) for _ in range(3)]
        assert said == ["now on", "now off", "now on"]
        assert await lamp.ask(Ask()) == "on"

    testkit.run(test)


def test_a_state_is_of_one_actor_not_of_its_class() -> None:
    async def test(t: TestSystem) -> None:
        first, second = t.spawn(Lamp), t.spawn(Lamp)
        first.tell(Push())
        assert await first.ask(Ask()) == "on"
        assert await second.ask(Ask()) == "off"
        assert await second.ask(Push()) == "now on"

    testkit.run(test)


def test_what_a_state_takes_comes_before_what_all_take_even_any() -> None:
    async def test(t: TestSystem) -> None:
        lamp = t.spawn(Lamp)
        lamp.tell(Push())
        assert await lamp.ask(0.1) == "broken"
        assert await lamp.ask(Ask()) == "nothing for Ask"
        assert await lamp.ask(True) == "nothing for bool"
        lamp.tell(b"")
        assert await lamp.ask(Ask()) == "on"

    testkit.run(test)


def test_what_no_handler_of_the_state_takes_is_unhandled() -> None:
    async def test(t: TestSystem) -> None:
        lamp = t.spawn(Lamp)
        with pytest.raises(Unhandled) as error:
            await lamp.ask(0.1)
        assert str(error.value) == (
            "Lamp in the state 'off' cannot take a float: it handles Ask, Push, int, str"
        )

    testkit.run(test)


def test_a_restart_begins_again_with_the_first_state() -> None:
    async def test(t: TestSystem) -> None:
        lamp = t.spawn(Lamp)
        lamp.tell(Push())
        with pytest.raises(HandlerError):
            await lamp.ask(1)
        assert await lamp.ask(Ask()) == "off"

    testkit.run(test)


def test_unbecome_goes_back_over_what_was_pushed() -> None:
    class Deep(Actor):
        @on
        def push(self, m: str) -> None:
            self.ctx.become(m, push=True)

        @on
        def pop(self, m: int) -> str | None:
            self.ctx.unbecome()
            return self.ctx.state

        @on(state=("a", "b"))
        def which(self, m: Ask) -> str | None:
            return self.ctx.state

    async def test(t: TestSystem) -> None:
        deep = t.spawn(Deep)
        for name in ("a", "b", "a"):
            deep.tell(name)
        assert await deep.ask(Ask()) == "a"
        assert [await deep.ask(0) for _ in range(4)] == ["b", "a", None, None]
        with pytest.raises(Unhandled):
            await deep.ask(Ask())
        for _ in range(257):
            deep.tell("a")
        await t.run_until_idle()
        letter = await t.expect_dead_letter("handler_failed")
        assert "256 states lie on one another" in letter.error

    testkit.run(test)


def test_an_unknown_state_is_refused_at_run_time_where_it_is_computed() -> None:
    async def test(t: TestSystem) -> None:
        with pytest.raises(HandlerError, match="has the states broken, lost, off, on"):
            await t.spawn(Lamp).ask("opne")

    testkit.run(test)


def test_an_unknown_literal_state_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(UsageError, match=r"test_become\.py:\d+\): line \d+ becomes 'opne'; "):

        class Typo(Actor):
            @on(state="open")
            def push(self, m: Push) -> None:
                def inner() -> None:
                    self.ctx.become("opne")

                inner()

    with pytest.raises(UsageError, match=r"has no states: mark handlers with @ac\.on\(state="):

        class None_(Actor):
            @on
            def push(self, m: Push) -> None:
                ctx = self.ctx
                ctx.become("open", push=True)


def test_what_is_no_literal_state_of_this_actor_is_let_be() -> None:
    class Free(Actor):
        person: Any = None

        @on(state="open")
        def push(self, m: Push) -> None:
            self.person.become("adult")
            self.ctx.become("op" + self.person)
            self.ctx.become(f"op{self.person}")
            self.ctx.become("open")

    assert set(Free._states) == {None, "open"}


def test_a_first_state_without_handlers_is_refused() -> None:
    with pytest.raises(UsageError, match="begins in the state 'shut', for which it has no handler"):

        class Shut(Actor, initial="shut"):
            @on
            def push(self, m: Push) -> None: ...


def test_two_handlers_for_one_type_and_state_are_refused() -> None:
    with pytest.raises(UsageError, match="two handlers for Push in the state 'a'"):

        class Two(Actor):
            @on(state="a")
            def first(self, m: Push) -> None: ...

            @on(state=("b", "a"))
            def second(self, m: Push) -> None: ...


def test_a_second_handler_of_the_same_name_is_refused() -> None:
    """It would silently replace the first one: that is how Python makes a class."""
    with pytest.raises(UsageError, match=r"would replace .*push .*; give each its own name"):

        class Same(Actor):
            @on(state="a")
            def push(self, m: Push) -> None: ...

            @on(state="b")
            def push(self, m: Push) -> None: ...  # type: ignore[no-redef] # noqa: F811


def test_a_subclass_adds_states_and_overrides_handlers() -> None:
    class Bright(Lamp):
        @on(state="off")
        def light(self, m: Push) -> str:
            self.ctx.become("bright")
            return "very bright"

        @on(state="bright")
        def wane(self, m: Push) -> str:
            self.ctx.become("on")
            return "less bright"

    async def test(t: TestSystem) -> None:
        lamp = t.spawn(Bright)
        said = [await lamp.ask(Push()) for _ in range(3)]
        assert said == ["very bright", "less bright", "now off"]

    testkit.run(test)


@pytest.mark.parametrize("bad", ["", ("a", ""), (1,)])
def test_a_state_has_a_name(bad: Any) -> None:
    if bad == "":
        bad = ("",)
    with pytest.raises(UsageError, match="a state is named by a text that is not empty"):
        on(state=bad)
