"""Fields that a wire has no place for: refused by name, before anything is sent (RQ-7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from actinium.errors import Unsupported
from actinium.inference.request import Request

_GIVEN: Final[dict[str, tuple[Callable[[Request], Any], str]]] = {
    "n": (lambda r: r.n != 1, "generates one choice"),
    "stop": (lambda r: r.sampling.stop, "has no stop sequences"),
    "seed": (lambda r: r.sampling.seed is not None, "takes no seed"),
    "top_k": (lambda r: r.sampling.top_k is not None, "has no top_k"),
    "presence_penalty": (lambda r: r.sampling.presence_penalty, "has no presence_penalty"),
    "frequency_penalty": (lambda r: r.sampling.frequency_penalty, "has no frequency_penalty"),
    "repetition_penalty": (
        lambda r: r.sampling.repetition_penalty != 1.0,
        "has no repetition_penalty",
    ),
    "logit_bias": (lambda r: r.sampling.logit_bias, "has no logit_bias"),
    "logprobs": (lambda r: r.sampling.logprobs is not None, "gives no logprobs"),
}


def refuse(request: Request, server: str, fields: Iterable[str], *, instead: str = "") -> None:
    """Raises Unsupported for the first of ``fields`` that a request has."""
    for field in fields:
        given, what = _GIVEN[field]
        if given(request):
            raise Unsupported(f"{server} {what}; leave {field!r} out{instead}", field)
