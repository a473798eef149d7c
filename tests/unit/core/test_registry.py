"""The registry: names, tags and what misuse is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actinium import testkit
from actinium.core import Actor, NameAdded, NameRemoved, NameReplaced, on
from actinium.errors import ActorNotFound, ActorStopped, NameTaken, UsageError
from actinium.testkit import TestSystem


class Sensor(Actor):
    def started(self) -> None:
        self.ctx.system.registry.register(f"own/{self.ctx.self_ref.uid}", self.ctx.self_ref)

    @on
    def get(self, m: str) -> int:
        if m == "fail":
            raise ValueError
        return 7


class Bare(Actor):
    pass


def test_names_and_tags_lead_to_refs() -> None:
    async def test(t: TestSystem) -> None:
        registry = t.system.registry
        a, b = t.spawn(Bare), t.spawn(Bare)
        registry.register("plant/7/sensor", a, tags={"ver": "2", "kind": "heat"})
        registry.register("plant/8/sensor", b, tags={"ver": "1"})
        registry.register("plant/8/valve", b)
        assert registry.ref("plant/7/sensor") is a and "plant/7/sensor" in registry
        assert [e.name for e in registry.find("plant/*/sensor")] == [
            "plant/7/sensor", "plant/8/sensor",
        ]  # fmt: skip
        assert [e.ref for e in registry.find("**", tags={"ver": "2"})] == [a]
        assert [e.ref for e in registry.find("plant/8/**")] == [b, b]
        assert registry.names(b) == ["plant/8/sensor", "plant/8/valve"]
        assert len(registry) == 3 and registry.version == 3
        assert registry.unregister("plant/8/valve") and not registry.unregister("plant/8/valve")
        assert registry.get("plant/8/valve") is None

    testkit.run(test)


def test_a_taken_name_is_refused_or_replaced() -> None:
    async def test(t: TestSystem) -> None:
        registry = t.system.registry
        a, b = t.spawn(Bare, name="a"), t.spawn(Bare)
        registry.register("x", a)
        with pytest.raises(NameTaken, match="'x' is registered for /user/a; unregister it first"):
            registry.register("x", b)
        registry.register("x", b, replace=True)
        assert registry.ref("x") is b and registry.names(a) == []
        a.stop()
        await t.run_until_idle()
        assert registry.ref("x") is b, "the name is no longer the stopped actor's"

    testkit.run(test)


@pytest.mark.parametrize("end", ["stop", "kill", "fail"])
def test_an_actor_that_ends_frees_its_names_and_a_restart_keeps_them(end: str) -> None:
    class Fragile(Actor):
        @on
        def fail(self, m: str) -> None:
            raise ValueError

    async def test(t: TestSystem) -> None:
        from actinium.core import OneForOne

        policy = OneForOne(max_restarts=1, on_limit="stop")
        ref = t.spawn(Fragile, supervise=policy)
        t.system.registry.register("x", ref)
        ref.tell("fail")
        await t.advance(1)
        assert ref.incarnation == 1 and t.system.registry.ref("x") is ref
        {"stop": ref.stop, "kill": ref.kill, "fail": lambda: ref.tell("fail")}[end]()
        await t.run_until_idle()
        assert "x" not in t.system.registry and len(t.system.registry) == 0

    testkit.run(test)


def test_a_constructor_that_registers_itself_and_fails_leaves_no_name() -> None:
    class Fails(Actor):
        def __init__(self) -> None:
            self.ctx.system.registry.register("x", self.ctx.self_ref)
            raise ValueError

    async def test(t: TestSystem) -> None:
        with pytest.raises(Exception, match="could not be made"):
            t.spawn(Fails)
        assert "x" not in t.system.registry
        again = t.spawn(Bare)
        t.system.registry.register("x", again)
        assert t.system.registry.ref("x") is again

    testkit.run(test)


def test_an_actor_may_register_itself_and_be_watched() -> None:
    async def test(t: TestSystem) -> None:
        async with t.system.registry.watch("own/*") as names:
            assert names.snapshot == ()
            ref = t.spawn(Sensor)
            added = await anext(names)
            assert isinstance(added, NameAdded) and added.entry.ref is ref
            other = t.spawn(Bare)
            t.system.registry.register(added.entry.name, other, replace=True)
            replaced = await anext(names)
            assert isinstance(replaced, NameReplaced) and replaced.before.ref is ref
            other.stop()
            removed = await anext(names)
            assert isinstance(removed, NameRemoved) and removed.entry.ref is other
        assert [x async for x in names] == []

    testkit.run(test)


def test_the_end_of_the_system_ends_the_watches() -> None:
    async def test(t: TestSystem) -> None:
        names = t.system.registry.watch("**")
        t.system.registry.register("x", t.spawn(Bare))
        await t.shutdown()
        assert [type(x) for x in [y async for y in names]] == [NameAdded, NameRemoved]

    testkit.run(test)


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda r, a: r.register("a/*", a), UsageError, r"cannot hold '\*' or '\?'"),
        (lambda r, a: r.register("a//b", a), UsageError, "has an empty segment"),
        (lambda r, a: r.register("", a), UsageError, "has an empty segment"),
        (lambda r, a: r.register("x" * 513, a), UsageError, "has 513 bytes in UTF-8"),
        (lambda r, a: r.register("\ud800", a), UsageError, "cannot be written in UTF-8"),
        (lambda r, a: r.register(7, a), UsageError, "is text such as 'plant/7/sensor', got 7"),
        (lambda r, a: r.register("x", 7), UsageError, "takes a ref, got 7"),
        (lambda r, a: r.find("x" * 513), UsageError, "a pattern has 513 bytes"),
        (lambda r, a: r.find("a**"), UsageError, r"write 'a/\*\*/b'"),
        (lambda r, a: r.watch("x", max_pending=0), UsageError, "max_pending must be 1 or more"),
        (lambda r, a: r.ref("x"), ActorNotFound, "nobody is registered as 'x'"),
        (lambda r, a: r.ref("x/*"), ActorNotFound, r"find\(\) takes patterns"),
    ],
)
def test_misuse_says_what_to_write(call: Any, kind: type[Exception], text: str) -> None:
    async def test(t: TestSystem) -> None:
        with pytest.raises(kind, match=text):
            call(t.system.registry, t.spawn(Bare))

    testkit.run(test)


def test_a_dead_ref_and_another_thread_are_refused() -> None:
    async def test(t: TestSystem) -> None:
        registry = t.system.registry
        ref = t.spawn(Bare, name="gone")
        ref.stop()
        await t.run_until_idle()
        with pytest.raises(ActorStopped, match="/user/gone has stopped and cannot be registered"):
            registry.register("x", ref)
        live = t.spawn(Bare)
        with pytest.raises(UsageError, match="on the thread of the system's event loop"):
            await asyncio.to_thread(registry.register, "x", live)

    testkit.run(test, outside=True)
