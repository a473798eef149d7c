"""Fallback, retries and rests, end to end through the service, in virtual time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from guard_support import END, Service, Step, Told, now, request, run, started

from actinium.errors import (
    BadRequest,
    ConfigError,
    InferenceError,
    ModelNotReady,
    NetworkError,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    RequestDeadline,
    ServerError,
    StreamInterrupted,
    UpstreamAuth,
    UpstreamOpen,
    UpstreamTimeout,
)
from actinium.inference import (
    BreakerPolicy,
    Capabilities,
    Deployment,
    EmbedRequest,
    Inference,
    RetryPolicy,
    Sampling,
    Timeouts,
)

CHAIN = {"a": {"fallback": ("b",)}}


def limited(seconds: float | None) -> RateLimited:
    error = RateLimited("429")
    error.retry_after = seconds
    return error


FALLS_BACK = [
    limited(None), limited(7.0), QuotaExhausted("empty"), ModelNotReady("gone"),
    UpstreamAuth("401"), NetworkError("reset"), ServerError("503", 503), ProtocolError("bad"),
    UpstreamTimeout("first_byte", 1.0),
]  # fmt: skip


@pytest.mark.parametrize("how", ["stream", "whole"])
@pytest.mark.parametrize("error", FALLS_BACK, ids=lambda e: type(e).__name__)
def test_an_error_before_the_first_content_leads_to_the_next_deployment_at_once(
    error: InferenceError, how: str
) -> None:
    async def test() -> None:
        service = await started(Service({"a": Told([error]), "b": Told(["b!", END])}, **CHAIN))
        ask = service.ask if how == "stream" else service.whole
        began = now()
        assert await ask("a") == "b!"
        assert now() == began, "no pause while another can serve"
        assert service.count("fallbacks", "a", "b") == 1
        assert service.at_rest()

    run(test)


@pytest.mark.parametrize(
    "error", [BadRequest("no"), RequestDeadline("late")], ids=lambda e: type(e).__name__
)
def test_the_clients_own_errors_go_to_the_client(error: InferenceError) -> None:
    async def test() -> None:
        service = await started(Service({"a": Told([error]), "b": Told()}, **CHAIN))
        with pytest.raises(type(error)):
            await service.ask("a")
        assert service.runners["b"].calls == 0

    run(test)


def test_inf_rq_4_after_the_first_content_nobody_else_is_asked() -> None:
    async def test() -> None:
        cut: list[Step] = ["half", NetworkError("cut")]
        service = await started(
            Service({"a": Told(cut), "b": Told()}, a={"fallback": ("b",), "retry": RetryPolicy()})
        )
        got = []
        with pytest.raises(StreamInterrupted):
            async for text in service.stream("a"):
                got.append(text)  # noqa: PERF401 - what came before the error
        assert got == ["half"] and service.runners["a"].calls == 1
        assert service.runners["b"].calls == 0 and service.at_rest()

    run(test)


def test_a_bug_is_no_reason_to_ask_somebody_else() -> None:
    async def test() -> None:
        service = await started(
            Service({"a": Told([ZeroDivisionError("bug")]), "b": Told()}, **CHAIN)
        )
        with pytest.raises(ZeroDivisionError):
            await service.ask("a")
        assert service.runners["b"].calls == 0 and service.at_rest()

    run(test)


def test_complaint_18_a_deployment_that_answers_429_rests_until_its_retry_after() -> None:
    """All requests went to a provider that answered 429, for hours."""

    async def test() -> None:
        a = Told([limited(30.0)], [limited(30.0)], ["back", END])
        service = await started(Service({"a": a, "b": Told(["b!", END])}, **CHAIN))
        for _ in range(50):
            assert await service.ask("a") == "b!"
        assert a.calls == 1, "it was asked within its Retry-After"
        await asyncio.sleep(30.1)
        assert await service.ask("a") == "b!"
        assert a.calls == 2
        await asyncio.sleep(30.1)
        assert await service.ask("a") == "back"

    run(test)


def test_complaint_18_an_empty_purse_upstream_is_not_asked_all_the_time() -> None:
    async def test() -> None:
        a = Told([QuotaExhausted("insufficient_quota")])
        service = await started(Service({"a": a, "b": Told(["b!", END])}, **CHAIN))
        for _ in range(1800):
            assert await service.ask("a") == "b!"
            await asyncio.sleep(1)
        assert a.calls <= 12

    run(test)


def test_complaint_19_fallback_after_429_does_not_wait_for_the_retry_after() -> None:
    """15 s to the first token although a healthy back-up is configured."""

    async def test() -> None:
        fields = {"a": {"fallback": ("b",), "retry": RetryPolicy(attempts=3)}}
        service = await started(
            Service({"a": Told([limited(15.0)]), "b": Told(["b!", END])}, **fields)
        )
        began = now()
        assert await service.ask("a") == "b!"
        assert now() == began

    run(test)


def test_complaint_19_only_when_none_is_left_is_a_retry_after_waited_for() -> None:
    async def test() -> None:
        fields = {"a": {"fallback": ("b",), "retry": RetryPolicy()}, "b": {"retry": RetryPolicy()}}
        a = Told([limited(9.0)], ["a!", END])
        b = Told([limited(4.0)], ["b!", END])
        service = await started(Service({"a": a, "b": b}, **fields))
        began = now()
        assert await service.ask("a") == "b!", "the one that is ready first"
        assert now() - began == pytest.approx(4.0, abs=0.01)
        assert service.count("retries", "b") == 1 and service.at_rest()

    run(test)


def test_complaint_20_the_client_gets_the_status_and_the_shortest_retry_after() -> None:
    """The provider's 429 turned into a 502, its Retry-After was lost."""

    async def test() -> None:
        runners = {"a": Told([limited(20.0)]), "b": Told([limited(6.0)]),
                   "c": Told([ServerError("down")])}  # fmt: skip
        service = await started(Service(runners, a={"fallback": ("b", "c")}))
        for _ in range(2):
            with pytest.raises(RateLimited) as caught:
                await service.ask("a")
            assert caught.value.retry_after == pytest.approx(6.0) and caught.value.http == 429

    run(test)


