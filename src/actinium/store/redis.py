"""A store in a Redis server, for state that several machines share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from actinium.errors import MissingExtra, StoreCorrupt, StoreError
from actinium.store._arguments import (
    check_items,
    check_key,
    check_number,
    check_prefix,
    check_value,
    conflict,
)
from actinium.store.protocol import Record

try:
    from redis import Redis
    from redis.exceptions import RedisError
except ImportError as error:
    raise MissingExtra("redis", "RedisStore") from error

_THREADS: Final = 4
"""Calls at once. They run in threads, since an asyncio client is bound to one loop."""

# A record is a hash of its revision and value, a log a list. Both scripts answer {1, new} or
# {0, found}. KEYS: the value's key, the set of all keys. ARGV: key, expect, value ...
_SAVE: Final = """
local found = tonumber(redis.call('HGET', KEYS[1], 'r') or 0)
if found ~= tonumber(ARGV[2]) then return {0, found} end
redis.call('HSET', KEYS[1], 'r', found + 1, 'v', ARGV[3])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return {1, found + 1}
"""
_APPEND: Final = """
local found = redis.call('LLEN', KEYS[1])
if found ~= tonumber(ARGV[2]) then return {0, found} end
for i = 3, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[i]) end
if #ARGV > 2 then redis.call('ZADD', KEYS[2], 0, ARGV[1]) end
return {1, found + #ARGV - 2}
"""


class RedisStore:
    """Records and logs under ``prefix`` in a Redis server. See ``Store`` for the calls.

        store = await RedisStore.open("redis://127.0.0.1:6379/0")

    What is written is as durable as the server is set up to be: with ``appendonly yes`` and
    ``appendfsync always`` it survives the machine, with the usual ``everysec`` a crash may take
    the last second, and without it everything since the last snapshot. Open raises StoreError
    where the server does not answer within ``timeout`` seconds.
    """

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._closed = False
        self._threads = ThreadPoolExecutor(_THREADS, "actinium-redis")
        self._prefix = prefix
        self._all = f"{{{prefix}}}:keys"

    @classmethod
    async def open(
        cls, url: str, *, prefix: str = "actinium", timeout: float = 5.0
    ) -> RedisStore:  # fmt: skip
        """Connects to the server at ``url`` (``redis://``, ``rediss://`` or ``unix://``)."""
        redis = Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)
        store = cls(redis, prefix)
        try:
            await store._do("PING")
        except StoreError:
            await store.close()
            raise
        return store

    async def load(self, key: str) -> Record | None:
        """The record under ``key``, or None."""
        check_key(key)
        revision, value = await self._do("HMGET", self._record(key), "r", "v")
        if revision is None and value is None:
            return None
        if revision is None or value is None or not revision.isdigit():
            raise StoreCorrupt(f"the record under {key!r} is not one that was written here")
        return Record(int(revision), value)

    async def save(self, key: str, value: bytes, expect: int) -> int:
        """Write a record if its revision is ``expect``; return the new revision."""
        check_key(key)
        check_value(value)
        check_number("expect", expect)
        done, number = await self._run(_SAVE, self._record(key), key, expect, value)
        if not done:
            raise conflict("record", key, expect, number)
        return int(number)

    async def append(self, key: str, items: Sequence[bytes], expect: int) -> int:
        """Append all ``items`` to a log whose last number is ``expect``; return the new last."""
        check_key(key)
        check_items(items)
        check_number("expect", expect)
        done, number = await self._run(_APPEND, self._log(key), key, expect, *items)
        if not done:
            raise conflict("log", key, expect, number)
        return int(number)

    async def read(
        self, key: str, after: int = 0, limit: int | None = None
    ) -> list[tuple[int, bytes]]:
        """The items of a log with a number above ``after``, at most ``limit`` of them."""
        check_key(key)
        check_number("after", after)
        if limit is not None:
            check_number("limit", limit, least=1)
        last = -1 if limit is None else after + limit - 1
        items = await self._do("LRANGE", self._log(key), min(after, _FAR), min(last, _FAR))
        return list(enumerate(items, start=after + 1))

    async def last(self, key: str) -> int:
        """The last sequence number of a log, 0 for none."""
        check_key(key)
        return int(await self._do("LLEN", self._log(key)))

    async def delete(self, key: str) -> None:
        """Remove the record and the log under ``key``."""
        check_key(key)
        await self._do("DEL", self._record(key), self._log(key))
        await self._do("ZREM", self._all, key)

    async def keys(self, prefix: str = "") -> list[str]:
        """All keys that begin with ``prefix``, in code point order."""
        check_prefix(prefix)
        # Members of one score stand in the order of their bytes; UTF-8 keeps that of code points.
        low = b"[" + prefix.encode()
        found = await self._do("ZRANGEBYLEX", self._all, low, low + b"\xff" if prefix else b"+")
        return [key.decode() for key in found]

    async def close(self) -> None:
        """Finish what was asked before and let go of the connections."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._threads.shutdown)
            self._redis.close()

    def _record(self, key: str) -> str:
        return f"{{{self._prefix}}}:record:{key}"

    def _log(self, key: str) -> str:
        return f"{{{self._prefix}}}:log:{key}"

    async def _run(self, script: str, place: str, *arguments: str | int | bytes) -> Any:
        return await self._do("EVAL", script, 2, place, self._all, *arguments)

    async def _do(self, *command: str | int | bytes) -> Any:
        if self._closed:
            raise StoreError("the store is closed: open another one")
        call = partial(self._redis.execute_command, *command)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except (RedisError, OSError) as error:
            raise StoreError(f"the Redis server failed a {command[0]!s}: {error}") from error


_FAR: Final = 2**62
"""An index beyond each list that Redis still takes."""
