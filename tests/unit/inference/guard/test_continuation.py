"""Another deployment goes on with a stream that broke off, and nothing comes twice."""

from __future__ import annotations

from typing import Any

import pytest
from guard_support import END, Service, Step, Told, request, run, started
from hypothesis import given
from hypothesis import strategies as st

from actinium.errors import (
    BadRequest,
    ConfigError,
    NetworkError,
    ProtocolError,
    ServerError,
    StreamInterrupted,
    Unsupported,
    UpstreamTimeout,
)
from actinium.inference import (
    Burst,
    Capabilities,
    Chunk,
    Deployment,
    Message,
    Native,
    Price,
    Seam,
    ToolDelta,
    Usage,
)
from actinium.inference.guard.continuation import Spoken

CAN = Capabilities(tools=True, prefill=True)
CUT = NetworkError("reset")


def chain(*runners: Told, **fields: Any) -> Service:
    names = "abcd"[: len(runners)]
    first = {"continuation": True, "fallback": tuple(names[1:]), **fields}
    return Service(dict(zip(names, runners, strict=True)), a=first)


async def chunks_of(service: Service, **fields: Any) -> Burst:
    found: Burst = []
    async for burst in service.inference.generate(request("a", **fields)):
        found += burst
    return found


@pytest.mark.parametrize(
    "error", [CUT, ProtocolError("bad event"), UpstreamTimeout("inter_chunk", 1), ServerError("x")]
)
def test_complaint_1_a_stream_that_breaks_off_is_gone_on_with(error: Exception) -> None:
    """A stream that breaks after some tokens never tried the configured fallback."""

    async def test() -> None:
        a, b = Told(["one", " two", error]), Told([" three", END], can=CAN)
        service = await started(chain(a, b))
        found = await chunks_of(service)
        assert "".join(c.text for c in found) == "one two three"
        assert [c.finish for c in found if c.finish] == ["stop"]
        (seam,) = [c.detail.seam for c in found if c.detail is not None]
        code = error.wire_code  # type: ignore[attr-defined]
        assert seam == Seam(source="a", target="b", after=7, reason=code)
        asked = b.asked[0]
        assert asked.prefill and asked.messages[-1] == Message(role="assistant", content="one two")
        assert service.count("continued", "a", "b") == 1 and service.at_rest()

    run(test)


def test_without_the_setting_nothing_goes_on() -> None:
    async def test() -> None:
        b = Told(can=CAN)
        service = await started(chain(Told(["one", CUT]), b, continuation=False))
        with pytest.raises(StreamInterrupted):
            await service.ask("a")
        assert not b.calls

    run(test)


def test_who_cannot_be_told_the_beginning_is_not_asked() -> None:
    async def test() -> None:
        b, c = Told(), Told([" two", END], can=CAN)
        service = await started(chain(Told(["one", CUT]), b, c))
        assert await service.ask("a") == "one two" and not b.calls
        service = await started(chain(Told(["one", CUT]), b, Told([ServerError("x")], can=CAN)))
        with pytest.raises(StreamInterrupted, match="reset") as caught:
            await service.ask("a")
        assert caught.value.chunks_sent == 1 and isinstance(caught.value.__cause__, Unsupported)
        assert not b.calls and service.at_rest()
        with pytest.raises(ConfigError, match="nobody who would go on"):
            chain(Told(["one", CUT]), b)

    run(test)


def test_each_further_break_is_gone_on_with_until_nobody_is_left() -> None:
    async def test() -> None:
        runners = [Told([" w1"[n:] if n else "w1", CUT], can=CAN) for n in range(2)]
        service = await started(chain(Told(["x", CUT]), *runners, Told([" end", END], can=CAN)))
        found = await chunks_of(service)
        assert "".join(c.text for c in found) == "xw1w1 end"
        assert [c.detail.seam.target for c in found if c.detail and c.detail.seam] == list("bcd")
        service = await started(chain(Told(["x", CUT]), Told(["y", CUT], can=CAN)))
        with pytest.raises(StreamInterrupted) as caught:
            await service.ask("a")
        assert caught.value.chunks_sent == 3, "two of text and the seam"
        assert service.at_rest()

    run(test)


def test_a_refusal_of_who_should_go_on_is_told_as_the_break() -> None:
    async def test() -> None:
        b = Told([BadRequest("no prefill with thinking")], can=CAN)
        service = await started(chain(Told(["one", CUT]), b))
        with pytest.raises(StreamInterrupted, match="reset"):
            await service.ask("a")
        assert b.calls == 1 and service.at_rest()

    run(test)


@pytest.mark.parametrize(
    "piece",
    [
        Chunk(tool=ToolDelta(0, "call_1", "f", "{")),
        Chunk(refusal="I can't"),
        Chunk(text="x", finish="stop"),
    ],
)
def test_what_is_no_plain_text_is_not_gone_on_with(piece: Chunk) -> None:
    async def test() -> None:
        b = Told(can=CAN)
        service = await started(chain(Told(["one", [piece], CUT]), b))
        with pytest.raises(StreamInterrupted):
            await service.ask("a")
        assert not b.calls

    run(test)