def test_inf_rt_1_pauses_have_full_jitter_and_grow() -> None:
    async def test() -> None:
        pauses: list[list[float]] = [[], []]
        policy = RetryPolicy(attempts=3, base=1.0, max=20.0, budget=1.0)
        for _ in range(40):
            a = Told([NetworkError("x")])
            service = await started(Service({"a": a}, a={"retry": policy}))
            with pytest.raises(NetworkError):
                await service.ask("a")
            assert a.calls == 3
            for at in range(2):
                pauses[at].append(a.at[at + 1] - a.at[at])
        assert max(pauses[0]) <= 1.0 and max(pauses[1]) <= 2.0
        assert max(pauses[1]) > 1.0 and len(set(pauses[0])) == 40, "no two clients alike"
        assert min(pauses[0]) < 0.3, "jitter from zero on"

    run(test)


def test_inf_rt_1_a_retry_after_that_is_too_long_is_passed_on() -> None:
    async def test() -> None:
        service = await started(
            Service({"a": Told([limited(31.0)])}, a={"retry": RetryPolicy(longest=30.0)})
        )
        with pytest.raises(RateLimited) as caught:
            await service.ask("a")
        assert now() == 0 and caught.value.retry_after == 31.0

    run(test)


def test_inf_rt_1_a_pause_that_does_not_fit_the_deadline_is_not_begun() -> None:
    async def test() -> None:
        service = await started(Service({"a": Told([limited(5.0)])}, a={"retry": RetryPolicy()}))
        with pytest.raises(RateLimited):
            await service.ask("a", deadline=now() + 4)
        assert now() == 0

    run(test)


def test_inf_rt_1_a_deployment_that_is_not_idempotent_sees_a_request_once() -> None:
    async def test() -> None:
        a = Told([NetworkError("x")], ["again", END])
        service = await started(Service({"a": a}, a={"retry": RetryPolicy(), "idempotent": False}))
        with pytest.raises(NetworkError):
            await service.ask("a")
        assert a.calls == 1

    run(test)


def test_inf_rt_1_retries_keep_to_their_budget() -> None:
    async def test() -> None:
        a = Told([NetworkError("x")])
        breaker = BreakerPolicy(failures=10_000)
        policy = RetryPolicy(attempts=3, base=0.01, max=0.02)
        service = await started(Service({"a": a}, a={"retry": policy, "breaker": breaker}))
        for _ in range(100):
            with pytest.raises(NetworkError):
                await service.ask("a")
        assert a.calls - 100 <= 3 + 0.1 * 100

    run(test)


def test_complaint_17_the_breaker_counts_a_stream_at_its_end() -> None:
    """A breaker that took a stream that opened for a success, and so never opened."""

    async def test() -> None:
        a = Told(["half", NetworkError("cut")])
        fields = {"a": {"fallback": ("b",), "breaker": BreakerPolicy(failures=3)}}
        service = await started(Service({"a": a, "b": Told(["b!", END])}, **fields))
        for _ in range(3):
            with pytest.raises(StreamInterrupted):
                await service.ask("a")
        guard = service.inference.guard("a")
        assert guard is not None and guard.breaker.state == "open"
        assert await service.ask("a") == "b!" and a.calls == 3
        assert service.count("attempts", "a", "cut") == 3

    run(test)


