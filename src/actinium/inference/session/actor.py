"""One conversation: takes its turns one at a time and stores each before it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from actinium.core import Actor, Mailbox, Message, System, on
from actinium.errors import (
    BadRequest,
    InferenceError,
    SequenceConflict,
    SessionUnavailable,
    StoreError,
)
from actinium.store import Store

from ..answering import Answering
from ..chunk import Burst
from ..request import Message as ChatMessage
from ..request import Request
from .answer import Answer
from .window import Turn, advance, fresh, prompt

MAX_TURNS = 5_000
"""Turns one session may hold."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Turn).decode
_decode_places = msgspec.msgpack.Decoder(tuple[int, ...]).decode


def store_key(session: str) -> str:
    """Where the history of a session lies in the store."""
    return f"session/{session}"


async def erased(store: Store, session: str) -> tuple[frozenset[int], int]:
    """The answers of a session that were erased, from 1 on, and the revision of that record."""
    record = await store.load(store_key(session))
    if record is None:
        return frozenset(), 0
    return frozenset(_decode_places(record.value)), record.revision


Find = Callable[[str], Answering]
"""From the name of a model to what answers for it. Raises ModelNotFound."""

_finders: WeakKeyDictionary[System, Find] = WeakKeyDictionary()


def answer_with(system: System, find: Find) -> None:
    """Says who answers the turns of the sessions that live in this process's part of a system."""
    _finders[system] = find


class TakeTurn(Message, frozen=True):
    """Answer a request with the session's history before it."""

    request: Request


class Session(Actor, mailbox=Mailbox(capacity=8), passivate=600.0):
    """The actor behind a session id.

    A turn is stored whole, in one append, after its last token and before its end is passed on
    (SE-2): an answer that a client saw end is durable, and one that broke off leaves no trace.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self._turns: list[Turn] = []
        self._start = 0
        self._loaded = False
        self._erased: frozenset[int] = frozenset()

    @on(raises=(InferenceError,))
    async def turn(self, m: TakeTurn) -> AsyncGenerator[Burst]:
        await self._load()
        self._check_turn(m.request.after)
        replica = self._answering(m.request.model)
        new = fresh(self._turns, m.request.messages)
        if not new:
            raise BadRequest(
                "messages holds nothing that the session does not know already; "
                "send the new user message",
                "messages",
            )
        if len(self._turns) >= MAX_TURNS:
            raise BadRequest(f"session {self.key!r} holds {MAX_TURNS} turns; start a new one")
        request = self._with_history(m.request, new, replica)
        answer = Answer()
        stored = False
        source = replica.generate(request)
        try:
            async for burst in source:
                answer.add(burst)
                if answer.finish is not None and not stored:
                    stored = True
                    await self._commit(request, new, answer)
                yield burst
        finally:
            await source.aclose()

    def _answering(self, model: str) -> Answering:
        find = _finders.get(self.ctx.system)
        if find is None:
            raise SessionUnavailable("this process serves no models for its sessions")
        return find(model)

    def _check_turn(self, after: int | None) -> None:
        """A request that goes on after a certain turn finds that one to be the last."""
        held = len(self._turns)
        if after is None or (after == held and after not in self._erased):
            return
        if after > held or after in self._erased:
            raise BadRequest(
                f"previous_response_id: this server keeps no answer {after} of this conversation; "
                "it was forgotten, or it never ended",
                "previous_response_id",
                "previous_response_not_found",
            )
        raise BadRequest(
            f"previous_response_id: this conversation has gone on since its answer {after}, there "
            f"are {held}; go on after the last one, or send the conversation in input: kept "
            "conversations have no branches",
            "previous_response_id",
            "previous_response_not_last",
        )

    def _with_history(
        self, request: Request, new: tuple[ChatMessage, ...], replica: Answering
    ) -> Request:
        runner = replica.runner

        def count(messages: tuple[ChatMessage, ...]) -> int:
            asked = msgspec.structs.replace(request, messages=messages)
            return runner.count_tokens(asked) or 0

        context = runner.capabilities().context
        if context is not None and runner.count_tokens(request) is not None:
            output = min(request.sampling.max_tokens or context // 4, context // 2)
            self._start = advance(self._turns, self._start, new, context - output, count)
        messages = prompt(self._turns, self._start, new)
        return msgspec.structs.replace(request, messages=messages, estimate=None)

    async def _commit(self, request: Request, new: tuple[ChatMessage, ...], answer: Answer) -> None:
        usage = answer.usage
        turn = Turn(
            messages=(*new, answer.message()),
            model=request.model,
            finish=answer.finish or "",
            input_tokens=usage.input if usage is not None else 0,
            output_tokens=usage.output if usage is not None else 0,
            note=request.note,
            usage=usage if request.note is not None else None,
        )
        try:
            await self._store.append(store_key(self.key), [_encode(turn)], len(self._turns))
        except SequenceConflict as e:
            self._loaded = False
            raise SessionUnavailable(
                f"session {self.key!r} was continued by another server meanwhile; send the turn "
                "again"
            ) from e
        except StoreError as e:
            self._loaded = False
            raise SessionUnavailable(f"session {self.key!r} could not be stored: {e}") from e
        self._turns.append(turn)

    async def _load(self) -> None:
        if self._loaded:
            return
        try:
            rows = await self._store.read(store_key(self.key))
            self._turns = [_decode(row) for _, row in rows]
            self._erased = (await erased(self._store, self.key))[0]
        except (StoreError, msgspec.DecodeError) as e:
            raise SessionUnavailable(f"session {self.key!r} could not be read: {e}") from e
        self._start = 0
        self._loaded = True

    @property
    def _store(self) -> Store:
        store: Any = self.ctx.system.store
        if store is None:
            raise SessionUnavailable("this server has no store to keep sessions in")
        found: Store = store
        return found
