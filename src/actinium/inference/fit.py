"""Whether a deployment can do what a request asks for."""

from __future__ import annotations

from actinium.errors import Unsupported

from .answering import Answering
from .request import EmbedRequest, Request


def check(request: Request, target: Answering) -> None:
    """Refuses what the runner cannot do before anything is spent. Raises Unsupported."""
    if request.n == 1 and not request.prefill and target.versatile:
        return
    can = target.capabilities
    name = target.deployment.name
    sampling = request.sampling
    lacks: tuple[str, str] | None = None
    if request.prompt is None and not can.chat:
        lacks = "messages", "answers no chats"
    elif request.prompt is not None and not can.completion:
        lacks = "prompt", "does no plain completions; use /v1/chat/completions"
    elif request.n > can.n:
        lacks = "n", f"generates at most {can.n} choices, n is {request.n}"
    elif request.prefill and not can.prefill:
        lacks = "messages", "cannot go on with an answer that was begun"
    elif request.tools and not can.tools:
        lacks = "tools", "calls no tools"
    elif sampling.logprobs is not None and not can.logprobs:
        lacks = "logprobs", "gives no logprobs"
    elif sampling.seed is not None and not can.seed:
        lacks = "seed", "takes no seed"
    elif request.response_format is not None and not can.json_schema:
        kind = request.response_format.get("type")
        if kind != "text":
            lacks = "response_format", f"cannot hold an answer to the format {kind!r}"
    if lacks is not None:
        raise Unsupported(f"deployment {name!r} {lacks[1]}", lacks[0])


def check_embed(request: EmbedRequest, target: Answering) -> None:
    """The same for vectors. Raises Unsupported."""
    if not target.capabilities.embeddings:
        raise Unsupported(
            f"model {request.model!r} makes no embeddings; send this to a deployment of an "
            "embedding model",
            "model",
        )
