"""A closed-loop load generator in plain Python: used where no faster one is given.

    python -m bench.serving.plain_load -p PORT -m MODEL -c CONNECTIONS -d SECONDS -w WARMUP [-s]

Each connection sends its next request when the answer to the last one is whole. Prints one
line of JSON; an answer that is not 200, or a stream without ``[DONE]``, counts as bad.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import Any

import uvloop


class Load(asyncio.Protocol):
    """One connection; ``total`` is shared by all."""

    def __init__(self, request: bytes, total: Total, stream: bool) -> None:
        self._request = request
        self._total = total
        self._end = b"0\r\n\r\n" if stream else b""
        self._transport: Any = None
        self._text = b""
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._text = b""
        self._began = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._text = text = self._text + data
        if self._end:
            if not text.endswith(self._end):
                return
        else:
            end = text.find(b"\r\n\r\n")
            at = text[:end].lower().find(b"content-length:")
            if end < 0 or len(text) < end + 4 + int(text[at + 15 : end].split(b"\r\n", 1)[0]):
                return
        good = text.startswith(b"HTTP/1.1 200") and (not self._end or b"[DONE]" in text)
        self._total.take(time.perf_counter() - self._began, text.count(b"data: "), good)
        self._send()


class Total:
    """What was measured after the warm-up."""

    def __init__(self) -> None:
        self.measuring = False
        self.seconds: list[float] = []
        self.events = 0
        self.bad = 0

    def take(self, seconds: float, events: int, good: bool) -> None:
        if self.measuring:
            self.seconds.append(seconds)
            self.events += events
            self.bad += not good


async def main() -> None:
    parser = argparse.ArgumentParser()
    for flag, kind, default in (("-p", int, None), ("-c", int, 32), ("-d", float, 5.0),
                                ("-w", float, 1.0), ("-m", str, "m0")):  # fmt: skip
        parser.add_argument(flag, type=kind, default=default)
    parser.add_argument("-s", action="store_true")
    a = parser.parse_args()
    body: dict[str, Any] = {"model": a.m, "messages": [{"role": "user", "content": "A haiku."}]}
    if a.s:
        body["stream"] = True
    raw = json.dumps(body, separators=(",", ":")).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(raw)}\r\n\r\n"
    total, loop = Total(), asyncio.get_running_loop()
    for _ in range(a.c):
        await loop.create_connection(
            lambda: Load(head.encode() + raw, total, a.s), "127.0.0.1", a.p
        )
    await asyncio.sleep(a.w)
    total.measuring, began = True, time.perf_counter()
    await asyncio.sleep(a.d)
    total.measuring, took = False, time.perf_counter() - began
    times = sorted(total.seconds) or [0.0]
    line = {
        "rps": len(total.seconds) / took,
        "events_s": total.events / took,
        "p50_us": times[len(times) // 2] * 1e6,
        "p99_us": times[int(len(times) * 0.99)] * 1e6,
        "done": len(total.seconds),
        "events": total.events,
        "non2xx": total.bad,
        "err": 0,
    }
    sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    uvloop.run(main())
