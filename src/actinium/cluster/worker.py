"""A worker process: ``python -m actinium.cluster.worker``, started by a system, never by hand.

It reads its orders from standard input, connects to the first process and to all workers that are
there already, and serves until it is told to end or its standard input closes.
"""

from __future__ import annotations

import asyncio
import faulthandler
import functools
import importlib.util
import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from actinium.core import Settings, System
from actinium.errors import ActiniumError, UsageError, WorkerDied
from actinium.store import SqliteStore
from actinium.wire import Codec, names
from actinium.wire.mainmodule import MainModule

from . import entries as e
from .hub import Hub
from .link import Link
from .placing import PlacingNode
from .process import Orders
from .repair import Repair

if TYPE_CHECKING:
    from actinium.store import Store

_log = logging.getLogger("actinium.cluster")


class WorkerNode(PlacingNode):
    """The node of a worker: obeys the first process."""

    def __init__(self, system: System, orders: Orders) -> None:
        super().__init__(system, orders.index, orders.incarnation, orders.workers)
        self.over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.takers |= {
            e.Down: self._on_down,
            e.Quiet: lambda link, entry, _: self._run(self._quiet(link, entry.round)),
            e.Closing: lambda *_: self.core.set_closing(),
            e.Finish: lambda link, entry, _: self._run(self._finish(link, entry.limit)),
            e.Exit: lambda *_: self.over.set(),
            e.Tally: self._on_tally,
        }

    async def start(self) -> None:
        """Is started already: the plug of the worker's own system."""

    async def quiet(self) -> None:
        raise UsageError("system.idle() belongs to the process that made the system")

    async def end(self, limit: float) -> Any:
        raise UsageError("system.shutdown() belongs to the process that made the system")

    def _run(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _quiet(self, link: Link, round: int) -> None:
        tally = await self.tally(round)
        if link.up:
            link.say(tally)

    async def _finish(self, link: Link, limit: float) -> None:
        workers, self.system._workers = self.system._workers, None
        report = await self.system.shutdown(drain_timeout=limit)
        self.system._workers = workers
        link.say(
            msgspec.structs.replace(
                self.counts(-1),
                accepted=report.accepted + self.refused_late,
                handled=report.handled,
                dead_lettered=report.dead_lettered + self.refused_late,
                withdrawn=report.withdrawn,
                forced=report.forced,
            )
        )

    def _on_tally(self, link: Link, entry: e.Tally, _: Any) -> None:
        self.load[link.index] = float(entry.actors)

    def _on_down(self, link: Link, entry: e.Down, _: Any) -> None:
        error = self.unpack_failure(link, entry.failure)
        if isinstance(error, WorkerDied):
            self.down(entry.node, entry.incarnation, error, entry.final)

    def give_up(self, link: Link, why: str) -> None:
        """A process is out of reach: the first one decides, and without that one this ends."""
        if link.index == 0:
            sys.stderr.write(f"worker {self.index} ends: it lost the first process: {why}\n")
            sys.stderr.flush()
            os._exit(1)
        self.links[0].say(e.Unreachable(link.index, link.incarnation, why))

    def wants(self, link: Link) -> bool:
        """Whether a link to a peer is still to be made."""
        known = self.links.get(link.index)
        gone = (link.index, link.incarnation) in self.gone_nodes
        return not gone and (known is None or known.incarnation < link.incarnation)

    async def pulse_often(self, period: float) -> None:
        """Shows the first process that this event loop turns."""
        while True:
            await asyncio.sleep(period)
            self.pulse(True)

    async def report_often(self) -> None:
        """Tells the first process five times a second what was done, if it is news."""
        last: e.Tally | None = None
        while True:
            await asyncio.sleep(0.2)
            counts = self.counts()
            first = self.links.get(0)
            if counts != last and first is not None:
                first.say(counts)
                last = counts


def main() -> None:
    """Runs one worker until it is told to end."""
    raw = sys.stdin.buffer.readline()
    if not raw:
        sys.exit("actinium.cluster.worker is started by ac.System(workers=...), not by hand")
    orders = msgspec.json.decode(raw, type=Orders)
    sys.path[:] = orders.path
    # Ctrl-C, and the end of a whole service or terminal, are the first process's to decide on.
    # Programs that handlers start get the others as usual: a handler of this process is not theirs.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    threading.Thread(target=_end_with_parent, name="actinium.parent", daemon=True).start()
    names.load_main_with(MainModule(orders.main).load)
    faulthandler.enable()
    faulthandler.register(signal.SIGQUIT, all_threads=True)
    logging.basicConfig(
        level=logging.WARNING, format=f"worker {orders.index}: %(levelname)s %(name)s: %(message)s"
    )
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(serve(orders))
    except (ActiniumError, OSError) as error:
        sys.exit(f"worker {orders.index} could not serve: {type(error).__name__}: {error}")


def _loop_factory() -> Any:
    if importlib.util.find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop


def _end_with_parent() -> None:
    """Ends this process when the one that started it is gone, whatever a handler is doing."""
    while os.read(0, 4096):  # not sys.stdin: its lock would be in the way at the end
        pass
    os._exit(1)


async def serve(orders: Orders) -> None:
    """Connects to the others and serves until told to end."""
    store: Store | None = await SqliteStore.open(orders.store) if orders.store else None
    settings = Codec().unpack("", orders.settings)
    if not isinstance(settings, Settings):
        raise UsageError(f"expected Settings, got {settings!r}")
    system = System(orders.name, settings=settings, store=store)
    await system.start()
    node = WorkerNode(system, orders)
    system._workers = node
    system.spawn = node.spawn  # type: ignore[method-assign,assignment]
    hub = Hub(node, orders.address, orders.token)
    node.repair = repair = Repair(hub, orders.reconnect, node.give_up)
    await hub.listen()
    first = Link(node, 0, 0)
    welcome = await hub.connect(first)
    for index, incarnation in welcome.peers:  # one that is busy may take its time
        link = Link(node, index, incarnation)
        repair.connect_soon(link, functools.partial(node.wants, link))
    first.say(e.Ready())
    often = {
        node.loop.create_task(node.report_often()),
        node.loop.create_task(node.pulse_often(orders.heartbeat)),
    }
    fatal = system._life.supervisor.fatal_event
    over = {node.loop.create_task(node.over.wait()), node.loop.create_task(fatal.wait())}
    await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
    if system._life.supervisor.fatal is not None:
        first.say(e.Fatal(node.pack_failure(system._life.supervisor.fatal)))
        await node.over.wait()
    for task in over | often:
        task.cancel()
    await asyncio.gather(*over, *often, return_exceptions=True)
    await repair.close()
    await hub.close()
    if store is not None:
        await store.close()


if __name__ == "__main__":
    main()
