"""Chunks -> output items of a response, and the events that tell of them.

Source: https://platform.openai.com/docs/api-reference/responses-streaming.
"""

from __future__ import annotations

from typing import Any

from actinium.errors import ProtocolError
from actinium.inference.chunk import Chunk, Detail, Finish, TokenLogprob, ToolDelta, Usage

from .thoughts import pack

Event = dict[str, Any]


class Output:
    """The items of one answer.

    :meth:`add` gives the events of a chunk, without their numbers. An item is open until content
    of another kind comes; the calls of a turn are open together, because other wires may send
    their pieces by turns.
    """

    def __init__(self, id: str) -> None:
        self._id = id.removeprefix("resp_")
        self.items: list[Event] = []
        self._open: Event | None = None  # a thought or a message
        self._calls: dict[int, int] = {}
        self._closed: set[int] = set()
        self.finish: Finish | None = None
        self.usage: Usage | None = None

    def add(self, chunk: Chunk) -> list[Event]:
        """The events of one chunk. Raises ProtocolError for a piece of a call that has ended."""
        out: list[Event] = []
        if chunk.reasoning:
            self._reason(chunk.reasoning, out)
        if chunk.text or chunk.logprobs:
            self._say("output_text", chunk.text, chunk.logprobs, out)
        if chunk.refusal:
            self._say("refusal", chunk.refusal, (), out)
        if chunk.detail is not None:
            self._detail(chunk.detail, out)
        if chunk.tool is not None:
            self._call(chunk.tool, out)
        self.finish = chunk.finish or self.finish
        self.usage = chunk.usage or self.usage
        return out

    def end(self) -> list[Event]:
        """The events that end the items. Raises ProtocolError where no finish has come (RQ-5)."""
        if self.finish is None:
            raise ProtocolError("the answer ended without a finish")
        out: list[Event] = []
        self._close(out)
        return out

    # Items.

    def _start(self, item: Event, out: list[Event]) -> None:
        self.items.append(item)
        at = len(self.items) - 1
        out.append(_event("output_item.added", output_index=at, item=_copy(item)))

    def _new(self, kind: str) -> str:
        return f"{kind}_{self._id}{len(self.items)}"

    def _reason(self, text: str, out: list[Event]) -> None:
        item = self._open
        if item is None or item["type"] != "reasoning":
            self._close(out)
            item = self._open = {"type": "reasoning", "id": self._new("rs"), "summary": []}
            self._start(item, out)
        part = {"type": "summary_text", "text": ""}
        where = {"item_id": item["id"], "output_index": len(self.items) - 1, "summary_index": 0}
        if not item["summary"]:
            item["summary"].append(part)
            out.append(_event("reasoning_summary_part.added", **where, part=dict(part)))
        item["summary"][0]["text"] += text
        out.append(_event("reasoning_summary_text.delta", **where, delta=text))

    def _detail(self, detail: Detail, out: list[Event]) -> None:
        """What must come back: with the thought it ends, or as one of its own."""
        item = self._open
        text = ""
        if item is not None and item["type"] == "reasoning" and item["summary"]:
            text = item["summary"][0]["text"]
        block = detail.thinking(text)
        if block is None:
            return
        if item is None or item["type"] != "reasoning" or detail.redacted:
            self._close(out)
            item = self._open = {"type": "reasoning", "id": self._new("rs"), "summary": []}
            self._start(item, out)
        item["encrypted_content"] = pack([block])
        self._close(out)

    def _say(
        self, kind: str, text: str, logprobs: tuple[TokenLogprob, ...], out: list[Event]
    ) -> None:
        item = self._open
        if item is None or item["type"] != "message":
            self._close(out)
            item = self._open = {
                "type": "message", "id": self._new("msg"), "status": "in_progress",
                "role": "assistant", "content": [],
            }  # fmt: skip
            self._start(item, out)
        content = item["content"]
        where: Event = {"item_id": item["id"], "output_index": len(self.items) - 1}
        if not content or content[-1]["type"] != kind:
            self._close_part(item, out)
            if kind == "refusal":
                part: Event = {"type": "refusal", "refusal": ""}
            else:
                part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            content.append(part)
            out.append(
                _event(
                    "content_part.added", **where, content_index=len(content) - 1, part=_copy(part)
                )
            )
        where["content_index"] = len(content) - 1
        if kind == "refusal":
            content[-1]["refusal"] += text
            out.append(_event("refusal.delta", **where, delta=text))
            return
        content[-1]["text"] += text
        given = [_logprob(token) for token in logprobs]
        content[-1]["logprobs"] += given
        out.append(_event("output_text.delta", **where, delta=text, logprobs=given))

    def _call(self, piece: ToolDelta, out: list[Event]) -> None:
        if piece.index in self._closed:
            raise ProtocolError(
                f"a piece of the call {piece.index} came after the answer had gone on"
            )
        if piece.index not in self._calls:
            if self._open is not None:
                self._close(out)
            item = {
                "type": "function_call", "id": self._new("fc"), "status": "in_progress",
                "call_id": piece.id or f"call_{self._id}{len(self.items)}",
                "name": piece.name or "", "arguments": "",
            }  # fmt: skip
            self._calls[piece.index] = len(self.items)
            self._start(item, out)
        if piece.arguments:
            at = self._calls[piece.index]
            item = self.items[at]
            item["arguments"] += piece.arguments
            where = {"item_id": item["id"], "output_index": at}
            out.append(_event("function_call_arguments.delta", **where, delta=piece.arguments))

    # Their ends.

    def _close(self, out: list[Event]) -> None:
        item, self._open = self._open, None
        if item is not None:
            if item["type"] == "message":
                self._close_part(item, out)
                item["status"] = "completed" if self.finish != "length" else "incomplete"
            elif item["summary"]:
                self._close_summary(item, out)
            out.append(_event("output_item.done", output_index=len(self.items) - 1, item=item))
        for at in self._calls.values():
            call = self.items[at]
            call["status"] = "completed"
            where = {"item_id": call["id"], "output_index": at}
            out.append(
                _event("function_call_arguments.done", **where, arguments=call["arguments"],
                       name=call["name"])
            )  # fmt: skip
            out.append(_event("output_item.done", output_index=at, item=call))
        self._closed.update(self._calls)
        self._calls = {}

    def _close_summary(self, item: Event, out: list[Event]) -> None:
        where = {"item_id": item["id"], "output_index": len(self.items) - 1, "summary_index": 0}
        part = item["summary"][0]
        out.append(_event("reasoning_summary_text.done", **where, text=part["text"]))
        out.append(_event("reasoning_summary_part.done", **where, part=dict(part)))

    def _close_part(self, item: Event, out: list[Event]) -> None:
        content = item["content"]
        if not content:
            return
        part = content[-1]
        where = {
            "item_id": item["id"], "output_index": len(self.items) - 1,
            "content_index": len(content) - 1,
        }  # fmt: skip
        if part["type"] == "refusal":
            out.append(_event("refusal.done", **where, refusal=part["refusal"]))
        else:
            out.append(
                _event("output_text.done", **where, text=part["text"], logprobs=part["logprobs"])
            )
        out.append(_event("content_part.done", **where, part=part))


def _event(kind: str, **fields: Any) -> Event:
    return {"type": f"response.{kind}", **fields}


def _copy(item: Event) -> Event:
    """As it is now: what follows changes the item."""
    return {k: list(v) if isinstance(v, list) else v for k, v in item.items()}


def _logprob(token: TokenLogprob) -> Event:
    return {
        "token": token.token,
        "logprob": token.logprob,
        "bytes": list(_bytes(token.token) if token.bytes is None else token.bytes),
        "top_logprobs": [
            {"token": t, "logprob": p, "bytes": list(_bytes(t))} for t, p in token.top
        ],
    }


def _bytes(token: str) -> bytes:
    return token.encode("utf-8", "replace")
