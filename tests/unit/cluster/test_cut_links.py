"""A connection breaks while both processes live: it is made again, and nothing shows of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from test_workers import on_workers, until
from worker_actors import Add, Arm, Counter, Get, Numbers, Saboteur, Sent, Watching

import actinium as ac
from actinium.errors import ConfigError, WorkerDied
from actinium.testkit import Faults


def connections(system: ac.System) -> dict[int, Any]:
    node: Any = system._workers._node  # type: ignore[union-attr]
    return {index: link.connection for index, link in node.links.items()}


def cut(system: ac.System, index: int) -> None:
    """Breaks the connection to a worker, as if the kernel had done it."""
    connections(system)[index].transport.abort()


def test_asks_streams_watches_and_order_survive_a_cut() -> None:
    async def body(system: ac.System) -> None:
        one, numbers = system.spawn(Counter, place=1), system.spawn(Numbers, place=1)
        watcher = system.spawn(Counter, place="local")
        watcher.tell(Watching(one))
        slow = asyncio.ensure_future(one.ask("block", 10))
        got = []
        seen = set()
        async with numbers.stream(400, items=8) as stream:
            async for n in stream:
                got.append(n)
                if n % 97 == 5:
                    seen.add(connections(system)[1])
                    cut(system, 1)
                    for i in range(n, n + 50):
                        one.tell(i)
        assert len(seen) > 2, "it was made again"
        assert got == list(range(400))
        assert await slow == "block"
        sent = [i for n in range(400) if n % 97 == 5 for i in range(n, n + 50)]
        assert await one.ask("seen") == tuple(sent)
        assert [w.restarts for w in system.workers()] == [0]
        one.stop()
        await one.stopped()
        await system.idle()
        assert await watcher.ask("ended") == ("stopped",)

    report = on_workers(body, 1)
    assert report.lost == 0
    assert report.accepted == report.handled + report.dead_lettered + report.withdrawn


@pytest.mark.parametrize("kind", ["fail", "drop", "duplicate", "delay", "kill"])
def test_MS_1_MS_2_faults_at_link_send_of_the_first_process(kind: str) -> None:
    faults = Faults(seed=3)

    async def body(system: ac.System) -> None:
        one = system.spawn(Counter, place=1)
        assert await one.ask(Get()) == 0
        faults.arm("link.send", **{kind: 0.5}, seconds=0.002, times=8)  # type: ignore[arg-type]
        try:
            for i in range(300):
                one.tell(i)
                if i % 20 == 0:
                    await one.ask(Get(), 15)
            assert await one.ask("seen", 15) == tuple(range(300))
        finally:
            faults.disarm()
        assert faults.struck["link.send", kind] == 8

    workers = ac.Workers(1, heartbeat=0.05)
    assert on_workers(body, workers).lost == 0


@pytest.mark.parametrize("point", ["link.send", "link.recv"])
def test_MS_2_cuts_between_two_workers(point: str) -> None:
    async def body(system: ac.System) -> None:
        one, two = system.spawn(Saboteur, place=1), system.spawn(Saboteur, place=2)
        assert await two.ask(Get()) == 0
        for ref in (one, two):
            await ref.ask(Arm(point, "kill", 0.5, 6))
        for _ in range(6):
            one.tell(Sent(two, 500))
            await asyncio.sleep(0.01)

        async def there() -> bool:
            return len(await two.ask("seen", 15)) == 3000

        await until(there)
        assert await two.ask("seen") == tuple(range(500)) * 6
        assert [w.restarts for w in system.workers()] == [0, 0]

    assert on_workers(body, 2).lost == 0


def test_a_worker_out_of_reach_is_killed_and_started_again() -> None:
    """The rule for links that cannot be repaired: whoever cannot be reached for so long goes."""

    async def body(system: ac.System) -> None:
        one, two = system.spawn(Counter, 5, place=1), system.spawn(Counter, 6, place=2)
        assert await one.ask(Get()) == 5
        node: Any = system._workers._node  # type: ignore[union-attr]
        asking = asyncio.ensure_future(one.ask("slow", 15))
        await asyncio.sleep(0.05)
        node.repair.give_up(node.links[1], "a test said so")
        with pytest.raises(WorkerDied, match="killed, because a test said so") as died:
            await asking
        assert died.value.signal == "SIGKILL"
        assert await one.ask(Get(), 15) == 5
        assert await two.ask(Get()) == 6

    on_workers(body, 2)


def test_a_worker_that_may_not_come_back_ends_itself() -> None:
    async def body(system: ac.System) -> None:
        one = system.spawn(Counter, 5, place=1)
        assert await one.ask(Get()) == 5
        node: Any = system._workers._node  # type: ignore[union-attr]
        node._condemned.add((1, 1))
        cut(system, 1)
        with pytest.raises(WorkerDied, match=r"it lost the first process: .* refused"):
            await one.ask("slow", 15)

    on_workers(body, 1)


def test_what_waits_while_there_is_no_connection_is_bounded() -> None:
    async def body(system: ac.System) -> None:
        one = system.spawn(Counter)
        assert await one.ask(Get()) == 0
        cut(system, 1)
        await asyncio.sleep(0)
        refused = sum(not one.tell(Add(1)).ok for _ in range(12_000))
        assert refused >= 2000
        assert (await one.send(Add(1), timeout=15)).ok, "there is room again"
        assert await one.ask(Get(), 15) == 12_001 - refused
        assert system.dead_letters.counts["link_full"] == refused

    assert on_workers(body, 1).lost == 0


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"heartbeat": 0}, "heartbeat"),
        ({"hang": 1.5}, "two heartbeats"),
        ({"reconnect": -1}, "reconnect"),
        ({"start_limit": 0}, "start_limit"),
        ({"end_limit": float("nan")}, "end_limit"),
        ({"restart": 10}, "ac.OneForOne"),
        ({"restart": ac.OneForOne(on_limit="quarantine")}, "cannot be quarantined"),
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        ac.Workers(2, **wrong)
