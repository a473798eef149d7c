"""A model server that answers at once, in plain Python: used where no faster one is given.

    python -m bench.serving.plain_model -p PORT -n EVENTS

Whole answers are one fixed JSON; a stream is EVENTS events in one write.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

import uvloop

_FRAME = {"id": "chatcmpl-1", "created": 1741570283, "model": "gpt-4o-mini"}


def _whole() -> bytes:
    message = {"role": "assistant", "content": "The quick brown fox jumps over the lazy dog. " * 3}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    usage = {"prompt_tokens": 42, "completion_tokens": 28, "total_tokens": 70}
    body = json.dumps(
        {**_FRAME, "object": "chat.completion", "choices": [choice], "usage": usage}
    ).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def _stream(events: int) -> bytes:
    def event(delta: dict[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        data = {**_FRAME, "object": "chat.completion.chunk", "choices": [choice]}
        return chunk(b"data: " + json.dumps(data).encode() + b"\n\n")

    def chunk(data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data)

    return b"".join(
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n",
            event({"role": "assistant", "content": ""}),
            *(event({"content": f" token{i:04d}"}) for i in range(events)),
            event({}, "stop"),
            chunk(b"data: [DONE]\n\n"),
            b"0\r\n\r\n",
        )
    )


class Model(asyncio.Protocol):
    """Answers each request of a connection once it is whole."""

    def __init__(self, whole: bytes, stream: bytes) -> None:
        self._whole = whole
        self._stream = stream
        self._rest = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            head = data[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(data) < end + 4 + length:
                break
            body, data = data[end + 4 : end + 4 + length], data[end + 4 + length :]
            self._transport.write(self._stream if b'"stream":true' in body else self._whole)
        self._rest = data


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("-p", type=int, required=True)
    parser.add_argument("-n", type=int, default=500)
    arguments = parser.parse_args()
    whole, stream = _whole(), _stream(arguments.n)
    server = await asyncio.get_running_loop().create_server(
        lambda: Model(whole, stream), "127.0.0.1", arguments.p, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
