"""A failure of a handler in a thread is treated like any other (SV-4)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

import actinium as ac
from actinium.errors import ActiniumError, HandlerError


class Member(ac.Actor):
    @ac.on(thread=True)
    def work(self, m: str) -> str:
        if m == "fail":
            raise ValueError(m)
        return m


class Boss(ac.Actor):
    @ac.on
    def nothing(self, m: int) -> None: ...


STATES = {
    "resume": "active", "restart": "active", "stop": "stopped", "escalate": "stopped",
    "quarantine": "quarantined",
}  # fmt: skip


@pytest.mark.parametrize("strategy", [ac.OneForOne, ac.AllForOne, ac.RestForOne])
@pytest.mark.parametrize("directive", STATES)
def test_SV_4_matrix_of_threads(
    strategy: Any, directive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("actinium.supervision"), "disabled", True)

    async def main() -> None:
        async with ac.System() as system:
            boss = system.spawn(Boss, supervise=ac.OneForOne(decide={Exception: "stop"}))
            policy = strategy(decide={ValueError: directive}, backoff=(0.0, 0.0))
            refs = [boss.instance.ctx.spawn(Member, supervise=policy) for _ in range(3)]
            failed: list[Any] = []
            system.events.subscribe(ac.ActorFailedEvent, failed.append)
            waiting = refs[1].ask("waits")
            with pytest.raises(HandlerError, match="ValueError: fail"):
                await refs[1].ask("fail")
            assert await waiting == "waits"
            if directive in ("stop", "escalate"):
                await refs[1].stopped()
            if directive in ("resume", "restart"):
                assert await refs[1].ask("again") == "again"
            shared = {ac.OneForOne: (1,), ac.AllForOne: (0, 1, 2), ac.RestForOne: (1, 2)}[strategy]
            for n in shared if directive == "stop" else range(3) if directive == "escalate" else ():
                await refs[n].stopped()
            assert refs[1].life_state == STATES[directive]
            assert refs[1].incarnation == (directive == "restart")
            for n in {0, 1, 2} - set(shared):
                if directive != "escalate":
                    assert await refs[n].ask("goes on") == "goes on"
            if directive == "quarantine":
                with pytest.raises(ActiniumError, match="quarantine"):
                    await refs[1].ask("refused")
            await asyncio.sleep(0)  # events come in the next turn of the loop
            assert sum(isinstance(e.failure, ValueError) for e in failed) == 1, "SV-4: once"
        report = await system.shutdown()
        assert report.lost == 0

    asyncio.run(main())
