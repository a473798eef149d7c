"""A real server of OpenAI's wire on loopback that fails the way it is told.

    async with Provider() as provider:
        provider.faults.append(Fault(cut_after=3))
        deployment = Deployment(name="m", runtime="openai", base_url=provider.base_url)

It answers every chat with ``words`` (one token each), counts what it sees, and notices when a
client leaves. A request that begins the answer (``continue_final_message`` or ``prefix``) gets
the words after that. Requests take the faults from the front of ``faults``, or ask ``plan``.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any

import msgspec

from . import answers
from .answers import Told


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong with one request; the default is nothing.

    Before the answer: ``hold`` (wait for :meth:`Provider.release`), ``wait`` (seconds before its
    first byte), ``drop`` (close without an answer), ``status`` with ``body`` and ``headers``; a
    ``retry-after`` is one of these. Within a stream, at the place of an event counted from 0:
    ``stall_at`` (silence until the client leaves), ``cut_at`` (close), ``reset_at`` (reset),
    ``garbage_at`` (an event that is no JSON), ``error_at`` (an error event). At its end:
    ``finish=False``, ``done=False``, ``usage=False`` leave these out; ``usage="wrong"`` tells a
    thousand times the tokens, ``usage="repeated"`` tells those so far with every event where the
    wire has a place for it. ``split`` writes the answer in pieces of so many bytes; ``each`` is a
    pause in seconds before each event of a stream, and before each such piece.
    """

    hold: bool = False
    wait: float = 0.0
    drop: bool = False
    status: int = 200
    body: bytes | None = None
    headers: dict[str, str] = {}
    stall_at: int | None = None
    cut_at: int | None = None
    reset_at: int | None = None
    garbage_at: int | None = None
    error_at: int | None = None
    finish: bool = True
    done: bool = True
    usage: Told = True
    split: int | None = None
    each: float = 0.0


