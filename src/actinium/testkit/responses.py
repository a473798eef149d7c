"""A real server of OpenAI's Responses API on loopback that fails the way it is told.

Its answers are those of the gateway's own door turned outward: items, events and usage by
https://platform.openai.com/docs/api-reference/responses-streaming.
"""

from __future__ import annotations

from typing import Any

import msgspec

from . import answers
from .provider import Fault, Provider, Seen, Writer

_encode = msgspec.json.encode


class ResponsesProvider(Provider):
    """See :class:`actinium.testkit.provider.Provider`; it answers ``/responses`` as well.

    Answers are the words as text, or a call of the first tool; with ``reasoning`` there is a
    summary before, with an encrypted thought. A word is a token; two of the prompt were cached.
    """

    async def _succeed(self, seen: Seen, writer: Writer, fault: Fault) -> None:
        if seen.endpoint != "responses":
            await super()._succeed(seen, writer, fault)
            return
        try:
            if seen.body.get("stream"):
                await self._stream(writer, self._events(seen.body, fault), fault)
                return
            whole = _encode(self._response(seen.body, fault))
        except (LookupError, TypeError, AttributeError) as wrong:
            text = f"the body has not the right shape: {wrong!r}"
            refusal = answers.error(text, "invalid_request_error")
            await self._send(writer, 400, refusal, fault)
            return
        await self._send(writer, 200, fault.body or whole, fault)

    def _is_content(self, event: bytes) -> bool:
        return b'"type":"response.completed"' not in event and super()._is_content(event)

    def _done(self) -> bytes | None:
        seen = self.seen[-1]
        return None if seen.endpoint == "responses" else super()._done()

    def _fell_over(self) -> bytes:
        if self.seen[-1].endpoint != "responses":
            return super()._fell_over()
        said = {"type": "error", "code": "server_error", "message": "the model fell over"}
        return _encode({**said, "param": None, "sequence_number": 0})

    def _response(self, body: dict[str, Any], fault: Fault, **fields: Any) -> dict[str, Any]:
        given = sum(len(_text(item).split()) for item in body["input"])
        usage = {
            "input_tokens": given,
            "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
            "output_tokens": len(self.words),
            "output_tokens_details": {"reasoning_tokens": 1},
            "total_tokens": given + len(self.words),
        }
        made = {
            "id": "resp_provider", "object": "response", "created_at": 1_700_000_000,
            "model": body["model"], "status": "completed" if fault.finish else "in_progress",
            "error": None, "incomplete_details": None, "output": self._items(body),
            "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
            "usage": usage if fault.usage else None,
        }  # fmt: skip
        return {**made, **fields}

    def _items(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        if body.get("reasoning"):
            summary = [{"type": "summary_text", "text": "Let me see."}]
            items.append({"id": "rs_1", "type": "reasoning", "summary": summary,
                          "encrypted_content": "c2VjcmV0"})  # fmt: skip
        if body.get("tools"):
            items.append(
                {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1",
                 "name": body["tools"][0]["name"], "arguments": '{"city":"Paris"}'}
            )  # fmt: skip
        else:
            part = {"type": "output_text", "text": "".join(self.words), "annotations": [],
                    "logprobs": []}  # fmt: skip
            items.append({"id": "msg_1", "type": "message", "status": "completed",
                          "role": "assistant", "content": [part]})  # fmt: skip
        return items

    def _events(self, body: dict[str, Any], fault: Fault) -> list[bytes]:
        """The data of a stream's events."""
        whole = self._response(body, fault)
        begun = self._response(body, fault, status="in_progress", output=[], usage=None)
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": begun},
            {"type": "response.in_progress", "response": begun},
        ]
        for at, item in enumerate(whole["output"]):
            events += self._item_events(at, item)
        events.append({"type": "response.completed", "response": whole})
        return [_encode({**event, "sequence_number": n}) for n, event in enumerate(events)]

    def _item_events(self, at: int, item: dict[str, Any]) -> list[dict[str, Any]]:
        where = {"item_id": item["id"], "output_index": at}
        start = {"type": "response.output_item.added", "output_index": at}
        end = {"type": "response.output_item.done", "output_index": at, "item": item}
        if item["type"] == "reasoning":
            part = item["summary"][0]
            empty = {**item, "summary": [], "encrypted_content": None}
            where["summary_index"] = 0
            kind = "response.reasoning_summary"
            return [
                {**start, "item": empty},
                {"type": f"{kind}_part.added", **where, "part": {**part, "text": ""}},
                {"type": f"{kind}_text.delta", **where, "delta": part["text"]},
                {"type": f"{kind}_text.done", **where, "text": part["text"]},
                {"type": f"{kind}_part.done", **where, "part": part},
                end,
            ]
        if item["type"] == "function_call":
            kind = "response.function_call_arguments"
            pieces = ('{"city":', '"Paris"}')
            return [
                {**start, "item": {**item, "arguments": "", "status": "in_progress"}},
                *({"type": f"{kind}.delta", **where, "delta": piece} for piece in pieces),
                {"type": f"{kind}.done", **where, "arguments": item["arguments"]},
                end,
            ]
        part = item["content"][0]
        where["content_index"] = 0
        return [
            {**start, "item": {**item, "content": [], "status": "in_progress"}},
            {"type": "response.content_part.added", **where, "part": {**part, "text": ""}},
            *(
                {"type": "response.output_text.delta", **where, "delta": word, "logprobs": []}
                for word in self.words
            ),
            {"type": "response.output_text.done", **where, "text": part["text"], "logprobs": []},
            {"type": "response.content_part.done", **where, "part": part},
            end,
        ]


def _text(item: dict[str, Any]) -> str:
    content = item.get("content", item.get("output", ""))
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content)
