"""A request is resolved whole, or refused with the field that is wrong."""

from __future__ import annotations

import math

import pytest
from onnx_support import ask

from actinium.errors import BadRequest, Unsupported
from actinium.inference.request import Message, Request, Sampling
from actinium.inference.runners.onnx.plan import DEFAULT_TEMPERATURE, check, plan


def test_defaults() -> None:
    resolved = plan(Sampling(), 100)
    assert resolved.temperature == DEFAULT_TEMPERATURE
    assert (resolved.top_p, resolved.top_k, resolved.max_tokens) == (1.0, None, None)
    assert plan(Sampling(), 100).seed != resolved.seed


def test_any_seed_is_taken() -> None:
    assert plan(Sampling(seed=7), 100).seed == 7
    assert plan(Sampling(seed=-1), 100).seed == 2**64 - 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("top_k", 0),
        ("max_tokens", 0),
        ("presence_penalty", 2.5),
        ("frequency_penalty", -2.5),
        ("repetition_penalty", 0.0),
        ("repetition_penalty", math.inf),
        ("logprobs", 21),
        ("logit_bias", {"100": 1.0}),
        ("logit_bias", {"five": 1.0}),
        ("logit_bias", {"5": 101.0}),
        ("stop", ("a", "")),
    ],
)
def test_a_value_out_of_range_names_its_field(field: str, value: object) -> None:
    with pytest.raises(BadRequest) as caught:
        plan(Sampling(**{field: value}), 100)
    assert caught.value.param == field
    assert str(caught.value).startswith("expected ")


def test_the_bias_is_keyed_by_token() -> None:
    assert plan(Sampling(logit_bias={"7": -100.0}), 100).bias == {7: -100.0}


@pytest.mark.parametrize(
    ("changes", "kind", "param"),
    [
        ({"prompt": "x"}, BadRequest, "messages"),
        ({"messages": ()}, BadRequest, "messages"),
        ({"n": 0}, BadRequest, "n"),
        ({"n": 5}, BadRequest, "n"),
        ({"response_format": {"type": "json_schema"}}, Unsupported, "response_format"),
        ({"messages": (), "prompt": "x", "tools": ({},)}, Unsupported, "tools"),
    ],
)
def test_what_the_runner_does_not_do_is_refused(
    changes: dict[str, object], kind: type[BadRequest], param: str
) -> None:
    base: dict[str, object] = {"messages": (Message(role="user", content="hi"),)}
    with pytest.raises(kind) as caught:
        check(Request(id="r", model="m", **(base | changes)), 4)  # type: ignore[arg-type]
    assert caught.value.param == param


def test_a_text_format_is_fine() -> None:
    check(ask("hi"), 4)
    check(Request(id="r", model="m", prompt="x", response_format={"type": "text"}), 4)
