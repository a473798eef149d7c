"""State that outlives its actor: written before the reply, read before the first message."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar

import msgspec

from actinium.errors import ConfigError, StoreCorrupt, UsageError
from actinium.store import Store

from .actor import Actor
from .handler import where


class Durable(Actor):
    """An entity whose ``state`` is in the system's store.

    The subclass names an immutable state type, ``State``, and replaces ``self.state`` in its
    handlers. A changed state is written before the handler's answer goes out, so an answer
    means: stored (PS-1). Of two writers of one key, one gets SequenceConflict (PS-3).

    >>> class Balance(msgspec.Struct, frozen=True):
    ...     cents: int = 0
    >>> class Account(Durable, passivate=600):
    ...     State = Balance
    ...     @on
    ...     def pay(self, m: Pay) -> int:
    ...         self.state = Balance(self.state.cents + m.cents)
    ...         return self.state.cents
    """

    _needs_store = True
    State: ClassVar[type[msgspec.Struct]]
    state: Any

    def __init__(self, key: str) -> None:
        self.key = key
        self._revision = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        state = getattr(cls, "State", None)
        config = getattr(state, "__struct_config__", None)
        if config is None or not config.frozen:
            raise UsageError(
                f"{cls.__qualname__} needs its state's type: write `State = MyState` with "
                "`class MyState(msgspec.Struct, frozen=True)`"
            )
        tables = (cls._handlers, *cls._state_handlers.values())
        for fn in [fn for table in tables for fn in table.values()]:
            if inspect.isasyncgenfunction(fn):
                raise UsageError(
                    f"{where(fn)} is a stream, whose state would not be stored; let it ask a "
                    "handler that returns a value, or use a plain ac.Actor with the store"
                )

    @property
    def _store(self) -> Store:
        store = self.ctx.system.store
        if store is None:
            raise ConfigError(
                f"{type(self).__qualname__} is durable and the system has no store; "
                'write ac.System(store=await ac.SqliteStore.open("state.db"))'
            )
        return store

    @property
    def _store_key(self) -> str:
        return f"state/{type(self).__qualname__}/{self.key}"

    async def started(self) -> None:
        """Reads the state back; a first activation starts with ``State()``."""
        record = await self._store.load(self._store_key)
        if record is None:
            self.state = self.State()
            return
        try:
            self.state = msgspec.msgpack.decode(record.value, type=self.State)
        except msgspec.DecodeError as e:
            raise StoreCorrupt(
                f"the stored state of {self._store_key!r} is no {self.State.__qualname__}: {e}"
            ) from e
        self._revision = record.revision

    async def _save(self) -> None:
        value = msgspec.msgpack.encode(self.state)
        self._revision = await self._store.save(self._store_key, value, self._revision)

    @classmethod
    def _wrap(cls, fn: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(fn)
        async def durable(self: Durable, message: Any) -> Any:
            before = self.state
            try:
                outcome = fn(self, message)
                if inspect.isawaitable(outcome):
                    outcome = await outcome
                if self.state is not before:
                    await self._save()
            except BaseException:
                self.state = before  # what was not stored did not happen
                raise
            return outcome

        return durable
