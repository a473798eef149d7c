"""How the worker processes of a system are kept running."""

from __future__ import annotations

import msgspec

from actinium.errors import ConfigError

from .supervision import OneForOne

MOST = 256


class Workers(msgspec.Struct, frozen=True):
    """``System(workers=ac.Workers(4, hang=20.0))``: so many processes, kept running like this.

    ``restart``: how a process that ended is started again (one window for each worker's number);
    beyond its limit ``on_limit`` follows: ``escalate`` ends the system, ``stop`` gives that
    worker up, and its actors move to the others. All times are seconds. A worker shows every
    ``heartbeat`` that its event loop turns; after ``hang`` without that it is killed and started
    again (0: never). Its limit has to be longer than the longest handler that computes without
    ``await``. ``reconnect``: how long a process may be out of reach, its connection broken,
    before it is killed. ``start_limit`` and ``end_limit``: how long it may take until it serves,
    and until it has ended.
    """

    count: int
    restart: OneForOne = OneForOne(max_restarts=10, within=60.0, backoff=(0.1, 10.0))
    heartbeat: float = 1.0
    hang: float = 60.0
    reconnect: float = 10.0
    start_limit: float = 30.0
    end_limit: float = 5.0

    def __post_init__(self) -> None:
        count = self.count
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= MOST:
            raise ConfigError(f"workers is a number of processes, 0 to {MOST}, got {count!r}")
        if not isinstance(self.restart, OneForOne):
            raise ConfigError(
                f"Workers(restart=...) is an ac.OneForOne(...), got {self.restart!r}: "
                "each worker is restarted alone"
            )
        if self.restart.on_limit == "quarantine":
            raise ConfigError(
                "Workers(restart=OneForOne(on_limit='quarantine')): a process cannot be "
                "quarantined; use 'escalate' or 'stop'"
            )
        for name in ("heartbeat", "start_limit", "end_limit"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"Workers({name}=...) is above 0 s, got {getattr(self, name)!r}")
        if not self.reconnect >= 0:
            raise ConfigError(f"Workers(reconnect=...) is 0 s or more, got {self.reconnect!r}")
        if self.hang and not self.hang >= 2 * self.heartbeat:
            raise ConfigError(
                f"Workers(hang=...) is 0 (never) or at least two heartbeats "
                f"({2 * self.heartbeat:g} s), got {self.hang!r}"
            )
