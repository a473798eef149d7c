"""``ac.gather``: one deadline, limits, retries only where they are safe, second copies."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from actinium import testkit
from actinium.core import Actor, Mailbox, Message, OneForOne, on
from actinium.errors import (
    AskCycle,
    AskTimeout,
    DeadlineExceeded,
    HandlerError,
    MailboxFull,
    Overloaded,
    UsageError,
)
from actinium.patterns import Err, Ok, Retry, gather, latency
from actinium.testkit import TestSystem


class Work(Message):
    seconds: float
    value: int = 0


class Again(Message):
    seconds: float
    value: int = 0


class Flaky(Message):
    failures: int


class Busy(Overloaded):
    pass


class Worker(Actor, concurrent=100):
    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.now = 0
        self.most = 0
        self.failures = 0

    async def _work(self, m: Work | Again) -> int:
        self.begun.append(m)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(m.seconds)
        finally:
            self.now -= 1
        return m.value

    @on
    async def work(self, m: Work) -> int:
        return await self._work(m)

    @on(idempotent=True)
    async def again(self, m: Again) -> int:
        return await self._work(m)

    @on(raises=(Busy,), idempotent=True)
    async def flaky(self, m: Flaky) -> int:
        self.begun.append(asyncio.get_running_loop().time())
        self.failures += 1
        if self.failures <= m.failures:
            raise Busy("not now")
        return self.failures

    @on(raises=(Busy,))
    async def refuses(self, m: str) -> None:
        self.begun.append(m)
        raise Busy("not now")

    @on
    def fails(self, m: bytes) -> None:
        raise ValueError(m)


def test_answers_come_in_the_order_of_the_calls() -> None:
    async def test(t: TestSystem) -> None:
        a, b = t.spawn(Worker), t.spawn(Worker)
        results = await gather([(a, Work(2.0, 1)), (b, Work(1.0, 2)), (a, Work(0.0, 3))])
        assert [r.value for r in results if isinstance(r, Ok)] == [1, 2, 3]
        assert [round(r.seconds, 2) for r in results] == [2.0, 1.0, 0.0]
        assert [r.attempts for r in results] == [1, 1, 1]
        assert t.now() == pytest.approx(2.0, abs=0.01)
        assert await gather([]) == []

    testkit.run(test)


def test_an_error_is_a_result_beside_the_others() -> None:
    async def test(t: TestSystem) -> None:
        worker = t.spawn(Worker)
        good, bad, no_message = await gather(
            [(worker, Work(0.5, 1)), (worker, b"x"), (worker, ["mutable"])]
        )
        # the failed handler restarted the actor, which ended the other one
        assert isinstance(bad, Err) and isinstance(bad.error, HandlerError)
        assert isinstance(no_message, Err) and not no_message.retryable
        assert isinstance(good, Err) and good.retryable

    testkit.run(test)


def test_with_fail_the_first_error_is_raised_and_the_rest_withdrawn() -> None:
    async def test(t: TestSystem) -> None:
        slow, bad = t.spawn(Worker, mailbox=Mailbox(capacity=5)), t.spawn(Worker)
        with pytest.raises(HandlerError):
            await gather([(slow, Work(9.0)), (bad, b"x")], on_error="fail", timeout=60)
        assert t.now() < 0.1
        await t.advance(20.0)
        assert t.system.statistics()["late_replies"] == 1

    testkit.run(test)


@pytest.mark.parametrize("n", [1, 3, 50])
@pytest.mark.parametrize("retry", [None, Retry(max=9)])
def test_the_deadline_of_the_whole_holds_with_hung_callees(n: int, retry: Retry | None) -> None:
    class Hung(Actor):
        @on(idempotent=True)
        async def hang(self, m: Work) -> None:
            while True:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    if m.value:
                        raise

    async def test(t: TestSystem) -> None:
        refs = [t.spawn(Hung) for _ in range(n)]
        for limit in (None, 2):
            before = t.now()
            results = await gather(
                [(ref, Work(1.0)) for ref in refs], timeout=8.0, limit=limit, retry=retry
            )
            assert 7.999 <= t.now() - before <= 8.05
            kinds = {type(r.error) for r in results if isinstance(r, Err)}
            assert kinds <= {AskTimeout, DeadlineExceeded}
            assert len([r for r in results if isinstance(r, Err)]) == n
        for ref in refs:
            ref.kill()
            ref.finish()

    testkit.run(test)


def test_no_more_than_the_limit_are_under_way() -> None:
    async def test(t: TestSystem) -> None:
        worker = t.spawn(Worker)
        results = await gather([(worker, Work(1.0, n)) for n in range(10)], limit=3, timeout=60)
        assert [r.value for r in results if isinstance(r, Ok)] == [*range(10)]
        assert worker.instance.most == 3
        assert t.now() == pytest.approx(4.0, abs=0.02)

    testkit.run(test)


def test_calls_there_was_no_time_for_say_so() -> None:
    async def test(t: TestSystem) -> None:
        worker = t.spawn(Worker)
        first, second = await gather([(worker, Work(9.0))] * 2, limit=1, timeout=1.0)
        assert isinstance(first, Err) and isinstance(first.error, AskTimeout)
        assert isinstance(second, Err) and isinstance(second.error, DeadlineExceeded)
        assert (first.attempts, second.attempts) == (1, 0)
        assert len(worker.instance.begun) == 1

    testkit.run(test)


# -- retries


def test_an_idempotent_call_is_made_again_until_it_succeeds() -> None:
    async def test(t: TestSystem) -> None:
        worker = t.spawn(Worker)
        [result] = await gather([(worker, Flaky(2))], retry=Retry(max=2))
        assert isinstance(result, Ok)
        assert (result.value, result.attempts) == (3, 3)

    testkit.run(test)


def test_after_so_many_times_the_last_error_is_the_result() -> None:
    async def test(t: TestSystem) -> None:
        worker = t.spawn(Worker)
        [result] = await gather([(worker, Flaky(9))], retry=Retry(max=2))
        assert isinstance(result, Err) and isinstance(result.error, Busy)
        assert result.attempts == 3

    testkit.run(test)


def test_a_handler_that_is_not_idempotent_runs_at_most_once() -> None:
    async def test(t: TestSystem) -> None:
        worker = t.spawn(Worker)
        [declared] = await gather([(worker, "x")], retry=Retry(max=5))
        assert isinstance(declared, Err) and declared.retryable and declared.attempts == 1
        [late] = await gather([(worker, Work(9.0))], retry=Retry(max=5), timeout=1.0, hedge=0.5)
        assert isinstance(late, Err) and late.attempts == 1
        assert len(worker.instance.begun) == 2

    testkit.run(test)


@pytest.mark.parametrize("seed", range(1, 9))
def test_under_loss_and_restarts_it_still_runs_at_most_once_per_call(seed: int) -> None:
    """Refusals, restarts and timeouts at random: each call's message enters once at most."""
    seen: list[int] = []

    class Once(Actor, mailbox=Mailbox(capacity=2)):
        @on
        async def work(self, m: Work) -> int:
            seen.append(m.value)
            await asyncio.sleep(m.seconds)
            if chance.random() < 0.3:
                raise ValueError
            return m.value

    chance = random.Random(seed)

    async def test(t: TestSystem) -> None:
        once = t.spawn(Once, supervise=OneForOne(max_restarts=None, backoff=(0.01, 0.1)))
        calls = [(once, Work(chance.random() * 0.2, n)) for n in range(40)]
        results = await gather(
            calls, timeout=20.0, retry=Retry(max=50, backoff=(0.1, 0.5)), hedge=0.5
        )
        assert len(seen) == len(set(seen)), "a call ran twice"
        for n, result in enumerate(results):
            if isinstance(result, Ok):
                assert result.value == n
        assert max(result.attempts for result in results) > 1, "refused calls were made again"

    testkit.run(test, seed=seed)


