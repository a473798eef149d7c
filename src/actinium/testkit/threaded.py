"""A provider on a thread of its own, for tests that are no coroutines."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from .provider import Provider

P = TypeVar("P", bound=Provider)


@contextmanager
def in_thread(provider: P) -> Iterator[P]:
    """Runs a provider while the block does; set ``faults`` and read counters from any thread.

    >>> with in_thread(AnthropicProvider()) as provider:
    ...     client = anthropic.Anthropic(base_url=provider.base_url.removesuffix("/v1"), ...)
    """
    ready = threading.Event()
    over: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    failed: list[BaseException] = []

    async def serve() -> None:
        end = asyncio.Event()
        over.append((asyncio.get_running_loop(), end))
        async with provider:
            ready.set()
            await end.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="actinium-provider", daemon=True)
    thread.start()
    ready.wait()
    try:
        if failed:
            raise failed[0]
        yield provider
    finally:
        loop, end = over[0]
        if not loop.is_closed():
            loop.call_soon_threadsafe(end.set)
        thread.join()
