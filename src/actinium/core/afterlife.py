"""What refs of a system meet after it has ended: clear refusals, and nothing lost in silence.

These hooks take the place of the living ones when the core closes. They know the dead letters
only weakly: the letters hold refs, refs hold the core, and the core holds these hooks.
"""

from __future__ import annotations

import weakref
from typing import Any

from actinium import _native
from actinium.errors import ActorStopped, HandlerError, UsageError

from .deadletters import DeadLetters
from .join import Join
from .message import is_message
from .put import ACCEPTED, Put
from .stream import Channel
from .undelivered import messages_of

_GONE = "its system has ended"


class Afterlife:
    """The hooks of a closed core."""

    accepted = ACCEPTED
    join_type = Join

    def __init__(self, dead_letters: DeadLetters) -> None:
        self._dead_letters = weakref.ref(dead_letters)

    def is_message(self, cls: type) -> bool:
        return is_message(cls)

    def refused(self, cell: Any, msg: Any, sender: Any, extra: Any, code: int) -> Put:
        self.closed(cell, msg, sender, extra)
        return Put(ok=False, code="closed", depth=0, capacity=cell.capacity)

    def closed(self, cell: Any, msg: Any, sender: Any, extra: Any) -> None:
        error = ActorStopped(f"{cell.path} has stopped: {_GONE}")
        if isinstance(extra, _native.Reply):
            if not extra.done():
                extra.reject(error)
        elif isinstance(extra, _native.Envelope) and isinstance(extra.stream, Channel):
            extra.stream.fail(error)
        else:
            letters = self._dead_letters()
            if letters is not None:
                for one in messages_of(msg, extra):
                    letters.record("actor_stopped", cell, sender, one)

    unhandled = expired = closed

    def failed(
        self, cell: Any, msg: Any, sender: Any, extra: Any, handler: Any, failure: BaseException
    ) -> bool:
        if isinstance(extra, _native.Reply) and not extra.done():
            extra.reject(HandlerError(f"{cell.path} failed after the end: {failure}", failure))
        return False

    def spawn(self, parent: Any, cls: Any, args: Any, kwargs: Any, failure: Any) -> Any:
        raise UsageError(f"{cls!r} cannot be spawned: {_GONE}")

    def timeout(self, reply: _native.Reply) -> Exception:
        return ActorStopped(f"{reply.target.path} has stopped: {_GONE}")

    def cycle(self, path: tuple[Any, ...]) -> Exception:
        return ActorStopped(f"{path[1].path} has stopped: {_GONE}")

    def led_away(self, asker: Any, reply: Any) -> None:
        """No ask is under way any more."""

    def stream(self, cell: Any, generator: Any, channel: Channel) -> Any:
        raise ActorStopped(f"{cell.path} has stopped: {_GONE}")

    def system(self, cell: Any, flags: int) -> None:
        """Nothing starts or stops any more."""

    def noticed(self, watcher: Any, notice: Any) -> bool:
        return False

    def room(self, cell: Any) -> None:
        """Nobody waits for room any more."""

    def pressed(self, cell: Any, sender: Any, overflowed: bool) -> Put:
        return ACCEPTED

    def shifted(self, cell: Any) -> None:
        """Nobody sends any more."""

    def memory(self, level: int) -> None:
        """Nothing is left to be done about it."""

    def orphans(self, cell: Any) -> None:
        """Nobody waits for children any more."""

    def spawned(self, cell: Any) -> None:
        """Nobody listens any more."""

    ended = spawned

    def idle(self) -> None:
        """Nobody waits for quiet any more."""
