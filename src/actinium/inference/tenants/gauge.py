"""The limits of one tenant or one key, as they are used."""

from __future__ import annotations

from math import inf
from typing import Final

from actinium.errors import TenantLimited

from ..limits.limiter import Charge, Demand, Limiter, Need
from ..limits.meter import Meter
from ..limits.policy import RateLimits
from .policy import KeyLimits

_NAMES: Final = {"rpm": "requests per minute", "tpm": "tokens per minute"}
_WORDS: Final = {"rpm": b"requests", "tpm": b"tokens"}
_LINES: Final = (
    b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %%d\r\nx-ratelimit-reset-%b: %%ds\r\n"
)
NOTHING: Final = Need(0, 0)


class Gauge:
    """Who is over it is refused at once. ``scope`` is what errors call it, as ``tenant:acme``."""

    __slots__ = ("_kinds", "counts_tokens", "limiter", "limits", "meters", "scope")

    def __init__(self, scope: str, limits: KeyLimits) -> None:
        self.scope = scope
        self.limits = limits
        self.counts_tokens = limits.tpm is not None
        self.limiter = Limiter(
            RateLimits(rpm=limits.rpm, tpm=limits.tpm, concurrent=limits.concurrent)
        )
        self._kinds = list(self.limiter.meters)
        self.meters = [
            (kind, _LINES % ((what := _WORDS[kind]), (limit := getattr(limits, kind)), what, what),
             limit, meter)
            for kind, meter in self.limiter.meters.items()
        ]  # fmt: skip

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
        kind = max(self._kinds, key=lambda k: meters[k].wait(now, amounts[k]))
        limit = getattr(limits, kind)
        if self.limiter.group is not None:
            wait = max(1.0, meters[kind].hope(now, amounts[kind]))
        return TenantLimited(self.scope, f"{limit} {_NAMES[kind]}", 60.0 if wait == inf else wait)

    async def borrow(self, now: float, need: Need) -> None:
        """Where other processes have these limits as well, and this one lacks what a request
        needs: asks them for it."""
        if self.limiter.group is not None and self.limiter.wait(now, need) > 0:
            await self.limiter.group.ask(Demand(1, need.input, need.output).of)

    def take(self, now: float, need: Need) -> Charge:
        """Charges what :meth:`refusal` said None for."""
        return self.limiter.take(now, need)

    def settle(self, now: float, charge: Charge, real: Need) -> None:
        """The request has ended, and used so much."""
        self.limiter.settle(now, charge, real)

    def used(self, now: float) -> dict[str, int]:
        """What is used of ``rpm`` and ``tpm`` now, and how many requests run."""
        meters = self.limiter.meters.items()
        return {kind: meter.used(now) for kind, meter in meters} | {"concurrent": self.running}


def header_lines(gauges: tuple[Gauge, ...], now: float) -> bytes:
    """The lines that tell a client what is left, of the tightest of its limits, and in how many
    seconds all of it is free again; by the names that OpenAI uses
    (https://platform.openai.com/docs/guides/rate-limits)."""
    if len(gauges) == 1:
        told = [
            (form, limit - meter.total(now), meter) for _, form, limit, meter in gauges[0].meters
        ]
    else:
        tightest: dict[str, tuple[bytes, int, Meter]] = {}
        for gauge in gauges:
            for kind, form, limit, meter in gauge.meters:
                left = limit - meter.total(now)
                if kind not in tightest or left < tightest[kind][1]:
                    tightest[kind] = (form, left, meter)
        told = list(tightest.values())
    second = int(now)
    return b"".join(
        [form % (left if left > 0 else 0, meter.free_in(second)) for form, left, meter in told]
    )
