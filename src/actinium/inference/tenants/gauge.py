"""The limits of one tenant or one key, as they are used."""

from __future__ import annotations

from math import ceil, inf
from typing import Final

from actinium.errors import TenantLimited

from ..limits.limiter import Charge, Limiter, Need
from ..limits.policy import RateLimits
from .policy import KeyLimits

_NAMES: Final = {"rpm": "requests per minute", "tpm": "tokens per minute"}
_HEADERS: Final = {"rpm": "requests", "tpm": "tokens"}
NOTHING: Final = Need(0, 0)


class Gauge:
    """Who is over it is refused at once. ``scope`` is what errors call it, as ``tenant:acme``."""

    __slots__ = ("_kinds", "_limiter", "counts_tokens", "limits", "scope")

    def __init__(self, scope: str, limits: KeyLimits) -> None:
        self.scope = scope
        self.limits = limits
        self.counts_tokens = limits.tpm is not None
        self._limiter = Limiter(
            RateLimits(rpm=limits.rpm, tpm=limits.tpm, concurrent=limits.concurrent)
        )
        self._kinds = list(self._limiter.meters)

    @property
    def running(self) -> int:
        """Requests at once, now."""
        return self._limiter.running

    def refusal(self, now: float, need: Need) -> TenantLimited | None:
        """Why a request cannot go now, if so."""
        wait = self._limiter.wait(now, need)
        if wait == 0:
            return None
        limits = self.limits
        if limits.concurrent is not None and self._limiter.running >= limits.concurrent:
            return TenantLimited(self.scope, f"{limits.concurrent} requests at once", 1.0)
        amounts = {"rpm": 1, "tpm": need.input + need.output}
        kind = max(self._kinds, key=lambda k: self._limiter.meters[k].wait(now, amounts[k]))
        limit = getattr(limits, kind)
        return TenantLimited(self.scope, f"{limit} {_NAMES[kind]}", 60.0 if wait == inf else wait)

    def take(self, now: float, need: Need) -> Charge:
        """Charges what :meth:`refusal` said None for."""
        return self._limiter.take(now, need)

    def settle(self, now: float, charge: Charge, real: Need) -> None:
        """The request has ended, and used so much."""
        self._limiter.settle(now, charge, real)

    def left(self, now: float) -> dict[str, tuple[int, int, float]]:
        """Of ``requests`` and ``tokens``: the limit, what is left of it, seconds until some of
        what is used is free again."""
        found = {}
        for kind, meter in self._limiter.meters.items():
            limit = getattr(self.limits, kind)
            used = meter.used(now)
            wait = meter.wait(now, limit) if used else 0.0
            found[_HEADERS[kind]] = (limit, max(0, limit - used), wait)
        return found

    def used(self, now: float) -> dict[str, int]:
        """What is used of ``rpm`` and ``tpm`` now, and how many requests run."""
        meters = self._limiter.meters.items()
        return {kind: meter.used(now) for kind, meter in meters} | {"concurrent": self.running}


def header_lines(gauges: tuple[Gauge, ...], now: float) -> bytes:
    """The lines that tell a client what is left, of the tightest of its limits; by the names that
    OpenAI uses (https://platform.openai.com/docs/guides/rate-limits)."""
    tightest: dict[str, tuple[int, int, float]] = {}
    for gauge in gauges:
        for what, told in gauge.left(now).items():
            if what not in tightest or told[1] < tightest[what][1]:
                tightest[what] = told
    return "".join(
        f"x-ratelimit-limit-{what}: {limit}\r\n"
        f"x-ratelimit-remaining-{what}: {left}\r\n"
        f"x-ratelimit-reset-{what}: {ceil(wait)}s\r\n"
        for what, (limit, left, wait) in tightest.items()
    ).encode()
