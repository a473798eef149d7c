"""A keyring that ends while it is writing its accounts."""

from __future__ import annotations

import asyncio

from actinium.inference import Deployment, Inference, Usage
from actinium.inference.limits import Accounts
from actinium.inference.tenants import Keyring
from actinium.inference.tenants.book import USAGE
from actinium.store import MemoryStore
from actinium.testkit import TestSystem, run

DAY = 20_000 * 86_400.0


class SlowStore(MemoryStore):
    """Writes at once, and says so later: as a store with a thread of its own does."""

    def __init__(self) -> None:
        super().__init__()
        self.saving = asyncio.Event()

    async def save(self, key: str, value: bytes, expect: int) -> int:
        revision = await super().save(key, value, expect)
        self.saving.set()
        await asyncio.sleep(1.0)
        return revision


def test_accounts_that_are_being_written_are_written_to_the_end() -> None:
    async def main(_: TestSystem) -> None:
        store = SlowStore()
        accounts = Accounts(clock=lambda: DAY)
        ring = Keyring(Inference([Deployment(name="embedded")], accounts=accounts), store=store)
        await ring.open()
        accounts.used("acme", "web", "embedded", Usage(input=3, output=4), 0)
        await store.saving.wait()
        accounts.used("acme", "web", "embedded", Usage(input=3, output=4), 0)
        await ring.close()
        kept = await store.load(f"{USAGE}{int(DAY) // 86_400}")
        assert kept is not None and kept.revision == 2 and b'"requests":2' in kept.value

    run(main)