def test_a_format_and_several_choices_are_not_gone_on_with() -> None:
    can = Capabilities(tools=True, prefill=True, json_schema=True, n=2)

    async def test() -> None:
        for fields in ({"response_format": {"type": "json_object"}}, {"n": 2}):
            b = Told(can=can)
            service = await started(chain(Told(["one", CUT], can=can), b))
            with pytest.raises(StreamInterrupted):
                await service.ask("a", **fields)
            assert not b.calls

    run(test)


def test_reasoning_does_not_come_twice() -> None:
    async def test() -> None:
        a = Told([[Chunk(reasoning="hm")], "one", CUT])
        b = Told([[Chunk(reasoning="hm again")], " two", END], can=CAN)
        found = await chunks_of(await started(chain(a, b)))
        assert "".join(c.reasoning for c in found) == "hm"
        assert "".join(c.text for c in found) == "one two"
        a = Told([[Chunk(reasoning="hm")], CUT])  # broken off before its text: made from the start
        b = Told([[Chunk(reasoning="other")], "one", END], can=CAN)
        found = await chunks_of(await started(chain(a, b)))
        assert "".join(c.reasoning for c in found) == "hm"
        assert "".join(c.text for c in found) == "one" and not b.asked[0].prefill

    run(test)


def test_usage_and_cost_are_those_of_all_who_spoke() -> None:
    async def test() -> None:
        a = Told(["one", " two", [Chunk(usage=Usage(input=10, output=2))], CUT])
        b = Told([" three", [Chunk(finish="stop", usage=Usage(input=12, output=3))]], can=CAN)
        service = chain(a, b, price=Price(input=1.0, output=2.0))
        service = await started(service)
        found = await chunks_of(service, max_tokens=20)
        assert found[-1].usage == Usage(input=22, output=5)
        assert b.asked[0].sampling.max_tokens == 18, "what the first one left"
        assert service.count("cost_usd", "a") == pytest.approx(14_000e-9)
        assert service.count("attempts", "a", "cut") == 1
        assert service.count("attempts", "b", "ok") == 1

    run(test)


def test_another_server_of_the_same_deployment_goes_on() -> None:
    async def test() -> None:
        scripts: list[list[Step]] = [["one", CUT], [" two", END]]
        told = Told(*scripts, can=CAN)
        fields = {"base_url": "http://one", "replicas": ("http://two",), "fallback": ()}
        service = await started(chain(told, **fields))
        assert await service.ask("a") == "one two" and told.calls == 2
        told.scripts.clear()
        told.scripts.append(["x", CUT])
        with pytest.raises(StreamInterrupted):
            await service.ask("a")
        assert told.calls == 4, "each server once"

    run(test)


def test_a_continuation_needs_somebody() -> None:
    with pytest.raises(ConfigError, match="somebody who goes on"):
        Deployment(name="a", continuation=True)


@given(
    st.lists(st.text(alphabet="ab \n", min_size=1, max_size=4), min_size=1, max_size=8),
    st.lists(st.integers(0, 30), max_size=3),
)
def test_inf_rq_3_the_pieces_of_all_are_the_text_of_one(words: list[str], cuts: list[int]) -> None:
    """Whoever goes on says exactly what follows the beginning it was given."""
    whole = "".join(words)
    spoken = Spoken(request("a"))
    got, asked, begun = "", request("a"), ""
    for cut in [*cuts, None]:
        rest = whole[len(begun) :]
        pieces = [rest[i : i + 2] for i in range(0, len(rest), 2)]
        for piece in pieces[:cut]:
            got += "".join(c.text for c in spoken.take([Chunk(text=piece)], "b"))
        assert whole.startswith(got), "RQ-3: nothing comes twice, nothing is left out"
        if cut is not None:
            asked = spoken.rest(CUT, "a", Usage())
            begun = str(asked.messages[-1].content) if asked.prefill else ""
            assert begun == got.rstrip()
    assert got == whole


def test_a_beginning_of_the_clients_own_is_kept() -> None:
    mine = (Message(role="user", content="q"), Message(role="assistant", content="I"))
    body = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "I"}],
            "max_tokens": 9}  # fmt: skip
    asked = request("a", max_tokens=9)
    spoken = Spoken(
        type(asked)(id="r", model="a", messages=mine, native=Native(wire="anthropic", body=body))
    )
    spoken.take([Chunk(text=" am")], "a")
    rest = spoken.rest(CUT, "a", Usage())
    assert [m.content for m in rest.messages] == ["q", "I am"]
    assert rest.native is not None
    assert rest.native.body["messages"][-1] == {"role": "assistant", "content": "I am"}
    plain = type(asked)(id="r", model="a", prompt="Once")
    spoken = Spoken(plain)
    spoken.take([Chunk(text=" upon ")], "a")
    assert spoken.rest(CUT, "a", Usage()).prompt == "Once upon "
