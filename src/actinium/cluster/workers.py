"""The worker processes of a system: started, supervised, ended."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from actinium.core import Workers
from actinium.core.remote import Ledger
from actinium.core.supervision import RestartWindow
from actinium.errors import UsageError, WorkerDied
from actinium.store import SqliteStore
from actinium.wire.mainmodule import main_module

from . import entries as e
from .first import FirstNode
from .heartbeat import Silence
from .hub import Hub
from .link import Link
from .process import Orders, WorkerProcess
from .repair import Repair

if TYPE_CHECKING:
    from actinium.core import System

_log = logging.getLogger("actinium.cluster")


class WorkerState(msgspec.Struct, frozen=True, kw_only=True):
    """How one worker is. ``restarts`` counts its processes after the first."""

    index: int
    state: Literal["starting", "up", "down", "given up"]
    pid: int
    restarts: int
    actors: int
    handled: int
    waiting: int
    """Messages in this process that wait for room on the way to it."""
    last_error: str


class _Worker:
    """What is known of one worker's number, over all its processes."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.incarnation = 0
        self.process: WorkerProcess | None = None
        self.state: Literal["starting", "up", "down", "given up"] = "starting"
        self.error = ""
        self.task: asyncio.Task[None] | None = None
        self.served: asyncio.Future[None]


