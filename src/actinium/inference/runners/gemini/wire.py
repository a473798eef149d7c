"""What Gemini answers, as far as it is read. Fields that are not here are skipped.

Source: https://ai.google.dev/api/generate-content (GenerateContentResponse) and
https://ai.google.dev/api/embeddings; Vertex answers embeddings by
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api.
"""

from __future__ import annotations

from typing import Any

import msgspec

_NONE = msgspec.Raw()
_EMPTY = msgspec.Raw(b"{}")


class WireCall(msgspec.Struct, frozen=True):
    """A whole call; ``args`` keeps its text, so that no number of it changes."""

    name: str = ""
    id: str | None = None
    args: msgspec.Raw = _EMPTY


class WirePart(msgspec.Struct, frozen=True, rename="camel"):
    """One piece of the content: exactly one kind is set; bytes and code are not looked into."""

    text: str | None = None
    thought: bool = False
    thought_signature: str | None = None
    function_call: WireCall | None = None
    inline_data: msgspec.Raw = _NONE
    file_data: msgspec.Raw = _NONE
    executable_code: msgspec.Raw = _NONE
    code_execution_result: msgspec.Raw = _NONE


class WireContent(msgspec.Struct, frozen=True):
    parts: tuple[WirePart, ...] | None = None


class WireToken(msgspec.Struct, frozen=True, rename="camel"):
    token: str = ""
    log_probability: float = 0.0


class WireTop(msgspec.Struct, frozen=True):
    candidates: tuple[WireToken, ...] | None = None


class WireLogprobs(msgspec.Struct, frozen=True, rename="camel"):
    """One chosen token per step, with the best ones of that step at the same place."""

    chosen_candidates: tuple[WireToken, ...] | None = None
    top_candidates: tuple[WireTop, ...] | None = None


class WireCandidate(msgspec.Struct, frozen=True, rename="camel"):
    """One choice; the last event of each has ``finishReason``."""

    index: int = 0
    content: WireContent | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    logprobs_result: WireLogprobs | None = None


class WireUsage(msgspec.Struct, frozen=True, rename="camel"):
    """Tokens so far. Candidates and thoughts are counted apart from each other."""

    prompt_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None


class WireFeedback(msgspec.Struct, frozen=True, rename="camel"):
    block_reason: str | None = None
    block_reason_message: str | None = None


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """A whole answer or one event of a stream; ``error`` may stand in either.

    Every event has the usage so far: only the last one is looked into.
    """

    candidates: tuple[WireCandidate, ...] | None = None
    prompt_feedback: WireFeedback | None = None
    usage_metadata: msgspec.Raw = _NONE
    error: Any = None


class WireVector(msgspec.Struct, frozen=True):
    values: tuple[float, ...]


class Vectors(msgspec.Struct, frozen=True, rename="camel"):
    """The answer of ``batchEmbedContents``, in the order of the inputs."""

    embeddings: tuple[WireVector, ...]
    usage_metadata: WireUsage | None = None


class WireStatistics(msgspec.Struct, frozen=True):
    token_count: float = 0


class WireEmbedding(msgspec.Struct, frozen=True):
    values: tuple[float, ...]
    statistics: WireStatistics = WireStatistics()


class WirePrediction(msgspec.Struct, frozen=True):
    embeddings: WireEmbedding


class Predictions(msgspec.Struct, frozen=True):
    """The answer of Vertex's ``predict``, in the order of the instances."""

    predictions: tuple[WirePrediction, ...]


decode_answer = msgspec.json.Decoder(Answer).decode
decode_answers = msgspec.json.Decoder(tuple[Answer, ...]).decode
decode_usage = msgspec.json.Decoder(WireUsage | None).decode
decode_vectors = msgspec.json.Decoder(Vectors).decode
decode_predictions = msgspec.json.Decoder(Predictions).decode
