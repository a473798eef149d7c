"""Requests -> bodies of the wire, without I/O (RQ-7: what cannot be said is refused by name).

Source: https://ai.google.dev/api/generate-content (GenerationConfig, SafetySetting, ToolConfig),
https://ai.google.dev/gemini-api/docs/openai (``reasoning_effort`` and ``extra_body.google``).
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from actinium.errors import BadRequest, Unsupported
from actinium.inference.request import EmbedRequest, Request, Sampling

from .contents import contents_of
from .options import Options
from .tools import tool_config, tools_of

EXTRAS: Final = frozenset(("reasoning_effort", "google", "extra_body"))
"""Fields of ``Request.extra`` that this wire has a meaning for."""

_GENERATION: Final = re.compile(r"(?:.*/)?gemini-(\d+)", re.IGNORECASE)
_BUDGETS: Final = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
_LEVELS: Final = ("minimal", "low", "medium", "high")
_MAX_STOPS: Final = 5
_INT32: Final = 2**31


class Thinking(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """``google.thinking_config`` of a request."""

    thinking_level: str | None = None
    thinking_budget: int | None = None
    include_thoughts: bool | None = None


class Safety(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One of ``google.safety_settings``: passed on as it is."""

    category: str
    threshold: str
    method: str | None = None


