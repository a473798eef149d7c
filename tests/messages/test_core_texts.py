"""The texts of the core's errors: what was expected, what came, where, and what to write."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from actinium import testkit
from actinium.core import Actor, Mailbox, Message, OneForOne, Unbounded, on
from actinium.core.deadletters import REASONS
from actinium.errors import (
    ActiniumError,
    ActorNotFound,
    ActorStopped,
    AskTimeout,
    ConfigError,
    HandlerError,
    NameTaken,
    NotAMessage,
    SpawnError,
    Unhandled,
    UsageError,
)
from actinium.testkit import TestSystem

HERE = re.escape(__file__)


class Add(Message):
    n: int


class Counter(Actor):
    @on
    def add(self, m: Add) -> int:
        if m.n < 0:
            raise ValueError("negative")
        return m.n


def two_for_one_type() -> None:
    class Two(Actor):
        @on
        def first(self, m: Add) -> None: ...

        @on
        def second(self, m: Add) -> None: ...


def no_annotation() -> None:
    class Bare(Actor):
        @on
        def add(self, m): ...  # type: ignore[no-untyped-def]


def unknown_name() -> None:
    class Late(Actor):
        @on
        def add(self, m: NotDefined) -> None: ...  # type: ignore[name-defined] # noqa: F821


def no_class() -> None:
    class Text(Actor):
        @on
        def add(self, m: 5) -> None: ...  # type: ignore[valid-type]


def too_many() -> None:
    class Many(Actor):
        @on
        def add(self, m: Add, other: int) -> None: ...


def plain_generator() -> None:
    class Gen(Actor):
        @on
        def add(self, m: Add) -> Any:
            yield m.n


def no_method() -> None:
    on(5)  # type: ignore[call-overload]


def concurrent_zero() -> None:
    class None_(Actor, concurrent=0): ...


def passivate_zero() -> None:
    class Never(Actor, passivate=0.0): ...


def passivate_async_stopping() -> None:
    class Slow(Actor, passivate=1.0):
        async def stopping(self, reason: str) -> None: ...  # type: ignore[override]


PLACE = rf"\({HERE}:\d+\)"

CLASS_ERRORS: dict[Callable[[], None], str] = {
    two_for_one_type: (
        rf"two_for_one_type\.<locals>\.Two has two handlers for Add: \S+\.first {PLACE} and "
        rf"\S+\.second {PLACE}; keep one"
    ),
    no_annotation: (
        rf"handler \S+\.add {PLACE} does not say which message it takes; "
        r"write `def add\(self, m: MessageType\)`"
    ),
    unknown_name: (
        rf"handler \S+\.add {PLACE}: the annotation 'NotDefined' cannot be resolved "
        r"\(name 'NotDefined' is not defined\); define the message class before the actor class"
    ),
    no_class: (
        rf"handler \S+\.add {PLACE}: m is annotated with 5, which is no class; "
        r"use a class, a union of classes, or typing\.Any"
    ),
    too_many: rf"handler \S+\.add {PLACE} must take self and one message, got \(self, m, other\)",
    plain_generator: (
        rf"\S+\.add {PLACE} is a plain generator; write `async def` to make it a stream"
    ),
    no_method: r"@ac\.on belongs on a method, got 5",
    concurrent_zero: r"concurrent must be 1\.\.65535, got 0",
    passivate_zero: r"passivate must be above 0 seconds, got 0\.0",
    passivate_async_stopping: (
        rf"\S+\.stopping {PLACE}: an actor with passivate= leaves memory in one step; "
        r"write `def stopping`, and store state in the handlers"
    ),
}


@pytest.mark.parametrize("make", CLASS_ERRORS, ids=lambda f: f.__name__)
def test_classes_are_refused_where_they_are_written(make: Callable[[], None]) -> None:
    with pytest.raises(UsageError) as error:
        make()
    assert re.fullmatch(CLASS_ERRORS[make], str(error.value)), str(error.value)


class Mutable:
    pass


MESSAGES = [
    ([1], "a list cannot be a message because it can change while it is under way; "
          "send a tuple: tuple(items), or wrap it in ac.Unchecked(...) if you are sure"),
    ({}, "a dict cannot be a message because it can change while it is under way; send a struct: "
         "class Data(ac.Message): ..., or wrap it in ac.Unchecked(...) if you are sure"),
    (set(), "a set cannot be a message because it can change while it is under way; send a "
            "frozenset: frozenset(items), or wrap it in ac.Unchecked(...) if you are sure"),
    (Mutable(), "a Mutable cannot be a message because it can change while it is under way; "
                "declare it `class Mutable(ac.Message)` or `@dataclass(frozen=True)`, or wrap it "
                "in ac.Unchecked(...) if you are sure"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), MESSAGES, ids=lambda v: type(v).__name__)
def test_mutable_messages_are_refused(value: Any, text: str) -> None:
    async def test(t: TestSystem) -> None:
        with pytest.raises(NotAMessage) as error:
            t.spawn(Counter).tell(value)
        assert str(error.value) == text

    testkit.run(test)


def check(kind: type[ActiniumError], text: str, call: Callable[[TestSystem], Any]) -> None:
    async def test(t: TestSystem) -> None:
        with pytest.raises(kind) as error:
            outcome = call(t)
            if hasattr(outcome, "__await__"):
                await outcome
        assert str(error.value) == text

    testkit.run(test)


def stopped(t: TestSystem) -> Any:
    ref = t.spawn(Counter, name="c")
    ref.stop()
    t.step()
    return ref.ask(Add(1))


def twice(t: TestSystem) -> Any:
    t.spawn(Counter, name="c")
    return t.spawn(Counter, name="c")


class Needs(Actor):
    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError("too small")


class Silent(Actor):
    @on
    def add(self, m: Add) -> None:
        self.token = self.ctx.defer()


CALLS: list[tuple[type[ActiniumError], str, Callable[[TestSystem], Any]]] = [
    (Unhandled, "Counter cannot take a str: it handles Add",
     lambda t: t.spawn(Counter).ask("text")),
    (HandlerError, "Counter.add failed: ValueError: negative",
     lambda t: t.spawn(Counter).ask(Add(-1))),
    (AskTimeout, "/user/s did not answer in time",
     lambda t: t.spawn(Silent, name="s").ask(Add(1), 1.0)),
    (ActorStopped, "/user/c has stopped", stopped),
    (NameTaken, "/user has a child named 'c' already", twice),
    (ActorNotFound, "no actor lives at '/user/nobody': '/user' has no 'nobody'",
     lambda t: t.system.lookup("/user/nobody")),
    (SpawnError, "Needs(0) could not be made: ValueError: too small", lambda t: t.spawn(Needs, 0)),
    (UsageError, "actor name 'a b': expected 1-128 letters, digits, '_', '.', '~' or '-'",
     lambda t: t.spawn(Counter, name="a b")),
    (UsageError, "unknown reason 'lost'; use one of " + ", ".join(REASONS),
     lambda t: t.system.dead_letters.find(reason="lost")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "call"), CALLS, ids=lambda v: getattr(v, "__name__", ""))
def test_calls(kind: type[ActiniumError], text: str, call: Callable[[TestSystem], Any]) -> None:
    check(kind, text, call)


SETTINGS: list[tuple[Callable[[], Any], str]] = [
    (lambda: Mailbox(0), "mailbox capacity must be 1..4294967295, got 0; for no bound write "
                         "ac.Unbounded()"),
    (lambda: Mailbox(5, "drop"), "mailbox policy 'drop' is unknown; use one of reject, drop_new, "  # type: ignore[arg-type]
                                 "drop_old, block, drop_low, overflow, signal"),
    (lambda: Unbounded(lanes=3), "a mailbox has 1 or 4 lanes, got 3"),  # type: ignore[arg-type]
    (lambda: OneForOne(decide={ValueError: "retry"}), "decide[ValueError] is 'retry'; use one of "  # type: ignore[dict-item]
                                                      "resume, restart, stop, escalate, "
                                                      "quarantine"),
    (lambda: OneForOne(within=0.0), "within must be above 0 and backoff a pair (first, most) of "
                                    "seconds, got within=0.0, backoff=(0.05, 5.0)"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "text"), SETTINGS, ids=[str(n) for n in range(len(SETTINGS))])
def test_settings(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(ConfigError) as error:
        make()
    assert str(error.value) == text
