"""The declarative description of one served model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from actinium.errors import ConfigError

from .limits.policy import BreakerPolicy, Budget, Hedge, Price, RateLimits, RetryPolicy

MAX_FALLBACKS = 4

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds: to connect, to the first event, between events, and for the whole answer."""

    connect: float = 5.0
    first_byte: float = 60.0
    inter_chunk: float = 30.0
    total: float = 600.0


class Deployment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model under one public name.

    ``model`` is the upstream's name or ``"embedded"``; ``runtime`` is one of ``RUNTIMES`` in
    :mod:`actinium.inference.choice`, a name that another package offers, or
    ``"package.module:Class"`` (None: chosen from the model). ``credentials`` is a secret reference
    such as ``"env:OPENAI_API_KEY"``, or several: the load is spread over the keys, and one that is
    refused rests while the others serve. At most ``max_concurrent`` requests run and ``queue``
    more wait, each at most ``queue_timeout`` seconds; the next one is refused at once.

    ``replicas`` are the addresses of further servers of the same model, beside ``base_url``; a
    chat goes to the one that knows its beginning. ``limits``, ``budget``, ``retry`` and ``breaker``
    are off unless given; ``fallback`` names deployments that take over, in this order, where this
    one fails before its first content, is over its limits or rests. ``price`` is for models that
    are not in the price table. ``idempotent=False`` says that no request may be made twice.
    ``hedge`` begins a second attempt beside a slow one. ``continuation`` lets another server, or a
    fallback, go on with a stream of text that broke off, where it can be told the beginning.
    """

    name: str
    model: str = "embedded"
    runtime: str | None = None
    base_url: str | None = None
    credentials: str | tuple[str, ...] | None = None
    aliases: tuple[str, ...] = ()
    max_concurrent: int = 256
    queue: int = 1024
    queue_timeout: float = 30.0
    timeouts: Timeouts = Timeouts()
    options: dict[str, Any] = {}
    replicas: tuple[str, ...] = ()
    limits: RateLimits | None = None
    budget: Budget | None = None
    price: Price | Literal["free"] | None = None
    retry: RetryPolicy | None = None
    breaker: BreakerPolicy | None = None
    fallback: tuple[str, ...] = ()
    idempotent: bool = True
    hedge: Hedge | None = None
    continuation: bool = False

    def __post_init__(self) -> None:
        for name in (self.name, *self.aliases):
            if not _NAME.fullmatch(name):
                raise ConfigError(
                    f"deployment name {name!r}: expected 1-63 of a-z, 0-9, '.', '_', '-', "
                    "starting with a letter or digit"
                )
        keys = self.credentials
        if isinstance(keys, tuple) and (not keys or len(set(keys)) < len(keys)):
            raise ConfigError(
                f"deployment {self.name!r}: credentials: expected one reference or several "
                f"different ones, got a list of {len(keys)}"
            )
        for field in ("max_concurrent", "queue_timeout"):
            if getattr(self, field) <= 0:
                raise ConfigError(
                    f"deployment {self.name!r}: {field} must be above 0, "
                    f"got {getattr(self, field)!r}"
                )
        if len(self.fallback) > MAX_FALLBACKS or len({self.name, *self.fallback}) <= len(
            self.fallback
        ):
            raise ConfigError(
                f"deployment {self.name!r}: fallback takes up to {MAX_FALLBACKS} other "
                f"deployments, each once, got {list(self.fallback)!r}"
            )
        if self.replicas and self.base_url is None:
            raise ConfigError(
                f"deployment {self.name!r}: replicas are further servers beside base_url, "
                "which is not set"
            )
        if self.hedge is not None and not self.idempotent:
            raise ConfigError(
                f"deployment {self.name!r}: hedge makes a request twice, and idempotent = false "
                "says that none may be; leave one of them out"
            )
        if self.continuation and not (self.fallback or self.replicas):
            raise ConfigError(
                f"deployment {self.name!r}: continuation needs somebody who goes on: name a "
                "fallback or replicas"
            )
        if self.queue < 0:
            raise ConfigError(f"deployment {self.name!r}: queue must be 0 or more")


def wants_chain(deployment: Deployment) -> bool:
    """Whether a deployment has anything that its replica alone does not do."""
    d = deployment
    policies = d.limits or d.budget or d.retry or d.breaker or d.price or d.hedge
    return bool(policies or d.fallback or d.replicas)


def wrong_fallback(deployments: Sequence[Deployment]) -> tuple[int, str] | None:
    """The place of the first deployment with a fallback that is no other deployment, and the
    complaint about it; None where all are right."""
    names = {name: d.name for d in deployments for name in (d.name, *d.aliases)}
    for at, deployment in enumerate(deployments):
        for name in deployment.fallback:
            if names.get(name, deployment.name) == deployment.name:
                known = ", ".join(repr(n) for n, of in names.items() if of != deployment.name)
                return at, (
                    f"deployment {deployment.name!r}: fallback {name!r} is no other deployment; "
                    f"there are: {known or 'none'}"
                )
    return None