@pytest.mark.parametrize(
    ("script", "policy", "calls"),
    [
        (["x", UpstreamTimeout("inter_chunk", 1)], BreakerPolicy(failures=4, stalled=2.0), 2),
        (["x", NetworkError("cut")], BreakerPolicy(failures=4, cut=1.0), 4),
        ([NetworkError("no")], BreakerPolicy(failures=4), 4),
        ([2.0, "late", END], BreakerPolicy(failures=4, slow=0.5, slow_after=1.0), 8),
    ],
)
def test_complaint_17_each_kind_of_end_has_its_weight(
    script: list[Step], policy: BreakerPolicy, calls: int
) -> None:
    async def test() -> None:
        service = await started(Service({"a": Told(script)}, a={"breaker": policy}))
        guard = service.inference.guard("a")
        assert guard is not None
        done = 0
        while guard.breaker.state == "closed":
            done += 1
            with suppress(InferenceError):
                await service.ask("a")
        assert done == calls

    run(test)


def test_inf_cb_2_faults_of_clients_and_429_never_open_a_breaker() -> None:
    async def test() -> None:
        a = Told([BadRequest("no")], [limited(0.001)], [RequestDeadline("late")], ["ok", END])
        service = await started(Service({"a": a}, a={"breaker": BreakerPolicy(failures=1)}))
        for _ in range(3):
            with pytest.raises(InferenceError):
                await service.ask("a")
            await asyncio.sleep(1)
        source = service.stream("a")
        await anext(source)
        await source.aclose()  # the client leaves
        guard = service.inference.guard("a")
        assert guard is not None and guard.breaker.state == "closed" and service.at_rest()

    run(test)


def test_inf_cb_1_half_open_lets_one_probe_through_and_closes_after_good_ones() -> None:
    async def test() -> None:
        a = Told([NetworkError("x")], [1.0, "ok", END])
        policy = BreakerPolicy(failures=1, open=10, probes=1, successes=1)
        fields = {"a": {"fallback": ("b",), "breaker": policy}}
        service = await started(Service({"a": a, "b": Told(["b!", END])}, **fields))
        assert await service.ask("a") == "b!"
        await asyncio.sleep(11.1)
        answers = await asyncio.gather(*(service.ask("a") for _ in range(100)))
        assert answers.count("ok") == 1 and answers.count("b!") == 99 and a.calls == 2
        assert await service.ask("a") == "ok"

    run(test)


def test_inf_cb_1_a_thousand_callers_of_a_half_open_breaker_are_one_call_upstream() -> None:
    async def test() -> None:
        a = Told([NetworkError("x")], [NetworkError("still ill")], [1.0, "ok", END])
        policy = BreakerPolicy(failures=1, open=10, probes=1, successes=1)
        service = await started(Service({"a": a}, a={"breaker": policy, "max_concurrent": 2000}))
        with pytest.raises(NetworkError):
            await service.ask("a")
        for calls, wait in ((2, 11.1), (3, 22.1)):  # a failed probe doubles the time
            await asyncio.sleep(wait)
            answers = await asyncio.gather(
                *(service.ask("a") for _ in range(1000)), return_exceptions=True
            )
            assert a.calls == calls, "CB-1: one probe"
            assert sum(isinstance(x, UpstreamOpen) for x in answers) == 999
        assert answers.count("ok") == 1, "well again within a second of its time"
        assert await service.ask("a") == "ok" and service.at_rest()

    run(test)


def test_complaint_16_an_operator_opens_and_closes_a_breaker() -> None:
    async def test() -> None:
        a = Told()
        service = await started(Service({"a": a}, a={"breaker": BreakerPolicy(probes=1)}))
        guard = service.inference.guard("a")
        assert guard is not None
        guard.breaker.force_open(60.0)
        for _ in range(3):
            with pytest.raises(UpstreamOpen) as caught:
                await service.ask("a")
            assert caught.value.retry_after == pytest.approx(60.0 - now())
            await asyncio.sleep(19)
        await asyncio.sleep(4)
        assert await service.ask("a") == "hi", "it opens again by itself"
        guard.breaker.force_open(600.0)
        guard.breaker.force_close()
        assert await service.ask("a") == "hi" and a.calls == 2

    run(test)


