"""A request checked and resolved: every default filled in, every limit kept.

Defaults where a request is silent: temperature 0.3 (a small model is at its best near greedy),
no top-p or top-k cut, a random seed, and output up to the end of the context.
"""

from __future__ import annotations

import math
import secrets
from typing import Any

import msgspec

from actinium.errors import BadRequest, Unsupported

from ...request import Request, Sampling

DEFAULT_TEMPERATURE = 0.3
MAX_LOGPROBS = 20


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How the tokens of one request are chosen.

    ``temperature`` 0 is greedy; ``top_k`` None and ``top_p`` 1.0 cut nothing; ``bias`` is added
    to logits by token id; ``logprobs`` None is off; ``max_tokens`` None is up to the context.
    """

    temperature: float
    top_p: float
    top_k: int | None
    max_tokens: int | None
    stop: tuple[str, ...]
    presence_penalty: float
    frequency_penalty: float
    repetition_penalty: float
    seed: int
    bias: dict[int, float]
    logprobs: int | None


def plan(sampling: Sampling, vocab_size: int) -> Plan:
    """Raises BadRequest naming the field that is out of its range."""
    _number("temperature", sampling.temperature, 0.0, 10.0)
    _number("top_p", sampling.top_p, 0.0, 1.0, above=True)
    _number("top_k", sampling.top_k, 1, None)
    _number("max_tokens", sampling.max_tokens, 1, None)
    _number("presence_penalty", sampling.presence_penalty, -2.0, 2.0)
    _number("frequency_penalty", sampling.frequency_penalty, -2.0, 2.0)
    _number("repetition_penalty", sampling.repetition_penalty, 0.0, 10.0, above=True)
    _number("logprobs", sampling.logprobs, 0, MAX_LOGPROBS)
    for at, string in enumerate(sampling.stop):
        if not string:
            raise BadRequest(f"expected text, got an empty string - at `$.stop[{at}]`", "stop")
    temperature = sampling.temperature
    seed = secrets.randbits(64) if sampling.seed is None else sampling.seed
    return Plan(
        temperature=DEFAULT_TEMPERATURE if temperature is None else temperature,
        top_p=1.0 if sampling.top_p is None else sampling.top_p,
        top_k=sampling.top_k,
        max_tokens=sampling.max_tokens,
        stop=sampling.stop,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        repetition_penalty=sampling.repetition_penalty,
        # The generator takes no negative seed; any 64-bit pattern is as good as another.
        seed=seed & 0xFFFF_FFFF_FFFF_FFFF,
        bias=_bias(sampling.logit_bias or {}, vocab_size),
        logprobs=sampling.logprobs,
    )


def check(request: Request, slots: int) -> None:
    """Refuses what this runner does not do. Raises BadRequest or Unsupported."""
    if bool(request.messages) == (request.prompt is not None):
        got = "both" if request.messages else "neither"
        raise BadRequest(f"expected either `messages` or `prompt`, got {got}", "messages")
    if not 1 <= request.n <= slots:
        raise BadRequest(f"expected `n` within 1..{slots}, got {request.n}", "n")
    kind = (request.response_format or {}).get("type", "text")
    if kind != "text":
        raise Unsupported(
            f"`response_format` of type {kind!r} is not enforced by this runner; leave the "
            'field out or send {"type": "text"}',
            "response_format",
        )
    if request.prompt is not None and request.tools:
        raise Unsupported("`tools` need `messages`; a plain prompt has none", "tools")


def _number(
    field: str, value: float | None, low: float, high: float | None, *, above: bool = False
) -> None:
    if value is None:
        return
    short = value <= low if above else value < low
    if short or not math.isfinite(value) or (high is not None and value > high):
        least = f"above {low:g}" if above else f"at least {low:g}"
        most = "" if high is None else f" and at most {high:g}"
        raise BadRequest(f"expected `{field}` {least}{most}, got {value!r}", field)


def _bias(given: dict[str, Any], vocab_size: int) -> dict[int, float]:
    bias: dict[int, float] = {}
    for key, value in given.items():
        if not (key.isascii() and key.isdigit() and int(key) < vocab_size):
            raise BadRequest(
                f"expected token ids within 0..{vocab_size - 1} as keys of `logit_bias`, "
                f"got {key!r}",
                "logit_bias",
            )
        _number("logit_bias", value, -100.0, 100.0)
        bias[int(key)] = value
    return bias
