"""A bare HTTP/1.1 client for tests: it sends exactly the bytes it is given."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any


class Answer:
    """A whole answer: ``json``, ``error`` and ``events`` read its body."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error object, after a check of its shape."""
        error: dict[str, Any] = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
        assert isinstance(error["message"], str) and error["message"]
        return error

    @property
    def events(self) -> list[Any]:
        """The events of a stream; ``[DONE]`` stays a text."""
        found: list[Any] = []
        for block in self.body.decode().split("\n\n"):
            if block.startswith("data: "):
                data = block[6:]
                found.append(data if data == "[DONE]" else json.loads(data))
        return found

    @property
    def text(self) -> str:
        """The text of all deltas."""
        return "".join(
            choice["delta"].get("content") or ""
            for event in self.events
            if isinstance(event, dict)
            for choice in event.get("choices", [])
        )


class Client:
    """One connection; ``async with await Client.to(port) as client``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, port: int) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 24))

    def send(self, data: bytes) -> None:
        """Writes bytes as they are."""
        self.writer.write(data)

    async def answer(self, *, head_only: bool = False) -> Answer:
        """Reads one answer; ``head_only`` for HEAD, whose length has no body."""
        status, headers = await self.head()
        if head_only or status in (204, 304):
            return Answer(status, headers, b"")
        return Answer(status, headers, await self._body(headers))

    async def head(self) -> tuple[int, dict[str, str]]:
        """Reads a status and headers."""
        raw = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = raw.rstrip("\r\n").split("\r\n")
        headers = {}
        for line in lines:
            name, value = line.split(": ", 1)
            headers[name.lower()] = value
        return int(first.split()[1]), headers

    async def chunk(self) -> bytes:
        """Reads one chunk of a chunked body; empty at its end."""
        size = int(await self.reader.readline(), 16)
        data = await self.reader.readexactly(size)
        await self.reader.readexactly(2)
        return data

    async def closed(self) -> bytes:
        """What comes until the server closes."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""  # a reset is an end as well

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            whole = b""
            while piece := await self.chunk():
                whole += piece
            return whole
        if "content-length" in headers:
            return await self.reader.readexactly(int(headers["content-length"]))
        return await self.reader.read()

    def leave(self) -> None:
        """Goes without a word."""
        self.writer.transport.abort()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


def post(body: Any, path: str = "/v1/chat/completions", headers: str = "") -> bytes:
    """A POST of JSON, or of bytes as they are; ``headers`` are finished lines."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(raw)}\r\n\r\n"
    return head.encode() + raw


def get(path: str, method: str = "GET", headers: str = "") -> bytes:
    """A request without a body."""
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode()


def chat(text: str = "hello", **fields: Any) -> dict[str, Any]:
    """The body of a chat with the deployment ``m``."""
    return {"model": "m", "messages": [{"role": "user", "content": text}], **fields}


async def ask(port: int, raw: bytes, *, head_only: bool = False) -> Answer:
    """One request on a connection of its own."""
    async with await Client.to(port) as client:
        client.send(raw)
        return await client.answer(head_only=head_only)
