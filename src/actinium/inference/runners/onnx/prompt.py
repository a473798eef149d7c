"""From messages to the token ids that the model reads."""

from __future__ import annotations

from typing import Any

import jinja2
import jinja2.sandbox
import msgspec
from tokenizers import Tokenizer

from actinium.errors import BadRequest, ConfigError, ContextLengthExceeded, Unsupported

from ...request import Message, RefusalPart, Request, TextPart
from .folder import TEMPLATE, TOKENIZER, ModelFolder
from .guide import opening
from .vocabulary import Vocabulary


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """Token ids of a request.

    ``call`` is the beginning of a tool call that the prompt forces on the model (None: free);
    ``tools`` are the names that the model may call; without any it can open no call.
    """

    ids: list[int]
    call: str | None = None
    tools: tuple[str, ...] = ()


class Prompter:
    """Renders the chat template, in jinja2's sandbox, and encodes the text.

    A plain ``prompt`` is encoded as it is behind the model's first token; names of special
    tokens in it stand for those tokens, since it is the raw door to the model.
    """

    def __init__(self, folder: ModelFolder) -> None:
        path = folder.file(TOKENIZER)
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(path))
        self.vocabulary = Vocabulary(self._tokenizer, folder.config.vocab_size, str(path))
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            autoescape=False, trim_blocks=True, lstrip_blocks=True
        )
        environment.globals["raise_exception"] = _refuse  # what published templates call
        source = folder.file(TEMPLATE).read_text(encoding="utf-8")
        self._template = environment.from_string(source)
        self._bos = self._special(folder.config.bos_id)
        call = folder.config.call_id
        self._call = None if call is None else self._special(call)

    def encode(self, request: Request, limit: int) -> Prompt:
        """The prompt of a request, of at most ``limit`` tokens.

        Raises BadRequest, Unsupported, and ContextLengthExceeded; for a text so long that it
        cannot fit whatever its tokens are, the latter holds the least number possible.
        """
        text, forced = self._text(request)
        least = -(-len(text.encode()) // self.vocabulary.longest)
        if least > limit:
            raise ContextLengthExceeded(least, limit)
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        if not ids:
            raise BadRequest(
                "the model's chat template makes nothing of these messages", "messages"
            )
        offered = () if request.tool_choice == "none" else _names(request.tools)
        return Prompt(ids=ids, call=forced, tools=offered)

    def count(self, request: Request) -> int:
        """The number of tokens of a request's prompt, whatever the limit."""
        text, _ = self._text(request)
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _special(self, token: int) -> str:
        text = self._tokenizer.id_to_token(token)
        if not text:
            raise ConfigError(f"{TOKENIZER} has no token {token}, which config.json names")
        return text

    def _text(self, request: Request) -> tuple[str, str | None]:
        """The prompt as text, and what it forces the model to begin with."""
        forced = self._forced(request)
        text = self._render(request)
        return (text if forced is None else f"{text}{self._call}{forced}"), forced

    def _render(self, request: Request) -> str:
        if request.prompt is not None:
            start = "" if request.prompt.startswith(self._bos) else self._bos
            return start + request.prompt
        messages = [_plain(message, at) for at, message in enumerate(request.messages)]
        begun = messages.pop()["content"] if request.prefill else ""
        tools = None if request.tool_choice == "none" else list(request.tools) or None
        try:
            text: str = self._template.render(
                messages=messages, tools=tools, add_generation_prompt=True
            )
        except (jinja2.TemplateError, TypeError, AttributeError, KeyError) as error:
            raise BadRequest(
                f"the model's chat template refuses these messages or tools: {error}", "messages"
            ) from error
        return text + begun

    def _forced(self, request: Request) -> str | None:
        """What a ``tool_choice`` makes the model begin with: a call, or a call of one name."""
        choice = request.tool_choice
        if request.tools and self._call is None:
            raise Unsupported("this model cannot call tools; leave `tools` out", "tools")
        if choice is None or choice in ("auto", "none"):
            return None
        if isinstance(choice, str) and choice != "required":
            raise BadRequest(
                'expected "auto", "none", "required" or a function as `tool_choice`, '
                f"got {choice!r}",
                "tool_choice",
            )
        if not request.tools:
            raise BadRequest("`tool_choice` needs `tools`", "tool_choice")
        if choice == "required":
            return ""
        return _named(choice, request.tools)


def _named(choice: Any, tools: tuple[dict[str, Any], ...]) -> str:
    if choice.get("type") != "function":
        raise Unsupported(
            f"`tool_choice` of type {choice.get('type')!r}: this runner takes "
            '{"type": "function", "function": {"name": ...}}',
            "tool_choice",
        )
    name = _function_name(choice)
    names = _names(tools)
    if name is None or name not in names:
        raise BadRequest(f"expected one of the tools {list(names)}, got {name!r}", "tool_choice")
    return opening(name)


def _refuse(reason: str) -> None:
    raise jinja2.TemplateError(reason)


def _function_name(tool: dict[str, Any]) -> str | None:
    function = tool.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None


def _names(tools: tuple[dict[str, Any], ...]) -> tuple[str, ...]:
    """The names of the tools. Raises BadRequest for one without, Unsupported for no function."""
    names: list[str] = []
    for at, tool in enumerate(tools):
        kind = tool.get("type", "function")
        if kind != "function":
            raise Unsupported(
                f"a tool of type {kind!r} - at `$.tools[{at}]`; this runner takes functions",
                f"tools[{at}].type",
            )
        name = _function_name(tool)
        if not name:
            raise BadRequest(
                f"expected a function with a name - at `$.tools[{at}]`", f"tools[{at}].function"
            )
        names.append(name)
    return tuple(names)


def _plain(message: Message, at: int) -> dict[str, Any]:
    """A message as the plain data that chat templates are written for."""
    plain: dict[str, Any] = {"role": message.role, "content": _content(message, at)}
    if message.name is not None:
        plain["name"] = message.name
    if message.tool_calls:
        plain["tool_calls"] = [msgspec.to_builtins(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        plain["tool_call_id"] = message.tool_call_id
    return plain


def _content(message: Message, at: int) -> str:
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    texts: list[str] = []
    for n, part in enumerate(message.content):
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif isinstance(part, RefusalPart):
            texts.append(part.refusal)
        else:
            kind = type(part).__struct_config__.tag
            where = f"messages[{at}].content[{n}]"
            raise Unsupported(
                f"a part of type {kind!r} - at `$.{where}`; this model reads text only", where
            )
    return "".join(texts)