def test_a_refused_call_is_made_again_since_it_never_ran() -> None:
    class Small(Worker, mailbox=Mailbox(capacity=1), concurrent=1):
        pass

    async def test(t: TestSystem) -> None:
        small = t.spawn(Small)
        calls = [(small, Work(0.2, n)) for n in range(4)]
        results = await gather(calls, retry=Retry(max=20), timeout=60)
        assert [r.value for r in results if isinstance(r, Ok)] == [0, 1, 2, 3]
        [refused, *_] = [r for r in await gather([(small, Work(0.2))] * 3) if isinstance(r, Err)]
        assert isinstance(refused.error, MailboxFull)

    testkit.run(test)


def test_two_clients_do_not_come_back_at_the_same_time() -> None:
    async def test(t: TestSystem) -> None:
        workers = [t.spawn(Worker) for _ in range(2)]
        await asyncio.gather(*(gather([(w, Flaky(3))], retry=Retry(max=3)) for w in workers))
        first, second = (w.instance.begun for w in workers)
        assert first[0] == second[0]
        assert all(a != b for a, b in zip(first[1:], second[1:], strict=True))

    testkit.run(test)


def test_the_pause_is_within_its_bounds_and_heeds_retry_after() -> None:
    chance = random.Random(1)
    retry = Retry(max=9, backoff=(0.1, 2.0))
    error = Busy("x")
    for failures, most in ((1, 0.1), (2, 0.2), (3, 0.4), (9, 2.0), (500, 2.0)):
        pauses = [retry.delay(failures, error, chance) for _ in range(200)]
        assert max(pauses) <= most
        assert min(pauses) < most / 4 < 3 * most / 4 < max(pauses)
    assert Retry(jitter="none", backoff=(0.5, 9.0)).delay(3, error, chance) == 2.0
    error.retry_after = 7.0
    assert retry.delay(1, error, chance) == 7.0


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Retry(max=-1), "max >= 0"),
        (lambda: Retry(backoff=(2.0, 1.0)), "backoff of"),
        (lambda: Retry(jitter="some"), "jitter='full' or"),  # type: ignore[arg-type]
    ],
)
def test_bad_retries_are_refused(make: Any, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        make()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"timeout": -1}, "timeout of 0 or more"),
        ({"limit": 0}, "limit of 1 call or more"),
        ({"on_error": "ignore"}, "on_error='collect' or 'fail'"),
        ({"hedge": 95}, "a share between 0 and 1"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], text: str) -> None:
    async def test(t: TestSystem) -> None:
        with pytest.raises(UsageError, match=text):
            await gather([], **options)

    testkit.run(test)


