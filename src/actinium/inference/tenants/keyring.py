"""All keys of one gateway: who one belongs to, and making, changing and keeping them."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

import msgspec

from actinium.base.secret import Secret, read_secret
from actinium.errors import (
    AuthenticationFailed,
    ConfigError,
    Conflict,
    KeyNotFound,
    SequenceConflict,
    StoreCorrupt,
)
from actinium.store import Store

from ..limits.accounts import Accounts
from ..service import Inference
from .book import Book, Keeper, Keeping
from .gauge import Gauge, Gauges
from .policy import DeclaredKey, KeyLimits, KeySpec, Tenant
from .record import PREFIX, Hash, KeyRecord, digest, hash_of, new_id, new_secret
from .service import KeyedInference

OVERLAP: Final = 86_400.0
"""Seconds that a replaced secret goes on working."""

_SHORTEST: Final = 16

Announce = Callable[[str, bool], Awaitable[None]]
"""Tells the other processes of a gateway that a key has changed in the store, or is gone."""

_log = logging.getLogger("actinium.keys")


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """A key and its secret, which nobody can be shown again."""

    record: KeyRecord
    secret: Secret


class Grant:
    """What the holder of a key may do. ``until`` is Unix time, None for ever."""

    __slots__ = ("_gauges", "inference", "record", "until")

    def __init__(
        self, record: KeyRecord, inference: KeyedInference, gauges: Gauges | None,
        until: float | None,
    ) -> None:  # fmt: skip
        self.record = record
        self.inference = inference
        self._gauges = gauges
        self.until = until

    def headers(self) -> bytes:
        """Finished lines that tell what is left of its limits."""
        if self._gauges is None:
            return b""
        return self._gauges.headers(asyncio.get_running_loop().time())


class Keyring:
    """Virtual keys over an :class:`Inference`, which must have been made with ``accounts``.

    ``tenants`` and ``keys`` are those of the configuration; keys made here lie in ``store`` as
    hashes, and so do the accounts, every 5 seconds and at :meth:`close`. Without a store only the
    declared keys exist. Where several processes have one store, each is told of the changes of the
    others: by ``announce``, and then by :meth:`refresh`; ``keeper`` takes their accounts to the one
    of them that keeps them. A tenant that is not declared has no limits of its own.

    The constructor raises ConfigError for names used twice, secrets that are not set, and a
    budget where a model's price is not known. ``version`` changes with every change of a key.
    """

    def __init__(
        self, inference: Inference, *, tenants: Sequence[Tenant] = (),
        keys: Sequence[DeclaredKey] = (), store: Store | None = None,
        keeper: Keeper | None = None, announce: Announce | None = None,
        environ: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        if inference.accounts is None:
            raise ConfigError(
                "a Keyring needs accounts to book on: make the service with "
                "Inference(..., accounts=Accounts())"
            )
        self.inference = inference
        self.accounts: Accounts = inference.accounts
        self.version = 0
        self.store = store
        self._clock = clock
        self._tenants = {tenant.name: tenant for tenant in tenants}
        if len(self._tenants) < len(tenants):
            raise ConfigError("two tenants have the same name; each needs one of its own")
        self._gauges: dict[str, Gauge] = {}
        self._records: dict[str, KeyRecord] = {}
        self._revisions: dict[str, int] = {}
        self._by_digest: dict[bytes, tuple[str, float | None]] = {}
        self._grants: dict[bytes, Grant] = {}
        if keeper is None and store is not None:
            keeper = Book(self.accounts, store, self.accounts)
        self._keeping = Keeping(keeper) if keeper is not None else None
        self._announce = announce
        self._changes: set[asyncio.Task[None]] = set()
        for tenant in tenants:
            self.accounts.weights[tenant.name] = tenant.weight
            self._open(f"tenant:{tenant.name}", tenant)
        for key in keys:
            self._declare(key, environ)

    # -- life

    async def open(self) -> None:
        """Reads the stored keys and accounts, and keeps the accounts from now on. Raises
        StoreError."""
        if self.store is not None:
            for place in await self.store.keys(PREFIX):
                await self._read(place.removeprefix(PREFIX), self.store)
        if self._keeping is not None:
            await self._keeping.open()

    async def refresh(self, id: str) -> None:
        """Another process has made, changed or deleted a key in the store. Raises StoreError."""
        if self.store is not None:
            await self._read(id, self.store)

    async def save(self) -> None:
        """Keeps the accounts now. Raises StoreError."""
        if self._keeping is not None:
            await self._keeping.save()

    async def close(self) -> None:
        """Stores the accounts for the last time."""
        if self._changes:
            await asyncio.wait(self._changes)
        if self._keeping is not None:
            await self._keeping.close()

    # -- who comes

    def find(self, key: bytes) -> Grant:
        """What a key allows. Raises AuthenticationFailed; see :func:`digest` for its time."""
        hashed = digest(key)
        known = self._by_digest.get(hashed)
        if known is None:
            raise AuthenticationFailed("the API key is wrong")
        record = self._records[known[0]]
        now = self._clock()
        until = min((t for t in (known[1], record.expires) if t is not None), default=None)
        if record.disabled:
            raise AuthenticationFailed(f"the API key {record.id!r} is disabled")
        if until is not None and now >= until:
            what = "has expired" if until == record.expires else "was replaced by a new secret"
            raise AuthenticationFailed(f"the API key {record.id!r} {what}")
        grant = self._grants.get(hashed)
        if grant is None:
            grant = self._grants[hashed] = self._grant(record, until)
        return grant

    def now(self) -> float:
        """Unix time in seconds, by this ring's clock."""
        return self._clock()

    # -- lists

    def records(self) -> tuple[KeyRecord, ...]:
        """All keys by their ids, declared ones first."""
        return tuple(
            sorted(self._records.values(), key=lambda record: (not record.declared, record.id))
        )

    def key(self, id: str) -> KeyRecord:
        """One key. Raises KeyNotFound."""
        record = self._records.get(id)
        if record is None:
            raise KeyNotFound(f"there is no key {id[:64]!r}")
        return record

    def gauges(self) -> tuple[Gauge, ...]:
        """The limits of tenants and keys that have any."""
        return tuple(self._gauges.values())

    # -- changes

    async def create(self, spec: KeySpec) -> Created:
        """Makes a key. Raises ConfigError where it cannot be: no store, an unknown price."""
        store = self._store()
        self._check_price(f"key {spec.name!r}", spec)
        id = new_id()
        while id in self._records:
            id = new_id()
        secret = new_secret(id)
        record = KeyRecord(id=id, spec=spec, created=self._clock(), hashes=(hash_of(secret),))
        await self._whole(self._save(record, store, 0))
        return Created(record=record, secret=secret)

    async def rotate(self, id: str, overlap: float = OVERLAP) -> Created:
        """Gives a key a new secret; the old one works for ``overlap`` seconds more.

        Raises KeyNotFound, Conflict for a declared key, ConfigError for a negative overlap.
        """
        if not 0 <= overlap <= 366 * 86_400:
            raise ConfigError(f"overlap: expected 0 to 31622400 seconds, got {overlap!r}")
        record = self._own(id)
        secret = new_secret(id)
        end = self._clock() + overlap
        old = tuple(
            Hash(h.sha256, end if h.until is None else min(h.until, end)) for h in record.hashes
        )
        kept = tuple(h for h in old if h.until is not None and h.until > self._clock())
        changed = msgspec.structs.replace(record, hashes=(hash_of(secret), *kept))
        await self._whole(self._save(changed, self._store(), self._revisions[id]))
        return Created(record=changed, secret=secret)

    async def disable(self, id: str, disabled: bool = True) -> KeyRecord:
        """Refuses a key from now on, or (False) no more. Raises KeyNotFound, Conflict."""
        changed = msgspec.structs.replace(self._own(id), disabled=disabled)
        await self._whole(self._save(changed, self._store(), self._revisions[id]))
        return changed

    async def delete(self, id: str) -> None:
        """Forgets a key; what it used stays in the accounts. Raises KeyNotFound, Conflict."""
        self._own(id)
        await self._whole(self._delete(id, self._store()))

    # -- inside

    def _declare(self, key: DeclaredKey, environ: Mapping[str, str]) -> None:
        if key.name in self._records:
            raise ConfigError(f"the key {key.name!r} is declared twice; each needs its own name")
        if key.sha256 is not None:
            hashed = Hash(key.sha256)
        else:
            assert key.secret is not None
            try:
                secret = read_secret(key.secret, environ)
            except ConfigError as error:
                raise type(error)(f"key {key.name!r}: {error}") from error
            if len(secret.reveal()) < _SHORTEST:
                raise ConfigError(
                    f"key {key.name!r}: the secret in {key.secret!r} has less than {_SHORTEST} "
                    "characters and could be guessed; make one with: openssl rand -hex 24"
                )
            hashed = hash_of(secret)
        if bytes.fromhex(hashed.sha256) in self._by_digest:
            raise ConfigError(f"key {key.name!r}: another key has the same secret")
        fields = {name: getattr(key, name) for name in KeySpec.__struct_fields__}
        record = KeyRecord(
            id=key.name, spec=KeySpec(**fields), created=0.0, hashes=(hashed,),
            disabled=key.disabled, declared=True,
        )  # fmt: skip
        self._check_price(f"key {key.name!r}", record.spec)
        self._put(record)

    def _put(self, record: KeyRecord) -> None:
        """Takes a key in; the limits and money of one that changed go on as they are."""
        before = self._records.get(record.id)
        if before is not None:
            self._drop(before, whole=False)
        self._records[record.id] = record
        for one in record.hashes:
            self._by_digest[bytes.fromhex(one.sha256)] = (record.id, one.until)
        self._open(f"key:{record.id}", record.spec)
        self.version += 1

    def _drop(self, record: KeyRecord, *, whole: bool = True) -> None:
        for one in record.hashes:
            hashed = bytes.fromhex(one.sha256)
            self._by_digest.pop(hashed, None)
            self._grants.pop(hashed, None)
        if whole:
            self._gauges.pop(f"key:{record.id}", None)
            self.accounts.purses.pop(f"key:{record.id}", None)
            if self.inference.sharing is not None:
                self.inference.sharing.drop(f"key:{record.id}")

    def _open(self, scope: str, policy: Tenant | KeySpec) -> None:
        limits = policy.limits
        if limits is not None and limits != KeyLimits() and scope not in self._gauges:
            self._gauges[scope] = self._gauge(scope, limits)
        if policy.budget is not None:
            if isinstance(policy, Tenant):
                self._check_price(f"tenant {policy.name!r}", policy)
            purse = self.accounts.open(scope, policy.budget)
            if self.inference.sharing is not None:
                self.inference.sharing.purse(scope, purse)

    def _gauge(self, scope: str, limits: KeyLimits) -> Gauge:
        gauge = Gauge(scope, limits)
        if self.inference.sharing is not None:
            self.inference.sharing.limiter(scope, gauge.limiter)
        return gauge

    def _grant(self, record: KeyRecord, until: float | None) -> Grant:
        tenant = self._tenants.get(record.spec.tenant)
        scopes = (f"tenant:{record.spec.tenant}", f"key:{record.id}")
        limited = [gauge for s in scopes if (gauge := self._gauges.get(s)) is not None]
        gauges = Gauges(limited) if limited else None
        models = [record.spec.models]
        if tenant is not None:
            models.append(tenant.models)
        return Grant(record, KeyedInference(self.inference, record, models, gauges), gauges, until)

    def _check_price(self, who: str, policy: Tenant | KeySpec) -> None:
        """A budget needs the price of whatever may be spent on."""
        if policy.budget is None:
            return
        unknown = self.inference.unpriced()
        if unknown:
            raise ConfigError(
                f"{who}: there is a budget, and the price of the deployment {unknown[0]!r} is not "
                "known; give it price = { input = 1.0, output = 2.0 } in USD per million tokens, "
                "or price = 'free'"
            )

    def _own(self, id: str) -> KeyRecord:
        record = self.key(id)
        if record.declared:
            raise Conflict(
                f"the key {id!r} is declared in the configuration; change it there, and start the "
                "gateway anew"
            )
        return record

    def _store(self) -> Store:
        if self.store is None:
            raise Conflict(
                'this gateway has no store to keep keys in (system.store is "none"); declare '
                "them as [[key]] in the configuration, or give it a store"
            )
        return self.store

    async def _whole(self, change: Coroutine[Any, Any, None]) -> None:
        """Makes a change to its end, also where who asked for it leaves meanwhile: what is stored
        and what holds here are the same."""
        task = asyncio.create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        await asyncio.shield(task)

    async def _delete(self, id: str, store: Store) -> None:
        await store.delete(PREFIX + id)
        if not self._forget(id):
            raise KeyNotFound(f"there is no key {id!r}: somebody else has deleted it meanwhile")
        if self._announce is not None:
            await self._announce(id, True)

    def _forget(self, id: str) -> bool:
        """A key is gone; whether it was there."""
        self._revisions.pop(id, None)
        record = self._records.pop(id, None)
        if record is None:
            return False
        self._drop(record)
        self.version += 1
        return True

    async def _read(self, id: str, store: Store) -> None:
        """Takes a key in as it is stored."""
        found = await store.load(PREFIX + id)
        known = self._records.get(id)
        if known is not None and known.declared:
            if found is not None:
                _log.warning("the stored key %s is hidden by a declared one", id)
            return
        if found is None:
            self._forget(id)
            return
        if found.revision == self._revisions.get(id):
            return
        try:
            record = msgspec.json.decode(found.value, type=KeyRecord)
        except msgspec.DecodeError as error:
            raise StoreCorrupt(f"{PREFIX + id!r} in the store is no key: {error}") from error
        self._revisions[id] = found.revision
        self._put(record)

    async def _save(self, record: KeyRecord, store: Store, expect: int) -> None:
        place = PREFIX + record.id
        value = msgspec.json.encode(record)
        try:
            revision = await store.save(place, value, expect)
        except SequenceConflict as error:
            advice = "look at it again" if self._announce else "restart this one to see it"
            raise Conflict(
                f"the key {record.id!r} was changed by another process; {advice}"
            ) from error
        self._revisions[record.id] = revision
        self._put(record)
        if self._announce is not None:
            await self._announce(record.id, False)