class Seen(msgspec.Struct, frozen=True):
    """One request as it came: headers by lower-case name."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def endpoint(self) -> str:
        """The last word of the path."""
        return self.path.partition("?")[0].rpartition("/")[2]


class _Gone(Exception):
    """The client left, or the fault wants the connection closed."""


Writer = asyncio.StreamWriter


class Provider:
    """See the module. ``key``: where set, other keys get a 401.

    ``live`` counts requests being answered, ``aborted`` those whose client left before the
    end. ``words`` are the tokens of every answer.
    """

    def __init__(
        self, *, words: tuple[str, ...] = ("Hello", " from", " the", " test", "."),
        key: str | None = None,
    ) -> None:  # fmt: skip
        self.words = words
        self.key = key
        self.faults: deque[Fault] = deque()
        self.plan: Callable[[dict[str, Any]], Fault] | None = None
        self.seen: list[Seen] = []
        self.live = 0
        self.aborted = 0
        self.connections = 0
        self._held: asyncio.Event = asyncio.Event()
        self._changed: asyncio.Event = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        """For ``Deployment.base_url``."""
        assert self._server is not None, "enter the provider's block first"
        port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/v1"

    async def __aenter__(self) -> Provider:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def release(self) -> None:
        """Lets all held requests go on, now and later."""
        self._held.set()

    async def until(self, condition: Callable[[Provider], bool]) -> None:
        """Waits until a condition over this object's counters holds."""
        while not condition(self):
            self._changed.clear()
            await self._changed.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            ahead = b""
            while (more := await self._one(reader, writer, ahead)) is not None:
                ahead = more
        except (_Gone, ConnectionError, asyncio.IncompleteReadError):
            writer.transport.abort()
        except asyncio.CancelledError:
            writer.transport.abort()  # the provider's block has ended
        finally:
            self.connections -= 1
            self._tasks.discard(task)
            writer.close()
            self._changed.set()

    async def _one(
        self, reader: asyncio.StreamReader, writer: Writer, ahead: bytes
    ) -> bytes | None:
        """Answers one request; what was read of the next one, or None at the end."""
        try:
            head = (ahead + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.rstrip("\r\n").split("\r\n")
        pairs = (line.split(":", 1) for line in lines)
        headers = {name.lower(): value.strip() for name, value in pairs}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        body = msgspec.json.decode(raw) if raw else {}
        seen = Seen(first.split()[1], headers, body)
        self.seen.append(seen)
        self.live += 1
        self._changed.set()
        gone = asyncio.ensure_future(reader.read(1))
        answer = asyncio.ensure_future(self._answer(seen, writer))
        try:
            await asyncio.wait((gone, answer), return_when=asyncio.FIRST_COMPLETED)
            if gone.done() and not gone.cancelled() and not gone.result() and not answer.done():
                self.aborted += 1
                raise _Gone
            await answer
            return gone.result() if gone.done() else b""
        except ConnectionError:
            self.aborted += 1
            raise _Gone from None
        finally:
            gone.cancel()
            answer.cancel()
            await asyncio.gather(gone, answer, return_exceptions=True)
            self.live -= 1
            self._changed.set()

    async def _answer(self, seen: Seen, writer: Writer) -> None:
        fault = self._fault(seen.body)
        await self._before(fault)
        if self.key is not None and seen.headers.get("authorization") != f"Bearer {self.key}":
            got = seen.headers.get("authorization", "").removeprefix("Bearer ")
            text = f"Incorrect API key provided: {got}"
            body = answers.error(text, "invalid_request_error", "invalid_api_key")
            await self._send(writer, 401, body, fault)
        elif fault.status != 200:
            body = fault.body or answers.error("made to fail", "test_error")
            await self._send(writer, fault.status, body, fault)
        elif seen.endpoint == "models":
            await self._send(writer, 200, b'{"object":"list","data":[]}', fault)
        else:
            await self._succeed(seen, writer, fault)

    async def _before(self, fault: Fault) -> None:
        """What goes wrong before the answer."""
        if fault.hold:
            await self._held.wait()
        if fault.wait:
            await asyncio.sleep(fault.wait)
        if fault.drop:
            raise _Gone

    async def _succeed(self, seen: Seen, writer: Writer, fault: Fault) -> None:
        """The answer proper; a body of the wrong shape gets a 400, as from real servers."""
        body = seen.body
        wants = bool((body.get("stream_options") or {}).get("include_usage"))
        try:
            if seen.endpoint == "embeddings":
                whole = answers.vectors(body)
            elif body.get("stream"):
                events = answers.events(body, self.words, usage=wants and fault.usage)
                await self._stream(writer, events, fault)
                return
            else:
                whole = answers.whole(body, self.words, usage=fault.usage)
        except (LookupError, TypeError, AttributeError) as error:
            text = f"the body has not the right shape: {error!r}"
            refusal = answers.error(text, "invalid_request_error")
            await self._send(writer, 400, refusal, fault)
            return
        await self._send(writer, 200, fault.body or whole, fault)

    def _fault(self, body: dict[str, Any]) -> Fault:
        if self.faults:
            return self.faults.popleft()
        return self.plan(body) if self.plan is not None else Fault()

    async def _stream(self, writer: Writer, data: list[bytes], fault: Fault) -> None:
        if not fault.finish:
            data = [event for event in data if self._is_content(event)]
        done = self._done() if fault.done else None
        if done is not None:
            data.append(done)
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in fault.headers.items())
        await self._write(writer, head.encode() + b"transfer-encoding: chunked\r\n\r\n", fault)
        for at, event in enumerate(data):
            await self._misbehave(writer, at, fault)
            if fault.each:
                await asyncio.sleep(fault.each)
            await self._event(writer, event, fault)
        await self._misbehave(writer, len(data), fault)
        await self._write(writer, b"0\r\n\r\n", fault)

    async def _misbehave(self, writer: Writer, at: int, fault: Fault) -> None:
        if at == fault.stall_at:
            await asyncio.Event().wait()  # cancelled when the client leaves
        if at == fault.cut_at:
            writer.close()
            await writer.wait_closed()
            raise _Gone
        if at == fault.reset_at:
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise _Gone
        if at == fault.garbage_at:
            await self._event(writer, b'{"choices": [', fault)
        if at == fault.error_at:
            await self._event(writer, self._fell_over(), fault)

    def _is_content(self, event: bytes) -> bool:
        """Whether an event comes before the finish."""
        return b'"finish_reason":null' in event

    def _done(self) -> bytes | None:
        """The event that ends a stream, where the wire has one."""
        return b"[DONE]"

    def _fell_over(self) -> bytes:
        """An error within a stream."""
        return answers.error("the model fell over", "server_error", "500")

    def _block(self, data: bytes) -> bytes:
        """An event as it goes over the wire."""
        return b"data: " + data + b"\n\n"

    async def _event(self, writer: Writer, data: bytes, fault: Fault) -> None:
        block = self._block(data)
        await self._write(writer, b"%x\r\n%b\r\n" % (len(block), block), fault)

    async def _send(self, writer: Writer, status: int, body: bytes, fault: Fault) -> None:
        lines = [f"HTTP/1.1 {status} Status", "content-type: application/json"]
        lines += [f"{name}: {value}" for name, value in fault.headers.items()]
        lines.append(f"content-length: {len(body)}")
        await self._write(writer, "\r\n".join(lines).encode() + b"\r\n\r\n" + body, fault)

    @staticmethod
    async def _write(writer: Writer, data: bytes, fault: Fault) -> None:
        step = fault.split or len(data)
        for at in range(0, len(data), step):
            writer.write(data[at : at + step])
            await writer.drain()
            if fault.split:
                await asyncio.sleep(fault.each)