class WorkerProcesses:
    """Fills the core's plug ``workers``; see ``core.remote.WorkerPool`` for the calls."""

    def __init__(self, system: System, settings: Workers) -> None:
        if system.store is not None and not isinstance(system.store, SqliteStore):
            raise UsageError(
                f"a {type(system.store).__name__} lives in one process; with workers write "
                'ac.System(workers=..., store=await ac.SqliteStore.open("state.db"))'
            )
        self._system = system
        self._workers = [_Worker(index) for index in range(1, settings.count + 1)]
        self._settings = settings
        self._token = secrets.token_hex(32)
        self._address = secrets.token_hex(16)
        self._draining = False
        self._ending = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._node: FirstNode
        self._hub: Hub

    # -- start

    async def start(self) -> None:
        self._node = node = FirstNode(self._system, len(self._workers))
        node.ready = self._is_ready
        node.kill = self._kill
        node.incarnation_of = lambda index: self._workers[index - 1].incarnation
        self._hub = Hub(node, self._address, self._token)
        self._hub.peers = self._peers
        node.repair = Repair(self._hub, self._settings.reconnect, self._give_up)
        await self._hub.listen()
        loop = asyncio.get_running_loop()
        self._run_beside(self._listen_for_pulses(), "heartbeats")
        for worker in self._workers:
            worker.served = loop.create_future()
            worker.task = loop.create_task(
                self._guard(worker), name=f"actinium.worker.{worker.index}"
            )
        served = [worker.served for worker in self._workers]
        try:
            await asyncio.gather(*served)
        finally:
            for future in served:
                if future.done() and not future.cancelled():
                    future.exception()  # one failure is enough to raise

    def _peers(self, index: int) -> list[tuple[int, int]]:
        """The younger connects to the older, so that each pair has one link."""
        return [(n, k.incarnation) for n, k in self._node.links.items() if k.up and n != index]

    def _is_ready(self, index: int, incarnation: int) -> None:
        worker = self._workers[index - 1]
        if worker.incarnation == incarnation:
            worker.state = "up"
            if not worker.served.done():
                worker.served.set_result(None)

    def _orders(self, worker: _Worker) -> Orders:
        store = self._system.store
        return Orders(
            name=self._system.name,
            address=self._address,
            token=self._token,
            index=worker.index,
            incarnation=worker.incarnation,
            workers=len(self._workers),
            heartbeat=self._settings.heartbeat,
            reconnect=self._settings.reconnect,
            path=[os.path.abspath(p) if p else os.getcwd() for p in sys.path],
            main=main_module(),
            store=str(store.path) if isinstance(store, SqliteStore) else "",
            settings=self._node.codec.pack(self._system.settings).body,
        )

    async def _guard(self, worker: _Worker) -> None:
        """Lets nobody wait for a worker that cannot even be started."""
        try:
            await self._keep(worker)
        except Exception as error:  # noqa: BLE001 - it ends the start, or the system
            if worker.served.done():
                self._node.life.supervisor.end_all(error)
            else:
                worker.served.set_exception(error)

    async def _keep(self, worker: _Worker) -> None:
        """Keeps one worker running: restarts it with back-off, up to a limit."""
        node = self._node
        window = RestartWindow(node.life.supervisor.random)
        while True:
            worker.incarnation += 1
            error = await self._run(worker)
            if self._ending:
                return
            first = not worker.served.done()
            again = not first and not self._draining
            delay = window.next_delay(self._settings.restart, node.core.now()) if again else None
            worker.state = "down" if delay is not None else "given up"
            worker.error = str(error)
            if not first:
                _log.error("%s", error)
            node.worker_died(worker.index, worker.incarnation, error, final=delay is None)
            if delay is None:
                if first:
                    worker.served.set_exception(error)
                elif again and self._settings.restart.on_limit == "escalate":
                    node.life.supervisor.end_all(error)
                return
            await asyncio.sleep(delay)
            worker.state = "starting"
            _log.warning("worker %d is started again", worker.index)

    async def _run(self, worker: _Worker) -> WorkerDied:
        """Runs one process to its end and returns how that came."""
        process = worker.process = WorkerProcess(worker.index, worker.incarnation)
        await process.start(self._orders(worker))
        slow = self._node.loop.call_later(
            self._settings.start_limit, self._too_slow, worker, process
        )
        try:
            error = await process.wait()
        finally:
            slow.cancel()
            process.kill()
            await process.close()
        return error

    def _too_slow(self, worker: _Worker, process: WorkerProcess) -> None:
        if worker.state == "starting" and worker.process is process:
            limit = self._settings.start_limit
            self._run_beside(
                process.kill_with_stack(f"it did not serve within {limit:g} s"), "slow start"
            )

    # -- processes that cannot be talked to

    def _run_beside(self, work: Coroutine[Any, Any, None], what: str) -> None:
        task = self._node.loop.create_task(work, name=f"actinium.workers.{what}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _give_up(self, link: Link, why: str) -> None:
        self._node.condemn(link.index, link.incarnation, why)

    def _kill(self, index: int, incarnation: int, why: str) -> None:
        worker = self._workers[index - 1]
        if worker.incarnation == incarnation and worker.process is not None:
            worker.process.kill(why)

    async def _listen_for_pulses(self) -> None:
        """Ends workers whose event loop does not turn, and shows them that this one's does."""
        node, settings = self._node, self._settings
        silence = Silence(settings.heartbeat, settings.hang)
        hung: set[tuple[int, int]] = set()
        while True:
            await asyncio.sleep(settings.heartbeat)
            node.pulse(False)
            heard = {
                index: link.heard_at
                for index, link in node.links.items()
                if self._workers[index - 1].state == "up"
            }
            for index in silence.look(node.loop.time(), heard):
                worker = self._workers[index - 1]
                if (index, worker.incarnation) in hung or worker.process is None:
                    continue
                hung.add((index, worker.incarnation))
                why = f"its event loop did not turn for {settings.hang:g} s"
                self._run_beside(worker.process.kill_with_stack(why), "hung worker")

    # -- use

    def spawn(self, cls: type[Any], /, *args: Any, **kwargs: Any) -> Any:
        """Starts an actor on the worker that ``place`` says; see ``ac.ByKey``."""
        return self._node.spawn(cls, *args, **kwargs)

    def entity(self, cls: type[Any], key: str) -> Any:
        return self._node.entity(cls, key)

    def lookup(self, path: str) -> Any:
        parts = [part for part in path.split("/") if part]
        if len(parts) != 2 or parts[0] != "user":
            return None
        found = self._node.registry.named(parts[1])
        if found is None:
            return None
        key, placed = found
        return self._node.known.ref(placed.node, placed.incarnation, key, path)

    def states(self) -> tuple[WorkerState, ...]:
        return tuple(self._state(worker) for worker in self._workers)

    def _state(self, worker: _Worker) -> WorkerState:
        node = self._node
        tally = node.tallies.get((worker.index, worker.incarnation), e.Tally())
        link = node.links.get(worker.index)
        process = worker.process
        return WorkerState(
            index=worker.index,
            state=worker.state,
            pid=process.pid if process is not None and worker.state == "up" else 0,
            restarts=max(0, worker.incarnation - 1),
            actors=tally.actors,
            handled=tally.handled,
            waiting=len(link.waiting) if link is not None else 0,
            last_error=worker.error,
        )

    async def quiet(self) -> None:
        await self._node.quiet()

    # -- the end

    async def end(self, limit: float) -> Ledger:
        node = self._node
        self._draining = True
        began = node.loop.time()
        for link in node.links.values():
            link.say(e.Closing())
        if limit > 0:
            try:
                async with asyncio.timeout(limit):
                    await node.quiet()
            except TimeoutError:
                _log.warning("the workers are not quiet after %g s; they are ended", limit)
        left = max(0.0, limit - (node.loop.time() - began))
        try:
            async with asyncio.timeout(left + self._settings.end_limit):
                await node.gather(lambda _: e.Finish(left), -1)
        except TimeoutError:
            _log.warning("workers did not end their actors in time; they are killed")
        ended = {
            (n, k.incarnation) for n, k in node.links.items()
            if node.tallies.get((n, k.incarnation), e.Tally()).round == -1
        }  # fmt: skip
        self._ending = True
        for link in node.links.values():
            link.say(e.Exit())
        await self._end_processes()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await node.repair.close()
        await self._hub.close()
        return self._ledger(ended)

    async def _end_processes(self) -> None:
        tasks = [worker.task for worker in self._workers if worker.task is not None]
        for worker in self._workers:
            if worker.state != "up" and worker.task is not None:
                if worker.process is not None and worker.state == "starting":
                    worker.process.kill()
                worker.task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._settings.end_limit)
            for worker in self._workers:
                if worker.task in late and worker.process is not None:
                    worker.process.kill()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _ledger(self, ended: set[tuple[int, int]]) -> Ledger:
        """Sums what the workers did. Of a process that was killed the last report counts; what
        was sent to it, or taken by it, and is in no report, is lost."""
        node = self._node
        sent: dict[tuple[int, int], int] = {}
        for tally in [node.counts(), *node.tallies.values()]:
            for index, incarnation, posts in tally.sent_dead:
                key = (index, incarnation)
                sent[key] = sent.get(key, 0) + posts
        accepted = node.refused_late
        dead = node.refused_late
        handled = withdrawn = forced = lost = 0
        for key, tally in node.tallies.items():
            unreported = 0
            if key not in ended:
                unreported = max(0, sent.get(key, 0) - tally.posts)
            accepted += tally.accepted + unreported
            handled += tally.handled
            dead += tally.dead_lettered
            withdrawn += tally.withdrawn
            forced += tally.forced
            lost += (
                tally.accepted
                + unreported
                - (tally.handled + tally.dead_lettered + tally.withdrawn)
            )
        for key, posts in sent.items():
            if key not in node.tallies:  # it never reported
                accepted += posts
                lost += posts
        return Ledger(
            accepted=accepted, handled=handled, dead_lettered=dead, withdrawn=withdrawn,
            forced=forced, lost=lost,
        )  # fmt: skip
