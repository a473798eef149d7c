"""A real server of Anthropic's wire on loopback that fails the way it is told."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .answers import Told, after
from .provider import Fault, Provider, Seen, Writer

_KINDS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_encode = msgspec.json.encode


def error(status: int, message: str) -> bytes:
    """Anthropic's error body."""
    said = {"type": _KINDS.get(status, "api_error"), "message": message}
    return _encode({"type": "error", "error": said, "request_id": "req_1"})


class AnthropicProvider(Provider):
    """See :class:`actinium.testkit.provider.Provider`; the key comes as ``x-api-key``.

    Answers are the words as text, or a call of the first tool; with ``thinking`` there is a
    signed thought before. A last turn of the assistant's begins the answer, which goes on after it;
    one that ends with a blank is refused, as by the real server. The usage of a prompt: a word is
    a token, and three more were read from a cache and two written.
    """

    async def _answer(self, seen: Seen, writer: Writer) -> None:
        fault = self._fault(seen.body)
        await self._before(fault)
        key = seen.headers.get("x-api-key", "")
        if self.key is not None and key != self.key:
            body = error(401, f"Incorrect API key provided: {key}")
            await self._send(writer, 401, body, fault)
        elif fault.status != 200:
            body = fault.body or error(fault.status, "made to fail")
            await self._send(writer, fault.status, body, fault)
        elif seen.path.endswith("/models"):
            await self._send(writer, 200, b'{"data":[],"has_more":false}', fault)
        else:
            await self._succeed(seen, writer, fault)

    async def _succeed(self, seen: Seen, writer: Writer, fault: Fault) -> None:
        """The answer proper; a body of the wrong shape gets a 400, as from the real server."""
        try:
            if _begun(seen.body)[-1:].isspace():
                text = "messages: final assistant content cannot end with trailing whitespace"
                await self._send(writer, 400, error(400, text), fault)
                return
            if seen.body.get("stream"):
                await self._stream(writer, self._events(seen.body, usage=fault.usage), fault)
                return
            whole = self._whole(seen, fault)
        except (LookupError, TypeError, AttributeError) as wrong:
            text = f"the body has not the right shape: {wrong!r}"
            await self._send(writer, 400, error(400, text), fault)
            return
        await self._send(writer, 200, fault.body or whole, fault)

    def _is_content(self, event: bytes) -> bool:
        return b'"type":"message_delta"' not in event

    def _done(self) -> bytes:
        return b'{"type":"message_stop"}'

    def _fell_over(self) -> bytes:
        return error(529, "Overloaded")

    def _block(self, data: bytes) -> bytes:
        try:
            kind = msgspec.json.decode(data)["type"].encode()
        except msgspec.DecodeError:
            kind = b"content_block_delta"
        return b"event: %b\ndata: %b\n\n" % (kind, data)

    def _whole(self, seen: Seen, fault: Fault) -> bytes:
        body = seen.body
        if seen.path.endswith("/count_tokens"):
            return _encode({"input_tokens": _words(body) + 5})
        made = self._content(body)
        answer = self._frame(body) | {"content": made, "stop_reason": self._reason(body)}
        if not fault.finish:
            answer["stop_reason"] = None
        answer["usage"] = self._usage(body, len(self._left(body)), fault.usage)
        if not fault.usage:
            del answer["usage"]
        return _encode(answer)

    def _left(self, body: dict[str, Any]) -> tuple[str, ...]:
        """The words after those that the request says itself."""
        return after(_begun(body), self.words)

    def _events(self, body: dict[str, Any], *, usage: Told) -> list[bytes]:
        """The data of a stream's events, up to its end mark."""
        start: dict[str, Any] = {"message": self._frame(body)}
        if usage:
            start["message"]["usage"] = self._usage(body, 1, usage)
        events: list[dict[str, Any]] = [{"type": "message_start", **start}]
        for index, block in enumerate(self._content(body)):
            events += self._block_events(index, block, self._left(body))
            if index == 0:
                events.insert(2, {"type": "ping"})
        end = {"delta": {"stop_reason": self._reason(body), "stop_sequence": None}}
        scale = 1000 if usage == "wrong" else 1
        made = {"output_tokens": scale * len(self._left(body)) if usage else 0}
        events.append({"type": "message_delta", **end, "usage": made})
        return list(map(_encode, events))

    def _block_events(
        self, index: int, block: dict[str, Any], words: tuple[str, ...]
    ) -> list[dict[str, Any]]:
        deltas: list[dict[str, Any]]
        match block["type"]:
            case "thinking":
                empty = {"type": "thinking", "thinking": "", "signature": ""}
                deltas = [
                    {"type": "thinking_delta", "thinking": block["thinking"]},
                    {"type": "signature_delta", "signature": block["signature"]},
                ]
            case "tool_use":
                empty = block | {"input": {}}
                pieces = ("", '{"city":', '"Paris"}')
                deltas = [{"type": "input_json_delta", "partial_json": p} for p in pieces]
            case _:
                empty = {"type": "text", "text": ""}
                deltas = [{"type": "text_delta", "text": word} for word in words]
        start = {"type": "content_block_start", "index": index, "content_block": empty}
        return [
            start,
            *({"type": "content_block_delta", "index": index, "delta": d} for d in deltas),
            {"type": "content_block_stop", "index": index},
        ]

    def _content(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        if (body.get("thinking") or {}).get("type") == "enabled":
            made.append({"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"})
        if body.get("tools"):
            name = body["tools"][0]["name"]
            made.append(
                {"type": "tool_use", "id": "toolu_1", "name": name, "input": {"city": "Paris"}}
            )
        else:
            made.append({"type": "text", "text": "".join(self._left(body))})
        return made

    def _reason(self, body: dict[str, Any]) -> str:
        return "tool_use" if body.get("tools") else "end_turn"

    def _usage(self, body: dict[str, Any], output: int, usage: Told = True) -> dict[str, Any]:
        scale = 1000 if usage == "wrong" else 1
        return {
            "input_tokens": scale * _words(body),
            "cache_read_input_tokens": 3,
            "cache_creation_input_tokens": 2,
            "output_tokens": scale * output,
        }

    def _frame(self, body: dict[str, Any]) -> dict[str, Any]:
        int(body["max_tokens"])
        return {
            "id": "msg_provider",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        }


def _begun(body: dict[str, Any]) -> str:
    """The beginning of the answer, where the last turn is the assistant's."""
    last = body["messages"][-1]
    if last["role"] != "assistant":
        return ""
    content = last["content"]
    if isinstance(content, str):
        return content
    return "".join(block.get("text", "") for block in content)


def _words(body: dict[str, Any]) -> int:
    """The words of the last turn."""
    content = body["messages"][-1]["content"]
    if not isinstance(content, str):
        content = " ".join(block.get("text", "") for block in content)
    return len(content.split())
