"""What this process waits for from others: answers, room in mailboxes, items of streams."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from actinium import _native
from actinium.core.put import ACCEPTED, Put
from actinium.core.stream import Channel
from actinium.errors import DecodeError, WorkerDied

from . import entries as e
from .flow import Reader
from .letter import Letter
from .link import Link

if TYPE_CHECKING:
    from .node import Node


class Asked:
    """Asks, offers and streams under way to other processes, by the numbers they have outside."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._next = itertools.count(1)
        self._asked: dict[int, tuple[_native.Reply, Link]] = {}
        self._numbers: dict[_native.Reply, tuple[int, Link, int]] = {}  # and frames sent before
        self._offers: dict[int, tuple[asyncio.Future[Put], Link]] = {}
        self._readers: dict[int, tuple[Reader, Channel]] = {}
        self.takers: dict[type, Callable[[Link, Any, Any], None]] = {
            e.Answer: self._answer,
            e.Failed: self._failed,
            e.Item: self._item,
            e.End: self._end,
        }

    def request(self, link: Link, letter: Letter, head: Any) -> Callable[[], Any]:
        """What makes the entry of an ask, a stream or an offer; its answer is waited for now."""
        own = next(self._next)
        extra = letter.extra
        deadline = getattr(extra, "deadline", None)
        head += (deadline, letter.lane, getattr(extra, "urgent", False), own)
        if isinstance(extra, _native.Reply):
            self._asked[own] = (extra, link)
            self._numbers[extra] = (own, link, link.session.sent)
            extra.add_done_callback(functools.partial(self._ask_done, own))

            def ask() -> Any:
                return None if extra.done() else e.Ask(*head)

            return ask
        if letter.offer is not None:
            self._offers[own] = (letter.offer, link)
            return functools.partial(e.Offer, *head)
        channel = extra.stream
        head += (channel.window,)
        self._readers[own] = (Reader(link, own, channel), channel)

        def stream() -> Any:
            if channel.ended:
                self._readers.pop(own, None)
                return None
            return e.Open(*head)

        return stream

    def reply_of(self, number: int) -> _native.Reply | None:
        """The reply of an ask under way."""
        found = self._asked.get(number)
        return found[0] if found is not None else None

    def way_of(self, reply: _native.Reply) -> tuple[int, Link, bool] | None:
        """Under which number, over which link an ask is under way, and whether it may have left
        already."""
        known = self._numbers.get(reply)
        if known is None:
            return None
        number, link, sent = known
        return number, link, link.session.sent != sent

    def _ask_done(self, number: int, reply: _native.Reply) -> None:
        self._numbers.pop(reply, None)
        found = self._asked.pop(number, None)
        if found is not None and found[1].up:  # cancelled or out of time here
            found[1].say(e.Cancel(number))

    def _answer(self, link: Link, entry: e.Answer, buffers: Any) -> None:
        asked = self._asked.get(entry.id)
        offer = self._offers.get(entry.id)
        try:
            value = self._node.unpack(link, entry, buffers)
        except DecodeError as error:
            self._fail(link, entry.id, error)
            return
        if asked is not None and asked[1] is link:
            del self._asked[entry.id]
            if not asked[0].done():
                asked[0].resolve(value)
        elif offer is not None and offer[1] is link:
            del self._offers[entry.id]
            if not offer[0].done():
                ok, code = value
                offer[0].set_result(Put(ok=ok, code=code) if code != "accepted" else ACCEPTED)

    def _failed(self, link: Link, entry: e.Failed, _: Any) -> None:
        self._fail(link, entry.id, self._node.unpack_failure(link, entry.failure))

    def _fail(self, link: Link, number: int, error: BaseException) -> None:
        asked = self._asked.get(number)
        offer = self._offers.get(number)
        reader = self._readers.get(number)
        if asked is not None and asked[1] is link:
            del self._asked[number]
            if not asked[0].done():
                asked[0].reject(error)
        elif offer is not None and offer[1] is link:
            del self._offers[number]
            if not offer[0].done():
                offer[0].set_exception(error)
        elif reader is not None and reader[0].link is link:
            del self._readers[number]
            reader[1].fail(error)

    def _item(self, link: Link, entry: e.Item, buffers: Any) -> None:
        found = self._readers.get(entry.id)
        if found is None or found[0].link is not link:
            return  # its reader has left meanwhile
        reader, channel = found
        if not channel.ended:
            try:
                reader.took(self._node.unpack(link, entry, buffers))
            except DecodeError as error:
                self._fail(link, entry.id, error)
                link.say(e.Cancel(entry.id))

    def _end(self, link: Link, entry: e.End, _: Any) -> None:
        found = self._readers.get(entry.id)
        if found is not None and found[0].link is link:
            del self._readers[entry.id]
            found[1].end()

    def cancel_stream(self, channel: Channel) -> bool:
        """The reader of a stream here has left."""
        for number, (reader, known) in self._readers.items():
            if known is channel:
                del self._readers[number]
                if reader.link.up:
                    reader.link.say(e.Cancel(number))
                return True
        return False

    def down(self, index: int, incarnation: int, error: WorkerDied) -> None:
        """A process has ended: what was asked of it fails."""
        for number, (reply, old) in list(self._asked.items()):
            if old.index == index and old.incarnation == incarnation:
                del self._asked[number]
                if not reply.done():
                    reply.reject(error)
        for number, (offer, old) in list(self._offers.items()):
            if old.index == index and old.incarnation == incarnation:
                del self._offers[number]
                if not offer.done():
                    offer.set_exception(error)
        for number, (reader, channel) in list(self._readers.items()):
            if reader.link.index == index and reader.link.incarnation == incarnation:
                del self._readers[number]
                channel.fail(error)
