"""Requests -> bodies of the wire, without I/O."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from actinium.inference.request import EmbedRequest, Message, Part, Request

from .options import Options


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool


class Prefix(Message, frozen=True, kw_only=True, omit_defaults=True):
    """An assistant's message that its answer goes on from, as DeepSeek and Mistral want it."""

    prefix: bool = False


class Call(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Body of /chat/completions and /completions: only what is set is sent."""

    model: str
    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: tuple[str, ...] = ()
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | int | None = None
    top_logprobs: int | None = None
    n: int = 1
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    user: str | None = None


class EmbedCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Body of /embeddings."""

    model: str
    input: tuple[str, ...]
    encoding_format: str = ""
    dimensions: int | None = None


_USAGE = StreamOptions(include_usage=True)
_encode = msgspec.json.Encoder().encode


def encode_call(request: Request, model: str, options: Options, *, openai: bool) -> bytes:
    """The body for a request; ``openai`` says that the server is OpenAI's own.

    Fields of ``request.extra`` are added as they are, except those that this body has itself.
    """
    sampling = request.sampling
    chat = request.prompt is None
    field = options.token_field or ("max_completion_tokens" if openai and chat else "max_tokens")
    complete = field == "max_completion_tokens"
    alternatives = sampling.logprobs
    penalty = sampling.repetition_penalty
    messages = _plain(request.messages, options, openai=openai)
    extra = request.extra
    if request.prefill and options.prefill == "continue_final_message":
        extra = {**extra, "continue_final_message": True, "add_generation_prompt": False}
    elif request.prefill and options.prefill == "prefix":
        messages = (*messages[:-1], Prefix(**msgspec.structs.asdict(messages[-1]), prefix=True))
    call = Call(
        model=model,
        messages=messages,
        prompt=request.prompt,
        stream=request.stream,
        stream_options=_USAGE if request.stream and options.include_usage else None,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        max_tokens=None if complete else sampling.max_tokens,
        max_completion_tokens=sampling.max_tokens if complete else None,
        stop=sampling.stop,
        presence_penalty=sampling.presence_penalty or None,
        frequency_penalty=sampling.frequency_penalty or None,
        repetition_penalty=None if penalty == 1.0 else penalty,
        seed=sampling.seed,
        logit_bias=sampling.logit_bias,
        # Chat takes a switch and a number; /completions takes the number alone.
        logprobs=alternatives if not chat else (True if alternatives is not None else None),
        top_logprobs=alternatives if chat else None,
        n=request.n,
        tools=_plain_tools(request.tools, options, openai=openai),
        tool_choice=request.tool_choice,
        parallel_tool_calls=request.parallel_tool_calls,
        response_format=request.response_format,
        user=request.user,
    )
    body = _encode(call)
    if extra:
        more = {k: v for k, v in extra.items() if k not in Call.__struct_fields__}
        if more:
            body = body[:-1] + b"," + _encode(more)[1:]
    return body


def _plain(messages: tuple[Message, ...], options: Options, *, openai: bool) -> tuple[Message, ...]:
    """The messages without what this server has no place for.

    OpenAI's own refuses what another provider left in their calls; thinking and cache marks
    stay where ``options.marks`` says that the server knows them; ``developer`` is ``system``
    where it is not known.
    """
    unmark = openai or not options.marks
    system = not (openai if options.developer is None else options.developer)
    for message in messages:
        if (
            type(message.content) is str
            and message.tool_calls is None
            and message.thinking_blocks is None
            and message.role != "developer"
        ):
            continue  # nearly every message
        if (
            (system and message.role == "developer")
            or (openai and message.tool_calls is not None)
            or (unmark and message.thinking_blocks is not None)
            or (unmark and type(message.content) is tuple and any(map(_marked, message.content)))
        ):
            return tuple(_stripped(m, openai, unmark, system) for m in messages)
    return messages


def _marked(part: Part) -> bool:
    return getattr(part, "cache_control", None) is not None


def _stripped(message: Message, openai: bool, unmark: bool, system: bool) -> Message:
    replace = msgspec.structs.replace
    calls, content, thinking = message.tool_calls, message.content, message.thinking_blocks
    if openai and calls is not None:
        calls = tuple(replace(call, extra_content=UNSET) for call in calls)
    if unmark:
        thinking = None
        if isinstance(content, tuple):
            content = tuple(replace(p, cache_control=None) if _marked(p) else p for p in content)
    role = "system" if system and message.role == "developer" else message.role
    return replace(message, role=role, tool_calls=calls, content=content, thinking_blocks=thinking)


def _plain_tools(
    tools: tuple[dict[str, Any], ...], options: Options, *, openai: bool
) -> tuple[dict[str, Any], ...]:
    """The tools without cache marks, as in the messages."""
    if not tools or (options.marks and not openai):
        return tools
    if all("cache_control" not in tool for tool in tools):
        return tools
    return tuple({k: v for k, v in tool.items() if k != "cache_control"} for tool in tools)


def encode_embed(request: EmbedRequest, model: str) -> bytes:
    return _encode(
        EmbedCall(
            model=model,
            input=request.inputs,
            encoding_format="float",
            dimensions=request.dimensions,
        )
    )
