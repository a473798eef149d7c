"""How much an actor lets wait, and what happens beyond that."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from actinium.errors import ConfigError

OnFull = Literal["reject", "drop_new", "drop_old", "block"]
Priority = Literal["critical", "high", "normal", "low"]

_POLICIES: tuple[str, ...] = get_args(OnFull)
_MAX = 2**32 - 1


class Mailbox(msgspec.Struct, frozen=True):
    """A bounded mailbox.

    At most ``capacity`` messages wait. On a full one ``tell`` is refused (``reject``; the
    message becomes a dead letter), the new message is dropped (``drop_new``) or the oldest of
    the least important lane is (``drop_old``); both are dead letters, and nothing goes in
    silence. ``block`` is ``reject`` for ``tell``, and says that senders should use
    ``await ref.send(...)``, which waits for room. ``lanes=4`` gives each priority its own queue
    (shares 8:4:2:1).
    """

    capacity: int = 1024
    on_full: OnFull = "reject"
    lanes: Literal[1, 4] = 1

    def __post_init__(self) -> None:
        if not 1 <= self.capacity <= _MAX:
            raise ConfigError(
                f"mailbox capacity must be 1..{_MAX}, got {self.capacity!r}; "
                "for no bound write ac.Unbounded()"
            )
        if self.on_full not in _POLICIES:
            raise ConfigError(
                f"mailbox policy {self.on_full!r} is unknown; use one of {', '.join(_POLICIES)}"
            )
        if self.lanes not in (1, 4):
            raise ConfigError(f"a mailbox has 1 or 4 lanes, got {self.lanes!r}")

    @property
    def policy(self) -> int:
        """The policy's number in the native core."""
        return _POLICIES.index(self.on_full)


def Unbounded(*, lanes: Literal[1, 4] = 1) -> Mailbox:
    """A mailbox without a bound: memory is the limit, so it has to be written out."""
    return Mailbox(capacity=_MAX, lanes=lanes)