def test_all_breakers_open_is_said_at_once() -> None:
    async def test() -> None:
        fields = {"a": {"fallback": ("b",), "retry": RetryPolicy()}, "b": {"retry": RetryPolicy()}}
        service = await started(Service({"a": Told(), "b": Told()}, **fields))
        for name, seconds in (("a", 50.0), ("b", 20.0)):
            guard = service.inference.guard(name)
            assert guard is not None
            guard.breaker.force_open(seconds)
        with pytest.raises(UpstreamOpen) as caught:
            await service.ask("a")
        assert now() == 0 and caught.value.retry_after == pytest.approx(20.0)
        guard.breaker.force_close()
        assert await service.ask("a") == "hi"

    run(test)


def test_what_a_further_deployment_cannot_do_is_not_asked_of_it() -> None:
    async def test() -> None:
        plain = Told(can=Capabilities())
        runners = {"a": Told([ServerError("x")]), "b": plain, "c": Told(["c!", END])}
        service = await started(Service(runners, a={"fallback": ("b", "c")}))
        asked = request("a")
        asked = msgspec.structs.replace(asked, sampling=Sampling(seed=1))
        got = await service.inference.complete(asked)
        assert got[0].text == "c!" and plain.calls == 0

    run(test)


def test_vectors_fall_back_too() -> None:
    async def test() -> None:
        can = Capabilities(embeddings=True)
        a, b = Told(can=can), Told(can=can)
        service = await started(Service({"a": a, "b": b}, **CHAIN))
        guard = service.inference.guard("a")
        assert guard is not None
        guard.rest(5)
        asked = EmbedRequest(id="e", model="a", inputs=("x",))
        assert (await service.inference.embed(asked)).input_tokens == 4
        assert (a.calls, b.calls) == (0, 1) and service.at_rest()

    run(test)


def test_a_closing_service_refuses_and_leaves_nothing() -> None:
    async def test() -> None:
        service = await started(Service({"a": Told([5.0, "x", END]), "b": Told()}, **CHAIN))
        task = asyncio.create_task(service.ask("a"))
        await asyncio.sleep(1)
        closing = asyncio.create_task(service.inference.close(drain=30))
        await asyncio.sleep(0.1)
        with pytest.raises(ModelNotReady):
            await service.ask("a")
        assert await task == "x"
        await closing
        assert service.at_rest()

    run(test)


def test_requests_go_to_all_servers_of_a_deployment_and_back_to_the_one_that_knows_them() -> None:
    async def test() -> None:
        one, two = Told(["1", END]), Told(["2", END])
        fields: dict[str, Any] = {"base_url": "one", "replicas": ("two",)}
        service = await started(Service({"one": one, "two": two, "a": Told()}, a=fields))
        for n in range(40):
            await service.ask("a", f"{n:04}" * 100)
        assert one.calls and two.calls
        home = await service.ask("a", "known " * 100)
        assert {await service.ask("a", "known " * 100) for _ in range(10)} == {home}

    run(test)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"fallback": ("b",)}, "fallback 'b' is no other deployment; there are: none"),
        ({"fallback": ("a",)}, "each once"),
        ({"fallback": ("b", "b")}, "each once"),
        ({"replicas": ("http://x/v1",)}, "beside base_url"),
    ],
)
def test_a_chain_that_cannot_be_is_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Inference([Deployment(name="a", **fields)], runner_factory=lambda d: Told())


def test_inf_dl_1_all_attempts_and_waits_share_one_deadline() -> None:
    async def test() -> None:
        slow: list[Step] = [6.0, NetworkError("late")]
        fields: dict[str, Any] = {"timeouts": Timeouts(total=10), "fallback": ("b",)}
        a, b = Told(slow), Told(["b", 60.0, END])
        service = await started(Service({"a": a, "b": b}, a=fields))
        with pytest.raises(StreamInterrupted) as caught:
            await service.ask("a")
        assert isinstance(caught.value.cause, RequestDeadline)
        assert now() == pytest.approx(10, abs=0.1), "DL-1"
        with pytest.raises(RequestDeadline):
            await service.ask("b", deadline=now())
        assert service.at_rest()

    run(test)


def test_a_503_with_a_retry_after_is_retried_then_and_others_are_told() -> None:
    async def test() -> None:
        error = ServerError("loading", 503)
        error.retry_after = 8.0
        a = Told([error], ["ok", END])
        service = await started(Service({"a": a}, a={"retry": RetryPolicy(base=0.1)}))
        first = asyncio.create_task(service.ask("a"))
        await asyncio.sleep(1)
        with pytest.raises(UpstreamOpen) as caught:
            await service.ask("a")
        assert caught.value.retry_after == pytest.approx(7.0)
        assert await first == "ok" and now() == pytest.approx(8.0) and a.calls == 2

    run(test)
