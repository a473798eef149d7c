"""The limits of one tenant or one key, as they are used."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from math import inf
from typing import Final

from actinium._native import Bounds, Charge
from actinium.errors import TenantLimited

from ..limits.limiter import KINDS, Demand, Limiter, Need
from ..limits.policy import RateLimits
from .policy import KeyLimits

_NAMES: Final = {"rpm": "requests per minute", "tpm": "tokens per minute"}
_WORDS: Final = {"rpm": b"requests", "tpm": b"tokens"}
_LINES: Final = (
    b"x-ratelimit-limit-%b: %%d\r\nx-ratelimit-remaining-%b: %%d\r\nx-ratelimit-reset-%b: %%ds\r\n"
)
NOTHING: Final = Need(0, 0)


class Gauge:
    """Who is over it is refused at once. ``scope`` is what errors call it, as ``tenant:acme``."""

    __slots__ = ("counts_tokens", "limiter", "limits", "scope")

    def __init__(self, scope: str, limits: KeyLimits) -> None:
        self.scope = scope
        self.limits = limits
        self.counts_tokens = limits.tpm is not None
        self.limiter = Limiter(
            RateLimits(rpm=limits.rpm, tpm=limits.tpm, concurrent=limits.concurrent)
        )

    @property
    def running(self) -> int:
        """Requests at once, now."""
        return self.limiter.running

    def refusal(self, now: float, need: Need) -> TenantLimited | None:
        """Why a request cannot go now, if so."""
        wait = self.limiter.wait(now, need)
        if wait == 0:
            return None
        limits = self.limits
        places = self.limiter.concurrent
        if places is not None and self.limiter.running >= places:
            return TenantLimited(self.scope, f"{limits.concurrent} requests at once", 1.0)
        meters = self.limiter.meters
        amounts = {"rpm": 1, "tpm": need.input + need.output}
        kind = max(meters, key=lambda k: meters[k].wait(now, amounts[k]))
        limit = getattr(limits, kind)
        if self.limiter.group is not None:
            wait = max(1.0, meters[kind].hope(now, amounts[kind]))
        return TenantLimited(self.scope, f"{limit} {_NAMES[kind]}", 60.0 if wait == inf else wait)

    async def borrow(self, now: float, need: Need) -> None:
        """Where other processes have these limits as well, and this one lacks what a request
        needs: asks them for it."""
        if self.limiter.group is not None and self.limiter.wait(now, need) > 0:
            await self.limiter.group.ask(Demand(1, need.input, need.output).of)

    def used(self, now: float) -> dict[str, int]:
        """What is used of ``rpm`` and ``tpm`` now, and how many requests run."""
        meters = self.limiter.meters.items()
        return {kind: meter.used(now) for kind, meter in meters} | {"concurrent": self.running}


class Gauges:
    """All gauges of one key: a request is charged to all of them, or to none."""

    __slots__ = ("_bounds", "_each", "_form", "counts_tokens")

    def __init__(self, gauges: Sequence[Gauge]) -> None:
        self._each = tuple(gauges)
        self._bounds = Bounds(*(gauge.limiter.bound for gauge in gauges))
        self.counts_tokens = any(gauge.counts_tokens for gauge in gauges)
        kinds = {kind for gauge in gauges for kind in gauge.limiter.meters}
        words = [_WORDS[kind] for kind in KINDS if kind in kinds]
        self._form = b"".join(_LINES % (word, word, word) for word in words)

    async def borrow(self, need: Need) -> None:
        """See :meth:`Gauge.borrow`."""
        for gauge in self._each:
            await gauge.borrow(asyncio.get_running_loop().time(), need)

    def take(self, now: float, need: Need, *, shared: bool) -> Charge:
        """Charges a need at a time of the loop; ``shared`` says that other processes have these
        limits as well, and this one a part of each. Raises TenantLimited."""
        if not shared:
            taken, given = need.input, need.output
            charge = self._bounds.take(now, 1, taken + given, taken, given)
            if charge is not None:
                return charge
        for gauge in self._each:
            refusal = gauge.refusal(now, need)
            if refusal is not None:
                raise refusal
        return self._bounds.force(now, *need.amounts)

    def headers(self, now: float) -> bytes:
        """The lines that tell a client what is left of the tightest of its limits, and in how
        many seconds all of it is free again; by the names that OpenAI uses
        (https://platform.openai.com/docs/guides/rate-limits)."""
        return self._form % self._bounds.tightest(now)