class Google(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client may say to Gemini alone, in the ``google`` object of its body."""

    thinking_config: Thinking | None = None
    cached_content: str | None = None
    safety_settings: tuple[Safety, ...] = ()


class _ExtraBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    google: Google = Google()


class ThinkingConfig(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    thinking_level: str | None = None
    thinking_budget: int | None = None
    include_thoughts: bool | None = None


class Config(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """``generationConfig``: only what is set is sent."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    candidate_count: int | None = None
    max_output_tokens: int | None = None
    stop_sequences: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_mime_type: str | None = None
    response_json_schema: dict[str, Any] | None = None
    response_logprobs: bool | None = None
    logprobs: int | None = None
    thinking_config: ThinkingConfig | None = None
    media_resolution: str | None = None


class Call(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Body of generateContent and streamGenerateContent."""

    contents: list[dict[str, Any]]
    system_instruction: dict[str, Any] | None = None
    tools: tuple[dict[str, Any], ...] = ()
    tool_config: dict[str, Any] | None = None
    safety_settings: tuple[Safety, ...] = ()
    generation_config: Config = Config()
    cached_content: str | None = None
    labels: dict[str, str] | None = None


_encode = msgspec.json.Encoder().encode


def encode_call(request: Request, model: str, options: Options, *, vertex: bool) -> bytes:
    """The body for a request. Raises BadRequest and Unsupported, each with the field's name."""
    if request.prompt is not None:
        raise Unsupported("Gemini has no plain completions; send messages", "prompt")
    if request.parallel_tool_calls is False:
        raise Unsupported(
            "Gemini cannot be kept from several calls at once; leave it out", "parallel_tool_calls"
        )
    google = _google(request.extra)
    found = _GENERATION.match(model)
    third = found is not None and int(found.group(1)[:6]) >= 3
    spoken = contents_of(request.messages, vertex=vertex, signed=third)
    levels = third if options.thinking is None else options.thinking == "level"
    effort = request.extra.get("reasoning_effort")
    thinking = _thinking(effort, google.thinking_config, levels, options)
    return _encode(
        Call(
            contents=spoken.contents,
            system_instruction=spoken.system,
            tools=tools_of(request.tools),
            tool_config=tool_config(request.tools, request.tool_choice),
            safety_settings=_safety(options, google),
            generation_config=_config(request, thinking, spoken.detail),
            cached_content=google.cached_content,
            labels=options.labels or None,
        )
    )


def encode_embed(request: EmbedRequest, model: str) -> bytes:
    """Body of batchEmbedContents; ``model`` is the path of the model (``models/...``)."""
    calls = []
    for text in request.inputs:
        call: dict[str, Any] = {"model": model, "content": {"parts": [{"text": text}]}}
        if request.dimensions is not None:
            call["outputDimensionality"] = request.dimensions
        calls.append(call)
    return _encode({"requests": calls})


def encode_predict(inputs: tuple[str, ...], dimensions: int | None) -> bytes:
    """Body of Vertex's predict for texts."""
    parameters = {} if dimensions is None else {"outputDimensionality": dimensions}
    return _encode({"instances": [{"content": text} for text in inputs], "parameters": parameters})


def _config(request: Request, thinking: ThinkingConfig | None, detail: str | None) -> Config:
    sampling = request.sampling
    _refuse(sampling)
    mime, schema = _format(request.response_format)
    return Config(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        candidate_count=request.n if request.n > 1 else None,
        max_output_tokens=sampling.max_tokens,
        stop_sequences=sampling.stop,
        seed=sampling.seed,
        presence_penalty=sampling.presence_penalty or None,
        frequency_penalty=sampling.frequency_penalty or None,
        response_mime_type=mime,
        response_json_schema=schema,
        response_logprobs=True if sampling.logprobs is not None else None,
        logprobs=sampling.logprobs or None,
        thinking_config=thinking,
        media_resolution=f"MEDIA_RESOLUTION_{detail.upper()}" if detail is not None else None,
    )


def _refuse(sampling: Sampling) -> None:
    """What Gemini's sampling does not have."""
    if sampling.logit_bias:
        raise Unsupported("Gemini takes no logit_bias; leave it out", "logit_bias")
    if sampling.repetition_penalty != 1.0:
        raise Unsupported(
            "Gemini takes no repetition_penalty; use frequency_penalty or presence_penalty",
            "repetition_penalty",
        )
    if len(sampling.stop) > _MAX_STOPS:
        raise Unsupported(
            f"Gemini takes at most {_MAX_STOPS} stop sequences, got {len(sampling.stop)}", "stop"
        )
    if sampling.seed is not None and not -_INT32 <= sampling.seed < _INT32:
        raise Unsupported(f"Gemini takes seeds of 32 bits, got {sampling.seed}", "seed")


def _format(wish: dict[str, Any] | None) -> tuple[str | None, dict[str, Any] | None]:
    """The media type and the schema of a ``response_format``."""
    kind = wish.get("type") if wish is not None else "text"
    if wish is None or kind == "text":
        return None, None
    if kind == "json_object":
        return "application/json", None
    if kind != "json_schema":
        raise Unsupported(
            f"expected 'text', 'json_object' or 'json_schema', got {kind!r}", "response_format.type"
        )
    given = wish.get("json_schema")
    schema = given.get("schema") if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(schema, dict):
        raise BadRequest(
            "expected a JSON schema as an object", "response_format.json_schema.schema"
        )
    said = given.get("description")
    if isinstance(said, str) and "description" not in schema:
        schema = {**schema, "description": said}
    return "application/json", schema


def _google(extra: dict[str, Any]) -> Google:
    """The ``google`` object of a body, alone or within ``extra_body`` as Google's own takes it."""
    try:
        if "extra_body" in extra:
            if "google" in extra:
                raise BadRequest("expected google or extra_body.google, got both", "google")
            return msgspec.convert(extra["extra_body"], _ExtraBody).google
        return msgspec.convert(extra.get("google") or {}, Google)
    except msgspec.ValidationError as error:
        where = "extra_body" if "extra_body" in extra else "google"
        raise BadRequest(f"{where}: {error}", where) from None


def _safety(options: Options, google: Google) -> tuple[Safety, ...]:
    """The deployment's settings, each replaced by the request's of the same category."""
    own = {setting.category for setting in google.safety_settings}
    given = (Safety(name, limit) for name, limit in options.safety.items() if name not in own)
    return (*given, *google.safety_settings)


def _thinking(
    effort: Any, config: Thinking | None, levels: bool, options: Options
) -> ThinkingConfig | None:
    """How much the model thinks: the request's own words, or its effort translated."""
    level: str | None = None
    budget: int | None = None
    thoughts: bool | None = options.include_thoughts or None
    if config is not None:
        level, budget = config.thinking_level, config.thinking_budget
        if config.include_thoughts is not None:
            thoughts = config.include_thoughts
    if effort is not None:
        if level is not None or budget is not None:
            raise BadRequest(
                "expected reasoning_effort or google.thinking_config, got both", "reasoning_effort"
            )
        known = _LEVELS if levels else tuple(_BUDGETS)
        if effort not in known:
            raise Unsupported(
                f"this model takes one of {', '.join(known)}, got {effort!r}", "reasoning_effort"
            )
        level, budget = (effort.upper(), None) if levels else (None, _BUDGETS[effort])
    if level is None and budget is None and thoughts is None:
        return None
    return ThinkingConfig(level, budget, thoughts)
