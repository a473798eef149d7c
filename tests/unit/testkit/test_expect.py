"""Each expectation of a system as a whole: met, and not met with its text."""

from __future__ import annotations

import gc
import logging
import weakref

import pytest

from actinium import testkit
from actinium.core import Actor, Message, OneForOne, Settings, Unchecked, on
from actinium.testkit import ExpectationFailed, TestSystem


class Do(Message):
    what: str


class Hand(Actor):
    @on
    def do(self, m: Do) -> None:
        match m.what:
            case "value":
                raise ValueError("bad value")
            case "key":
                raise KeyError("k")
            case "log":
                logging.getLogger("actinium.hand").info("did %s at %d", m.what, 7)


class Answers(Actor):
    @on(raises=(ValueError,))
    def do(self, m: Do) -> None:
        raise ValueError("an answer")


NEVER_STOPS = Settings(supervise=OneForOne(max_restarts=None, backoff=(0.0, 0.0)))


def check(body: object) -> None:
    testkit.run(body, settings=NEVER_STOPS)  # type: ignore[arg-type]


# -- failures


def test_expect_failure_takes_them_one_by_one() -> None:
    async def test(t: TestSystem) -> None:
        hand = t.spawn(Hand, name="hand")
        for what in ("value", "key", "value"):
            hand.tell(Do(what))
        failed = await t.expect_failure(KeyError)
        assert (failed.path, failed.kind, failed.text) == ("/user/hand", KeyError, "'k'")
        assert (await t.expect_failure(where=lambda f: f.text == "bad value")).kind is ValueError
        with pytest.raises(ExpectationFailed) as failure:
            await t.expect_failure(ValueError, within=2.0)
        assert str(failure.value) == (
            "expected a failure by ValueError within 2 s\n"
            "failures, in order:\n"
            "  1. /user/hand failed at 0.000 s: ValueError: bad value\n"
            "  2. /user/hand failed at 0.000 s: KeyError: 'k'\n"
            "  3. /user/hand failed at 0.000 s: ValueError: bad value"
        )

    check(test)


def test_expect_failure_where_none_came_and_a_declared_answer_is_none() -> None:
    async def test(t: TestSystem) -> None:
        t.spawn(Answers).tell(Do("answer"))
        with pytest.raises(ExpectationFailed) as failure:
            await t.expect_failure(within=0.5)
        assert str(failure.value) == (
            "expected a failure by BaseException within 0.5 s\nthere are none"
        )

    check(test)


def test_what_failed_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    # pytest keeps what is logged, its traceback included.
    monkeypatch.setattr(logging.getLogger("actinium"), "propagate", False)

    async def test(t: TestSystem) -> None:
        hand = t.spawn(Hand)
        old = weakref.ref(hand.instance)
        hand.tell(Do("value"))
        await t.expect_failure(ValueError)
        await t.run_until_idle()
        gc.collect()
        assert old() is None

    check(test)


# -- log lines


def test_expect_log_takes_them_one_by_one() -> None:
    async def test(t: TestSystem) -> None:
        t.spawn(Hand, name="hand").tell(Do("log"))
        line = await t.expect_log(r"did \w+ at 7", level=logging.INFO, logger="actinium.hand")
        assert (line.logger, line.text) == ("actinium.hand", "did log at 7")
        with pytest.raises(ExpectationFailed) as failure:
            await t.expect_log("did", within=0.25)
        assert str(failure.value) == (
            "expected a log line with 'did' within 0.25 s\n"
            "log lines, in order:\n"
            "  1. INFO actinium.hand: did log at 7"
        )

    check(test)


def test_expect_log_looks_at_level_and_logger_and_puts_the_level_back() -> None:
    async def test(t: TestSystem) -> None:
        t.spawn(Hand).tell(Do("log"))
        with pytest.raises(ExpectationFailed):
            await t.expect_log("did", level=logging.WARNING)
        with pytest.raises(ExpectationFailed):
            await t.expect_log("did", logger="actinium.han")

    logger = logging.getLogger("actinium")
    before = (logger.level, list(logger.handlers))
    check(test)
    assert (logger.level, logger.handlers) == before


# -- counters


def test_expect_metric_counts_from_the_last_expectation() -> None:
    async def test(t: TestSystem) -> None:
        hand = t.spawn(Hand)
        hand.tell(Do("value"))
        assert await t.expect_metric("restarts") == 1
        hand.tell(Do("key"))
        hand.tell(Do("value"))
        await t.run_until_idle()
        assert await t.expect_metric("restarts", by=2) == 3
        assert await t.expect_metric("restarts", by=0) == 3
        with pytest.raises(ExpectationFailed) as failure:
            await t.expect_metric("restarts", by=1, within=0.5)
        assert str(failure.value) == (
            "expected restarts to grow by 1 within 0.5 s, it grew by 0 (from 3 to 3)"
        )

    check(test)


def test_expect_metric_of_more_or_of_nothing_known() -> None:
    async def test(t: TestSystem) -> None:
        hand = t.spawn(Hand)
        for _ in range(2):
            hand.tell(Do("value"))
        await t.run_until_idle()
        with pytest.raises(ExpectationFailed, match=r"by 1 within 1 s, it grew by 2"):
            await t.expect_metric("restarts")
        with pytest.raises(ExpectationFailed, match=r"no counter 'restart'; there are accepted, "):
            await t.expect_metric("restart")

    check(test)


# -- no dead letters


def test_expect_no_dead_letters() -> None:
    async def test(t: TestSystem) -> None:
        hand = t.spawn(Hand, name="hand")
        t.expect_no_dead_letters()
        hand.tell("what")
        await t.expect_dead_letter("unhandled")
        t.expect_no_dead_letters()
        hand.tell("more")
        await t.run_until_idle()
        with pytest.raises(ExpectationFailed) as failure:
            t.expect_no_dead_letters()
        assert str(failure.value) == (
            "expected no more dead letters\n"
            "dead letters, in order:\n"
            "  1. unhandled: 'what' for /user/hand\n"
            "  2. unhandled: 'more' for /user/hand"
        )

    check(test)


# -- the trace


def test_trace_writes_down_every_message_and_hides_addresses() -> None:
    async def test(t: TestSystem) -> None:
        probe = t.probe("p")
        t.spawn(Hand, name="hand").tell(Do("x"), sender=probe.ref)
        await t.run_until_idle()
        probe.ref.tell(Anything)
        await t.run_until_idle()
        assert list(t.events) == [
            "0.000000 /user/hand handles Do(what='x') from /user/p",
            f"0.000000 /user/p handles {Anything!r}",
            f"0.000000 /user/p got {Anything!r} told from outside",
        ]
        probe.ref.tell(Unchecked(object()))
        await t.run_until_idle()
        assert list(t.events)[-1].endswith("got Unchecked(<object object>) told from outside")

    testkit.run(test, trace=True)


class Anything: ...
