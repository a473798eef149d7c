"""What the test provider says: deterministic answers of OpenAI's wire."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

_ID: Final = "chatcmpl-provider"
_CREATED: Final = 1_700_000_000
encode: Final = msgspec.json.encode
Told = bool | Literal["wrong", "repeated"]


def prompt_of(body: dict[str, Any]) -> str:
    """The last text of a request."""
    if "prompt" in body:
        return str(body["prompt"])
    content = body["messages"][-1].get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def after(begun: str, words: tuple[str, ...]) -> tuple[str, ...]:
    """The words that follow the beginning of an answer; all, where it is another one's."""
    if not "".join(words).startswith(begun):
        return words
    left = []
    at = 0
    for word in words:
        at += len(word)
        if at > len(begun):
            left.append(word[-min(len(word), at - len(begun)) :])
    return tuple(left)


def _left(body: dict[str, Any], words: tuple[str, ...]) -> tuple[str, ...]:
    """The words still to say, where the request says the first ones itself."""
    if "prompt" in body:
        return words
    last = body["messages"][-1]
    begun = body.get("continue_final_message") or last.get("prefix")
    return after(str(last["content"]), words) if begun else words


def usage_of(body: dict[str, Any], words: tuple[str, ...], usage: Told = True) -> dict[str, Any]:
    """A word is a token here; a thousand, where the usage is to be wrong."""
    scale = 1000 if usage == "wrong" else 1
    given = len(prompt_of(body).split()) * scale
    made = len(words) * int(body.get("n") or 1) * scale
    return {
        "prompt_tokens": given,
        "completion_tokens": made,
        "total_tokens": given + made,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def whole(body: dict[str, Any], words: tuple[str, ...], *, usage: Told) -> bytes:
    """A whole answer to a chat or a completion."""
    words = _left(body, words)
    text = "".join(words)
    chat = "messages" in body
    choices: list[dict[str, Any]] = []
    for index in range(int(body.get("n") or 1)):
        choice: dict[str, Any] = {"index": index, "finish_reason": "stop", "logprobs": None}
        if not chat:
            choice["text"] = text
        elif body.get("tools"):
            choice["message"] = {"role": "assistant", "content": None, "tool_calls": [_call(body)]}
            choice["finish_reason"] = "tool_calls"
        else:
            choice["message"] = {"role": "assistant", "content": text}
        if body.get("logprobs") and chat:
            choice["logprobs"] = {"content": [_logprob(word, body) for word in words]}
        choices.append(choice)
    answer = {**_frame(body, "chat.completion" if chat else "text_completion"), "choices": choices}
    if usage:
        answer["usage"] = usage_of(body, words, usage)
    return encode(answer)


def events(body: dict[str, Any], words: tuple[str, ...], *, usage: Told) -> list[bytes]:
    """The data of a stream's events, without ``[DONE]``; the finish comes once per choice."""
    chat = "messages" in body
    words = _left(body, words)
    frame = _frame(body, "chat.completion.chunk" if chat else "text_completion")
    made: list[bytes] = []
    said = 0

    def add(index: int, piece: dict[str, Any]) -> None:
        choice = {"index": index, "finish_reason": None, "logprobs": None, **piece}
        event = {**frame, "choices": [choice]}
        if usage == "repeated":
            event["usage"] = usage_of(body, words[:said])
        made.append(encode(event))

    n = int(body.get("n") or 1)
    if chat:
        for index in range(n):
            add(index, {"delta": {"role": "assistant", "content": ""}})
    finish = "stop"
    if chat and body.get("tools"):
        finish = "tool_calls"
        for call in _call_pieces(body):
            add(0, {"delta": {"tool_calls": [call]}})
    else:
        for said, word in enumerate(words, 1):  # noqa: B007 - what add() tells
            for index in range(n):
                piece: dict[str, Any] = {"delta": {"content": word}} if chat else {"text": word}
                if chat and body.get("logprobs"):
                    piece["logprobs"] = {"content": [_logprob(word, body)]}
                add(index, piece)
    for index in range(n):
        last: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
        add(index, {**last, "finish_reason": finish})
    if usage:
        told = usage_of(body, words, usage)
        made.append(encode({**frame, "choices": [], "usage": told}))
    return made


def vectors(body: dict[str, Any]) -> bytes:
    """Vectors of three numbers: the text's length, its place, and a half."""
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    data = [
        {"object": "embedding", "index": at, "embedding": [float(len(text)), float(at), 0.5]}
        for at, text in enumerate(texts)
    ]
    tokens = sum(len(text.split()) for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return encode({"object": "list", "data": data, "model": body["model"], "usage": usage})


def error(message: str, kind: str, code: str | None = None, param: str | None = None) -> bytes:
    """OpenAI's error body."""
    return encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


def _frame(body: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": _ID, "object": kind, "created": _CREATED, "model": body["model"]}


def _logprob(word: str, body: dict[str, Any]) -> dict[str, Any]:
    top = [
        {"token": f"{word}{at}", "logprob": -1.0 - at, "bytes": list(f"{word}{at}".encode())}
        for at in range(int(body.get("top_logprobs") or 0))
    ]
    return {"token": word, "logprob": -0.5, "bytes": list(word.encode()), "top_logprobs": top}


def _call(body: dict[str, Any]) -> dict[str, Any]:
    name = body["tools"][0]["function"]["name"]
    function = {"name": name, "arguments": '{"city":"Paris"}'}
    return {"id": "call_1", "type": "function", "function": function}


def _call_pieces(body: dict[str, Any]) -> list[dict[str, Any]]:
    name = body["tools"][0]["function"]["name"]
    first = {"name": name, "arguments": ""}
    return [
        {"index": 0, "id": "call_1", "type": "function", "function": first},
        {"index": 0, "function": {"arguments": '{"city":'}},
        {"index": 0, "function": {"arguments": '"Paris"}'}},
    ]
