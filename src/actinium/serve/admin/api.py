"""What the endpoints of the admin API do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from actinium.errors import BadRequest, ConfigError, Conflict, InferenceError
from actinium.inference.guard import Guard
from actinium.inference.service import Inference
from actinium.inference.tenants import Keyring, KeySpec
from actinium.inference.tenants.record import KeyRecord

from ..context import Call, Context, Handler
from ..openai.errors import bad_body
from ..openai.shapes import encode
from . import usage
from .shapes import (
    Apply,
    Breakers,
    BreakerView,
    Deployments,
    DeploymentView,
    DrainBody,
    Drained,
    Force,
    KeyMade,
    KeyView,
    KeyViews,
    LimitView,
    LimitViews,
    Rotate,
    UsageRows,
    limits_of,
)

_audit = logging.getLogger("actinium.audit")

Action = Callable[[Call], Awaitable[Any]]


class AdminApi:
    """The operator's view of a gateway. Each change is a line of the log ``actinium.audit``: what
    was done to what, under which request id, and whether it worked."""

    def __init__(self, inference: Inference, keyring: Keyring | None) -> None:
        self._inference = inference
        self._keyring = keyring

    # -- deployments

    async def deployments(self, call: Call) -> Deployments:
        """All deployments and how they do."""
        return self._deployments()

    async def apply(self, call: Call) -> Deployments:
        """Serves other deployments from now on, without losing a request."""
        body = _body(call, Apply)
        await self._inference.apply(body.deployments, drain=body.drain, generation=body.generation)
        return self._deployments()

    async def drain(self, call: Call) -> Drained:
        """Takes a deployment out of service, and waits until it is; applying brings it back."""
        name = call.param("name")
        body = _body(call, DrainBody)
        name = self._inference.replica(name).deployment.name
        cut_off = await self._inference.drain(name, body.seconds)
        found = self._inference.statistics().get(name)  # another change may have taken it away
        state = found["state"] if found is not None else "closed"
        return Drained(name=name, state=state, cut_off=cut_off)

    # -- breakers and limits

    async def breakers(self, call: Call) -> Breakers:
        """The breakers of all deployments that have one."""
        return Breakers(tuple(_breaker(guard) for guard in self._guards()))

    async def force(self, call: Call) -> BreakerView:
        """Opens a breaker for a while, or closes it."""
        name = call.param("name")
        body = _body(call, Force)
        guard = self._inference.guard(name)
        if guard is None:
            raise Conflict(f"the deployment {name!r} has no breaker: it has nothing of `limits`")
        if body.state == "open":
            guard.breaker.force_open(body.seconds)
        else:
            guard.breaker.force_close()
            guard.rest(0)
        return _breaker(guard)

    async def limits(self, call: Call) -> LimitViews:
        """What may be used and what is, of deployments, tenants and keys."""
        found = []
        for guard in self._guards():
            limiter = guard.gate.limiter
            limits = limits_of(guard.deployment.limits)
            ratios = guard.statistics()["used"]
            used = {kind: round(ratios[kind] * limit) for kind, limit in limits.items()
                    if kind in ratios}  # fmt: skip
            found.append(
                LimitView(
                    scope=f"deployment:{guard.name}", limits=limits,
                    used=used | {"concurrent": limiter.running}, waiting=guard.gate.waiting,
                    budget_used=guard.purse.used_ratio() if guard.purse is not None else None,
                )
            )  # fmt: skip
        return LimitViews((*found, *self._key_limits()))

    # -- keys

    async def keys(self, call: Call) -> KeyViews:
        """All keys, without their secrets."""
        return KeyViews(tuple(_key(record) for record in self._ring().records()))

    async def key(self, call: Call) -> KeyView:
        """One key, without its secret."""
        return _key(self._ring().key(call.param("id")))

    async def create(self, call: Call) -> KeyMade:
        """Makes a key. The answer holds it, and nothing ever will again."""
        made = await self._ring().create(_body(call, KeySpec))
        return _made(made.record, made.secret.reveal())

    async def rotate(self, call: Call) -> KeyMade:
        """Gives a key a new secret; the old one works on for a while."""
        body = _body(call, Rotate)
        made = await self._ring().rotate(call.param("id"), body.overlap)
        return _made(made.record, made.secret.reveal())

    async def disable(self, call: Call) -> KeyView:
        """Refuses a key from now on."""
        return _key(await self._ring().disable(call.param("id")))

    async def enable(self, call: Call) -> KeyView:
        """Lets a disabled key in again."""
        return _key(await self._ring().disable(call.param("id"), False))

    async def delete(self, call: Call) -> None:
        """Forgets a key; what it used stays in the accounts."""
        await self._ring().delete(call.param("id"))

    # -- usage

    async def usage(self, call: Call) -> UsageRows:
        """What was used, summed by day, tenant, key or deployment."""
        asked = usage.question(call.request.query)
        accounts = self._inference.accounts
        return UsageRows(usage.answer(accounts.usage(), asked) if accounts is not None else ())

    # -- inside

    def _guards(self) -> list[Guard]:
        names = (deployment.name for deployment in self._inference.deployments)
        return [guard for name in names if (guard := self._inference.guard(name)) is not None]

    def _deployments(self) -> Deployments:
        inference = self._inference
        counts = inference.statistics()
        return Deployments(
            generation=inference.generation,
            deployments=tuple(
                DeploymentView(
                    name=d.name, model=d.model, runtime=d.runtime, base_url=d.base_url,
                    aliases=d.aliases, fallback=d.fallback, replicas=1 + len(d.replicas),
                    state=counts[d.name]["state"], reason=counts[d.name]["reason"],
                    running=counts[d.name]["running"], waiting=counts[d.name]["waiting"],
                )
                for d in inference.deployments
            ),
        )  # fmt: skip

    def _key_limits(self) -> list[LimitView]:
        ring = self._keyring
        if ring is None:
            return []
        now = asyncio.get_running_loop().time()
        gauges = {gauge.scope: gauge for gauge in ring.gauges()}
        purses = ring.accounts.purses
        found = []
        for scope in dict.fromkeys((*gauges, *purses)):
            gauge, purse = gauges.get(scope), purses.get(scope)
            found.append(
                LimitView(
                    scope=scope, limits=limits_of(gauge.limits if gauge is not None else None),
                    used=gauge.used(now) if gauge is not None else {}, waiting=0,
                    budget_used=purse.used_ratio() if purse is not None else None,
                )
            )  # fmt: skip
        return found

    def _ring(self) -> Keyring:
        if self._keyring is None:
            raise Conflict(
                "this gateway has no virtual keys: set gateway.keys = true, or declare a [[tenant]]"
            )
        return self._keyring


def handler(action: Action, change: str | None = None) -> Handler:
    """An action as a handler; ``change`` is what the audit log calls it, if it changes anything."""

    async def handle(context: Context, call: Call) -> None:
        try:
            answer = await action(call)
        except ConfigError as error:
            _note(call, change, "refused", why=str(error))
            raise BadRequest(str(error), code="invalid_value") from error
        except InferenceError as error:
            _note(call, change, "refused", why=str(error))
            raise
        except Exception:
            _note(call, change, "failed")
            raise
        _note(call, change, "done", id=getattr(answer, "id", ""))
        status = call.request.route.status
        body = encode(answer) if answer is not None else b""
        call.reply.send(status, body, headers=call.headers() + _NO_STORE)

    handle.__doc__ = action.__doc__
    return handle


_NO_STORE: Final = b"cache-control: no-store\r\n"


def _note(call: Call, change: str | None, end: str, *, id: str = "", why: str = "") -> None:
    """A line of the audit log. What came from outside cannot make further lines of it."""
    if change is not None:
        target = " ".join(call.request.params.values()) or id
        line = " ".join(part for part in (change, target, end) if part)
        line = f"{line}, request {call.id}" + (f": {why}" if why else "")
        _audit.info("%s", "".join(c if c.isprintable() else "?" for c in line))


def _body(call: Call, kind: type[Any]) -> Any:
    """The body as the route's type. No body is an empty one."""
    assert call.request.route.body is kind, "the route documents what the handler reads"
    try:
        return msgspec.json.decode(call.request.body or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_body(error) from None


def _breaker(guard: Guard) -> BreakerView:
    told = guard.breaker.statistics()
    return BreakerView(
        deployment=guard.name, state=guard.breaker.state, retry_after=told["retry_after"],
        calls=told["calls"], failures=told["failures"], rest=guard.statistics()["rest"],
    )  # fmt: skip


def _fields(record: KeyRecord) -> dict[str, Any]:
    spec = record.spec
    return {
        "id": record.id, "name": spec.name, "tenant": spec.tenant, "models": spec.models,
        "limits": spec.limits, "budget": spec.budget, "priority": spec.priority,
        "created": datetime.fromtimestamp(record.created, UTC), "expires": spec.expires,
        "disabled": record.disabled, "declared": record.declared,
    }  # fmt: skip


def _key(record: KeyRecord) -> KeyView:
    return KeyView(**_fields(record))


def _made(record: KeyRecord, key: str) -> KeyMade:
    return KeyMade(**_fields(record), key=key)
