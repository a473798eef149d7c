"""Each expectation of a probe: met, and not met with its text."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from actinium import testkit
from actinium.core import Actor, Message, Terminated, on
from actinium.errors import UsageError
from actinium.testkit import ExpectationFailed, TestSystem


class Ping(Message):
    n: int = 0


class Pong(Message):
    n: int = 0


class Unwrap(Message):
    to: Any


class Asker(Actor):
    @on
    async def ask(self, m: Unwrap) -> None:
        m.to.tell(await m.to.ask(Ping(1)))


def check(body: Any) -> None:
    testkit.run(body)


def test_expect_takes_the_next_message() -> None:
    async def test(t: TestSystem) -> None:
        p = t.probe()
        p.ref.tell(Ping(1))
        p.ref.tell(Ping(2))
        assert await p.expect(Ping) == Ping(1)
        assert await p.expect(Ping, where=lambda m: m.n == 2) == Ping(2)
        assert (p.messages, p.unread) == ([Ping(1), Ping(2)], [])

    check(test)


def test_expect_waits_no_longer_than_it_says() -> None:
    async def test(t: TestSystem) -> None:
        p = t.probe("p")
        with pytest.raises(ExpectationFailed) as failure:
            await p.expect(Ping, within=2)
        assert str(failure.value) == (
            "expected a Ping within 2 s, got nothing\nnothing has reached /user/p"
        )
        assert t.now() == 2.0

    check(test)


def test_expect_of_another_type_tells_all_that_came() -> None:
    async def test(t: TestSystem) -> None:
        p = t.probe("p")
        other = t.probe("other")
        p.ref.tell(Ping(1))
        await p.expect(Ping)
        await t.advance(0.5)
        p.ref.tell(Pong(2), sender=other.ref)
        p.ref.tell("later")
        with pytest.raises(ExpectationFailed) as failure:
            await p.expect(Ping)
            await t.run_until_idle()
        assert str(failure.value).startswith(
            "expected a Ping, got Pong(n=2) told by /user/other\n"
            "what has reached /user/p, in order:\n"
            "  1. at 0.000 s: Ping(n=1) told from outside\n"
            "  2. at 0.500 s: Pong(n=2) told by /user/other"
        )

    check(test)


def test_expect_where_not_met() -> None:
    async def test(t: TestSystem) -> None:
        p = t.probe("p")
        p.ref.tell(Ping(1))
        with pytest.raises(ExpectationFailed, match=r"got Ping.n=1. told from outside, which does"):
            await p.expect(Ping, where=lambda m: m.n == 2)

    check(test)


def test_expect_none() -> None:
    async def test(t: TestSystem) -> None:
        p = t.probe()
        await p.expect_none(0.5)
        assert t.now() == 0.5
        p.ref.tell(Ping(3))
        with pytest.raises(ExpectationFailed, match=r"expected nothing within 0.5 s, got Ping"):
            await p.expect_none()

    check(test)


def test_expect_all_in_any_order() -> None:
    async def test(t: TestSystem) -> None:
        p = t.probe()
        for m in (Ping(2), Pong(1), Ping(1)):
            p.ref.tell(m)
        assert await p.expect_all(Pong, Ping(1), Ping(2)) == [Ping(2), Pong(1), Ping(1)]
        p.ref.tell(Ping(1))
        with pytest.raises(ExpectationFailed, match="expected a Pong, got Ping"):
            await p.expect_all(Pong)
        with pytest.raises(ExpectationFailed, match=r"expected a Pong, Ping\(n=5\) within 1 s"):
            await p.expect_all(Pong, Ping(5))

    check(test)


def test_fish_passes_over_the_rest() -> None:
    async def test(t: TestSystem) -> None:
        p = t.probe()
        for n in range(5):
            p.ref.tell(Ping(n))
        assert await p.fish(lambda m: m.n == 3) == Ping(3)
        await t.run_until_idle()
        assert p.unread == [Ping(4)]
        with pytest.raises(ExpectationFailed, match="expected a message that is wanted"):
            await p.fish(lambda m: m.n == 3)

    check(test)


def test_reply_to_an_ask_and_to_a_tell() -> None:
    async def test(t: TestSystem) -> None:
        p, q = t.probe(), t.probe()
        t.spawn(Asker).tell(Unwrap(p.ref))
        await p.expect(Ping)
        p.reply(Pong(9))
        assert await p.expect(Pong) == Pong(9)
        p.ref.tell(Ping(1), sender=q.ref)
        await p.expect(Ping)
        assert p.sender is q.ref
        p.reply(Pong(2))
        assert await q.expect(Pong) == Pong(2)
        assert q.sender is p.ref

    check(test)


def test_reply_without_anybody_waiting_is_refused() -> None:
    async def test(t: TestSystem) -> None:
        p = t.probe()
        with pytest.raises(UsageError, match="no message was expected yet"):
            p.reply(1)
        p.ref.tell(Ping(1))
        await p.expect(Ping)
        with pytest.raises(UsageError, match="nobody waits for a reply"):
            p.reply(1)

    check(test)


def test_an_unanswered_ask_ends_by_its_timeout_or_the_end() -> None:
    async def test(t: TestSystem) -> None:
        p = t.probe()
        reply = p.ref.ask(Ping(1), 3.0)
        await p.expect(Ping)
        with pytest.raises(TimeoutError):
            await reply
        assert 3.0 <= t.now() <= 3.002

    check(test)


def test_watch_brings_terminated() -> None:
    async def test(t: TestSystem) -> None:
        p = t.probe()
        asker = t.spawn(Asker)
        p.watch(asker)
        asker.kill()
        assert await p.expect(Terminated) == Terminated(asker, "killed")

    check(test)


def test_the_kit_does_not_need_pytest() -> None:
    code = "import sys, actinium.testkit; assert 'pytest' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
