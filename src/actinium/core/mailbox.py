"""How much an actor lets wait, and what happens beyond that."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from actinium import _native
from actinium.errors import ConfigError

from .admission import Admission

OnFull = Literal["reject", "drop_new", "drop_old", "block", "drop_low", "overflow", "signal"]

_POLICIES: tuple[str, ...] = get_args(OnFull)  # in the order of the native core
_MAX = 2**32 - 1


class Mailbox(msgspec.Struct, frozen=True):
    """A bounded mailbox.

    At most ``capacity`` messages wait, and with ``max_bytes`` at most so many bytes of buffers
    and texts in them. Beyond that ``on_full`` decides about a ``tell``:

    - ``reject``: it is refused;
    - ``drop_new``: the same, under its own code;
    - ``drop_old``: it is taken, and the oldest message of the least important lane goes;
    - ``drop_low``: it is taken for the newest message of a less important lane, else refused;
    - ``overflow``: up to ``overflow`` more messages wait behind the mailbox, in their order;
    - ``signal``: up to twice the capacity is taken, while senders are told to slow down;
    - ``block``: refused; it says that senders should use ``await ref.send(...)``, which waits.

    What was refused or had to go is a dead letter; with ``record="count"`` it is only counted.
    ``lanes=4`` gives each priority its own queue (shares 8:4:2:1). From ``high`` (a part of the
    capacity) on senders hear that they should go slower, until the mailbox is down to ``low``;
    see ``ac.Pressure``. ``admission`` says what may come at all.
    """

    capacity: int = 1024
    on_full: OnFull = "reject"
    lanes: Literal[1, 4] = 1
    max_bytes: int = 0
    overflow: int = 0
    record: Literal["keep", "count"] = "keep"
    high: float = 0.8
    low: float = 0.5
    admission: Admission | None = None

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
        if self.on_full == "drop_low" and self.lanes != 4:
            raise ConfigError(
                'on_full="drop_low" gives up messages of lower lanes; write lanes=4 beside it'
            )
        if (self.on_full == "overflow") != (self.overflow > 0) or self.overflow < 0:
            raise ConfigError(
                'on_full="overflow" and overflow=N (1 or more) belong together, '
                f"got on_full={self.on_full!r}, overflow={self.overflow!r}"
            )
        if self.max_bytes < 0:
            raise ConfigError(f"max_bytes must be 0 (no bound) or more, got {self.max_bytes!r}")
        if self.record not in ("keep", "count"):
            raise ConfigError(f"record must be 'keep' or 'count', got {self.record!r}")
        if not 0 <= self.low < self.high <= 1:
            raise ConfigError(
                f"a mailbox needs 0 <= low < high <= 1, got low={self.low!r}, high={self.high!r}"
            )

    def limits(self) -> _native.Limits:
        """The same for the native core."""
        admission = self.admission if self.admission is not None else Admission()
        return _native.Limits(
            self.capacity,
            _POLICIES.index(self.on_full),
            self.lanes,
            self.overflow,
            self.max_bytes,
            self.high,
            self.low,
            admission.accept or None,
            admission.senders,
            admission.max_size,
            admission.interval_ns,
            admission.burst or admission.default_burst,
            admission.per == "sender",
            self.record == "count",
        )


def Unbounded(*, lanes: Literal[1, 4] = 1, admission: Admission | None = None) -> Mailbox:
    """A mailbox without a bound: memory is the limit, so it has to be written out."""
    return Mailbox(capacity=_MAX, lanes=lanes, admission=admission)