# -- second copies


def test_a_second_copy_is_sent_after_the_usual_time_and_the_first_answer_counts() -> None:
    class Uneven(Actor, concurrent=100):
        def __init__(self) -> None:
            self.count = 0

        @on(idempotent=True)
        async def work(self, m: Again) -> int:
            self.count += 1
            await asyncio.sleep(60.0 if self.count == 41 else 1.0)
            return self.count

    async def test(t: TestSystem) -> None:
        uneven = t.spawn(Uneven)
        for _ in range(2):
            await gather([(uneven, Again(0.0))] * 20, hedge=0.95)
        before = t.now()
        [result] = await gather([(uneven, Again(0.0))], hedge=0.95, timeout=100)
        assert isinstance(result, Ok) and result.attempts == 2
        assert t.now() - before == pytest.approx(2.0, abs=0.1)
        assert uneven.instance.count == 42

    testkit.run(test)


def test_while_too_little_is_known_no_second_copy_is_sent() -> None:
    async def test(t: TestSystem) -> None:
        worker = t.spawn(Worker)
        for _ in range(latency.NEEDED - 1):
            await gather([(worker, Again(0.01))], hedge=0.5)
        begun = len(worker.instance.begun)
        await gather([(worker, Again(3.0))], hedge=0.5)
        assert len(worker.instance.begun) == begun + 1

    latency._seen.clear()
    testkit.run(test)


# -- inside a handler


class Front(Actor):
    def __init__(self, refs: list[Any]) -> None:
        self.refs = refs

    @on(cancellable=True)
    async def go(self, m: Work) -> list[Any]:
        return await gather([(ref, m) for ref in self.refs], timeout=60.0, retry=Retry())

    @on
    async def round(self, m: int) -> list[Any]:
        return await gather([(ref, 1) for ref in self.refs], timeout=60.0)


def test_the_deadline_of_the_handler_goes_on_to_the_calls() -> None:
    async def test(t: TestSystem) -> None:
        worker = t.spawn(Worker)
        with pytest.raises(AskTimeout):
            await t.spawn(Front, [worker]).ask(Work(50.0), 2.0)
        assert t.now() == pytest.approx(2.0, abs=0.01)

    testkit.run(test)


def test_a_cancelled_handler_withdraws_its_calls() -> None:
    class Single(Worker, concurrent=1):
        pass

    async def test(t: TestSystem) -> None:
        worker = t.spawn(Single)
        first = worker.ask(Work(5.0, 1), 60.0)
        reply = t.spawn(Front, [worker, worker]).ask(Work(1.0, 2), 60.0)
        await t.advance(1.0)
        reply.cancel()
        await first
        await t.advance(10.0)
        assert [m.value for m in worker.instance.begun] == [1]

    testkit.run(test)


def test_complaint_15_a_circle_through_gather_fails_at_once() -> None:
    async def test(t: TestSystem) -> None:
        first = t.spawn(Front, [])
        second = t.spawn(Front, [first])
        first.instance.refs = [second]
        [outer] = await first.ask(1, 60.0)
        [inner] = outer.value
        assert isinstance(inner.error, AskCycle)
        assert t.now() < 0.1
        assert f"{second.path} -> {first.path} -> {second.path}" in str(inner.error)

    testkit.run(test)


def test_entities_can_be_asked() -> None:
    class Named(Actor):
        def __init__(self, key: str) -> None:
            self.key = key

        @on(idempotent=True)
        def who(self, m: int) -> str:
            return self.key

    async def test(t: TestSystem) -> None:
        refs = [t.system.entity(Named, key) for key in "abc"]
        results = await gather([(ref, 1) for ref in refs], retry=Retry(), hedge=0.9)
        assert [r.value for r in results if isinstance(r, Ok)] == ["a", "b", "c"]

    testkit.run(test)
