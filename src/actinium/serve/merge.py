"""Several sources as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import TypeVar

T = TypeVar("T")


async def merged(sources: Sequence[AsyncGenerator[T]]) -> AsyncGenerator[tuple[int, T]]:
    """The items of all sources with the source's place, as they come.

    One item per source is under way at most, so a slow reader stops them all. The first error
    of a source ends everything and is raised; closing closes all sources.
    """
    if len(sources) == 1:
        try:
            async for only in sources[0]:
                yield 0, only
        finally:
            await sources[0].aclose()
        return
    ready: asyncio.Queue[tuple[int, T] | Exception | None] = asyncio.Queue(1)

    async def pump(at: int, source: AsyncGenerator[T]) -> None:
        try:
            async for item in source:
                await ready.put((at, item))
        except Exception as error:  # noqa: BLE001 - it is raised in the reader
            await ready.put(error)
        else:
            await ready.put(None)
        finally:
            await source.aclose()

    tasks = [asyncio.create_task(pump(at, source)) for at, source in enumerate(sources)]
    try:
        open_sources = len(sources)
        while open_sources:
            item = await ready.get()
            if item is None:
                open_sources -= 1
            elif isinstance(item, Exception):
                raise item
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
