"""What a client asks for: provider-neutral, immutable, checked on decode.

The field names and the tags of content parts are those of OpenAI's chat completions
(https://platform.openai.com/docs/api-reference/chat), the wire most servers speak, so
that a request can be handed to such a server without loss.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from .limits.policy import Priority

Role = Literal["system", "developer", "user", "assistant", "tool"]


class TextPart(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="text"):
    """Text within a message of several parts.

    ``cache_control``, on parts and beside a tool's ``function``, is Anthropic's mark that the
    prompt up to here is worth keeping; by the same name many servers of OpenAI's wire know it.
    """

    text: str
    cache_control: dict[str, Any] | None = None


class ImagePart(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="image_url"):
    """An image by https or data URL; kept as sent (``url``, ``detail``)."""

    image_url: dict[str, Any]
    cache_control: dict[str, Any] | None = None


class AudioPart(msgspec.Struct, frozen=True, tag_field="type", tag="input_audio"):
    """Audio as base64 with its format; kept as sent."""

    input_audio: dict[str, Any]


class FilePart(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="file"):
    """A file by id or content; kept as sent."""

    file: dict[str, Any]
    cache_control: dict[str, Any] | None = None


class RefusalPart(msgspec.Struct, frozen=True, tag_field="type", tag="refusal"):
    """An earlier refusal of the assistant."""

    refusal: str


Part = TextPart | ImagePart | AudioPart | FilePart | RefusalPart


class FunctionCall(msgspec.Struct, frozen=True):
    """Name and arguments (JSON text) of one call."""

    name: str
    arguments: str


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call the model asks its client to make.

    ``extra_content`` is what a provider wants back with the call, by the provider's name:
    ``{"google": {"thought_signature": ...}}``.
    """

    id: str
    type: str = "function"
    function: FunctionCall
    extra_content: dict[str, Any] | UnsetType | None = UNSET


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One turn of a conversation.

    ``thinking_blocks`` are the assistant's earlier thinking as its provider wants it back:
    ``{"type": "thinking", "thinking", "signature"}`` or ``{"type": "redacted_thinking",
    "data"}``. OpenAI's wire has no place for it; the name is LiteLLM's.
    """

    role: Role
    content: str | tuple[Part, ...] | None = None
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    tool_call_id: str | None = None
    thinking_blocks: tuple[dict[str, Any], ...] | None = None

    def text(self) -> str:
        """The text of this message; parts that are not text are left out."""
        if self.content is None:
            return ""
        if isinstance(self.content, str):
            return self.content
        return "".join(p.text for p in self.content if isinstance(p, TextPart))


class Sampling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How tokens are chosen. ``None`` means the runner's default.

    ``max_tokens`` counts output tokens; ``logprobs`` is None (off) or the number of
    alternatives per token (0..20).
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: int | None = None


class Native(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came in on a wire that is not OpenAI's.

    A runner of that wire sends ``body`` on as it is, whatever else the request says of the same
    things; the model's name and the choice of a stream are still the runner's. ``beta`` is the
    value of the ``anthropic-beta`` header.
    """

    wire: str
    body: dict[str, Any]
    beta: str = ""


class Answered(msgspec.Struct):
    """Who answered a request, for whoever asked: ``deployment`` is the one whose content came
    first ("" until then), ``attempts`` how many were begun."""

    deployment: str = ""
    attempts: int = 0


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One generation to be done by one deployment.

    ``messages`` (chat) or ``prompt`` (plain completion) is given, never both.
    ``n`` choices are generated; chunks carry the choice's index. ``deadline`` is the loop's
    monotonic time (seconds) after which nobody waits for the answer. ``extra`` holds fields
    of the same wire that Actinium does not interpret; a runner of that wire passes them on.
    ``stream=False`` says that nobody reads before the answer is whole: the runner still
    yields bursts, but may deliver everything in one. ``tenant`` and ``key`` say who pays and whose
    share it is, ``priority`` how large a share: never what a client says of itself unchecked.
    ``after`` is how many turns the session must have, None: as many as it has.
    ``estimate`` is the input in tokens by its characters, where that was counted already; who
    changes messages or prompt takes it out.
    ``answered`` is written while it is answered, and shared by all copies of a request.
    ``note`` is what a session keeps beside its turn, for the door that will be asked for it.
    ``prefill`` says that the last message is the beginning of the answer: what is generated goes on
    after it and does not repeat it (only for runners whose capabilities have ``prefill``).
    """

    id: str
    model: str
    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    sampling: Sampling = Sampling()
    n: int = 1
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    deadline: float | None = None
    session: str | None = None
    after: int | None = None
    user: str | None = None
    extra: dict[str, Any] = {}
    stream: bool = True
    tenant: str | None = None
    key: str | None = None
    priority: Priority = "normal"
    native: Native | None = None
    prefill: bool = False
    estimate: int | None = None
    note: dict[str, Any] | None = None
    answered: Answered = msgspec.field(default_factory=Answered)


class EmbedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Texts to be turned into vectors, in order."""

    id: str
    model: str
    inputs: tuple[str, ...]
    dimensions: int | None = None
    tenant: str | None = None
    key: str | None = None
    answered: Answered = msgspec.field(default_factory=Answered)
