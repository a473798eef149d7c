"""Dead letters that outlive the process: one record each in a store.

Only messages of a declared type are written, as MessagePack, and only when reading them back
gives an equal value; of any other the description is kept, and says so. A type is named by
module and class and found among the modules that are loaded: reading a spool imports nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import sys
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from actinium.errors import SequenceConflict, StoreError
from actinium.store import Store

from .letter import REASONS, DeadLetter

_log = logging.getLogger("actinium.deadletters")

BATCH = 256
"""Records written or read at a time; a store flushes them together."""
RETRY = 1.0
"""Seconds until the next try after a failed write."""


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """A letter as it is written. Fields may be added with a default, never changed."""

    version: int = 1
    reason: str
    path: str
    sender: str
    type: str
    payload: bytes | None
    note: str
    incarnation: int
    depth: int
    capacity: int
    size: int
    error: str
    trace: str
    time: int
    attempt: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Record)


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and (a == b or repr(a) == repr(b))


def encode(letter: DeadLetter) -> bytes:
    """A letter as bytes; its message with it, or a note why not."""
    payload, note = None, letter.note
    if letter.kept == "whole":
        cls = type(letter.message)
        try:
            payload = _encoder.encode(letter.message)
            if not _same(msgspec.msgpack.decode(payload, type=cls), letter.message):
                payload, note = None, f"a {cls.__qualname__} does not read back as it was written"
        except Exception as e:  # noqa: BLE001 - hooks of the message's own type may run
            payload, note = None, f"a {cls.__qualname__} cannot be written: {e}"
    return _encoder.encode(
        _Record(
            reason=letter.reason,
            path=letter.path,
            sender=letter.sender_path,
            type=letter.type,
            payload=payload,
            note=note,
            incarnation=letter.incarnation,
            depth=letter.depth,
            capacity=letter.capacity,
            size=letter.size,
            error=letter.error,
            trace=letter.trace,
            time=letter.time,
            attempt=letter.attempt,
        )
    )


def _class_of(name: str) -> type | None:
    module, _, qualname = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if name == "builtins:NoneType":
        return type(None)
    return found if isinstance(found, type) else None


def decode(value: bytes) -> DeadLetter | None:
    """The letter in a record, ``meta`` if its message cannot be read; None for no record."""
    try:
        record = _decoder.decode(value)
    except msgspec.DecodeError:
        return None
    if record.reason not in REASONS:
        return None
    message: Any = None
    note = record.note
    whole = record.payload is not None
    if record.payload is not None:
        cls = _class_of(record.type)
        if cls is None:
            whole, note = False, f"{record.type} is not loaded; import its module first"
        else:
            try:
                message = msgspec.msgpack.decode(record.payload, type=cls)
            except Exception as e:  # noqa: BLE001 - a changed type may refuse in its own way
                whole, note = False, f"it is no {record.type} any more: {e}"
    return DeadLetter(
        id=0,
        reason=record.reason,  # type: ignore[arg-type]
        target=None,
        path=record.path,
        sender=None,
        sender_path=record.sender,
        message=message,
        type=record.type,
        incarnation=record.incarnation,
        depth=record.depth,
        capacity=record.capacity,
        size=record.size if whole else 0,
        error=record.error,
        trace=record.trace,
        time=record.time,
        attempt=record.attempt,
        kept="whole" if whole else "meta",
        note=note,
    )


class Spool:
    """Writes letters behind the ones who make them, in batches, and remembers where each is.

    A letter pushed out of memory stays here if it was written already; else it is lost, and
    counted so.
    """

    def __init__(self, store: Store, name: str, limit: int) -> None:
        self._store = store
        self._limit = limit
        self._prefix = f"deadletters/{name}/"
        self._process = secrets.token_hex(4)  # two processes may share a store
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, DeadLetter] = {}
        self._keys: dict[int, str] = {}
        self._evicted: dict[int, None] = {}
        self._doomed: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._failed = False

    @property
    def count(self) -> int:
        """Letters written and not deleted."""
        return len(self._keys)

    def _key(self, letter: DeadLetter) -> str:
        return f"{self._prefix}{letter.time:016x}-{self._process}"

    async def load(self) -> list[tuple[str, DeadLetter]]:
        """The letters that earlier processes left, oldest first."""
        keys = await self._store.keys(self._prefix)
        found: list[tuple[str, DeadLetter]] = []
        for start in range(0, len(keys), BATCH):
            batch = keys[start : start + BATCH]
            for key, record in zip(batch, await self._records(batch), strict=True):
                letter = decode(record.value) if record is not None else None
                if letter is not None:
                    found.append((key, letter))
                elif record is not None:
                    _log.error("%s in the spool is no dead letter; it is left as it is", key)
        return found

    async def _records(self, keys: list[str]) -> list[Any]:
        return await asyncio.gather(*(self._store.load(key) for key in keys))

    # -- one letter; all on the side of the ledger, which holds its lock

    def known(self, id: int, key: str) -> None:
        """Takes over a letter that is in the store already."""
        self._keys[id] = key

    def add(self, letter: DeadLetter) -> None:
        """Has a letter written."""
        if self._closed:
            return
        self._waiting[letter.id] = letter
        self._wake()

    def evicted(self, id: int) -> int:
        """Notes that memory let go of a letter; returns how many letters that loses.

        One that is not written yet is lost, and so is the oldest of a full spool.
        """
        if id not in self._keys:
            self._waiting.pop(id, None)
            return 1
        self._evicted[id] = None
        if len(self._evicted) <= self._limit:
            return 0
        self.remove(next(iter(self._evicted)))
        return 1

    def remove(self, id: int) -> bool:
        """Has a letter deleted; False if it was never here."""
        waited = self._waiting.pop(id, None)
        self._evicted.pop(id, None)
        key = self._keys.pop(id, None)
        if key is not None:
            self._doomed.add(key)
            self._wake()
        return key is not None or waited is not None

    async def evicted_letters(self) -> AsyncIterator[DeadLetter]:
        """The letters that are here and no longer in memory, oldest first."""
        ids = [id for id in self._evicted if id in self._keys]
        for start in range(0, len(ids), BATCH):
            batch = ids[start : start + BATCH]
            keys = [self._keys[id] for id in batch if id in self._keys]
            here = [id for id in batch if id in self._keys]
            for id, record in zip(here, await self._records(keys), strict=True):
                letter = decode(record.value) if record is not None else None
                if letter is not None:
                    yield msgspec.structs.replace(letter, id=id)

    # -- writing

    def _wake(self) -> None:
        if self._closed:
            return
        if asyncio._get_running_loop() is self._loop:
            self._start()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._start)

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._run(), name="actinium.deadletters.spool")

    async def _run(self) -> None:
        while self._waiting or self._doomed:
            try:
                await self._write()
                self._failed = False
            except StoreError as e:
                if not self._failed:
                    _log.error("dead letters cannot be written: %s; trying again", e)
                self._failed = True
                if self._closed:
                    return
                await asyncio.sleep(RETRY)

    async def _write(self) -> None:
        """Writes and deletes one batch. A letter removed meanwhile is deleted by the next."""
        batch = [self._waiting[id] for id in list(self._waiting)[:BATCH]]
        doomed = list(self._doomed)[:BATCH]
        outcomes = await asyncio.gather(
            *(self._save(letter) for letter in batch),
            *(self._store.delete(key) for key in doomed),
            return_exceptions=True,
        )
        for letter, outcome in zip(batch, outcomes, strict=False):
            if isinstance(outcome, BaseException):
                continue
            if self._waiting.pop(letter.id, None) is not None:
                self._keys[letter.id] = self._key(letter)
            else:
                self._doomed.add(self._key(letter))
        for key, outcome in zip(doomed, outcomes[len(batch) :], strict=True):
            if not isinstance(outcome, BaseException):
                self._doomed.discard(key)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _save(self, letter: DeadLetter) -> None:
        # A conflict is an earlier try of ours, whose outcome was unknown: the key is ours alone.
        with contextlib.suppress(SequenceConflict):
            await self._store.save(self._key(letter), encode(letter), 0)

    async def flush(self) -> None:
        """Returns when all is written; raises the StoreError of a write that fails."""
        while self._waiting or self._doomed:
            if self._task is not None and not self._task.done() and not self._failed:
                await asyncio.wait({self._task})
            else:
                await self._write()

    async def close(self, timeout: float) -> None:
        """Writes what waits, within the time; what is left then was not written, and is told."""
        try:
            async with asyncio.timeout(timeout):
                await self.flush()
        except (StoreError, TimeoutError) as e:
            _log.error("%d dead letters were not written: %s", len(self._waiting), e or "no time")
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
