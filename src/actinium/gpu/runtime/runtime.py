"""``gpu.Runtime``: launches actors on a device and gives out their refs."""

from __future__ import annotations

import asyncio
import itertools
import os
from typing import TYPE_CHECKING, Any, Literal

from actinium.core.mailbox import Mailbox
from actinium.core.supervision import OneForOne, SupervisorStrategy
from actinium.errors import UsageError

from ..ir.budget import MAX_STEPS
from ..program import Program, compile
from .backends import choose
from .driver import Watch
from .handles import Handles
from .info import LaunchInfo
from .launch import Holder, Isolation, Launch, Shape
from .ref import GpuRef

if TYPE_CHECKING:
    from actinium.core import System


class Runtime:
    """GPU actors of one system.

    >>> rt = gpu.Runtime(system)                        # cuda, else cpu, else oracle
    >>> counters = await rt.launch(Counter, instances=4)
    >>> await counters[0].ask(Add(2))

    ``backend`` is ``"cuda"``, ``"cpu"``, ``"emulator"``, ``"oracle"`` or ``"auto"``; the
    attribute says which one it came to. With ``isolation="process"`` each kernel runs in a process
    of its own, whose crash is a DeviceLost for the launch alone; the class must be importable there.
    ``"auto"`` does so for CUDA, and runs other kernels in this process.

    Raises:
        Unavailable: the backend that was asked for cannot run here.
        UsageError: there is no such backend.
    """

    def __init__(
        self,
        system: System,
        *,
        backend: str = "auto",
        isolation: Isolation | Literal["auto"] = "auto",
    ) -> None:
        if isolation not in ("auto", "inline", "process"):
            raise UsageError(f"isolation must be auto, inline or process; got {isolation!r}")
        self.system = system
        self.backend = choose(backend)
        if isolation == "auto":
            isolation = "process" if self.backend == "cuda" else "inline"
        self.isolation: Isolation = isolation
        self.handles = Handles()
        self._watch = Watch()
        self._launches: list[Launch] = []
        self._names = itertools.count(1)

    async def launch(
        self,
        cls: Any,
        *,
        instances: int = 1,
        max_actors: int | None = None,
        blocks: int | None = None,
        inbox: int = 1024,
        name: str | None = None,
        mailbox: Mailbox | None = None,
        supervise: SupervisorStrategy | None = None,
        max_steps: int = MAX_STEPS,
        kill_after: float | None = None,
        stamped: bool = False,
        strict: bool = True,
    ) -> list[GpuRef]:
        """Starts a kernel with so many actors of a class, and returns their refs.

        The actors are shared out over ``blocks``, each with a ring of ``inbox`` messages and a
        handler at a time. ``max_actors`` leaves room for :meth:`spawn`. ``mailbox`` and
        ``supervise`` are those of any actor. A handler ends with the fault ``budget`` after
        ``max_steps`` rounds of loops. With ``stamped`` each message carries its time and deadline
        to the device, which bounces late ones. A handler that has not ended after ``kill_after``
        seconds takes its kernel with it (``isolation="process"``); None only reports it.

        Raises:
            CompileError: the class is outside the language.
            UsageError: counts that cannot be.
            GpuError: the kernel could not be started.
        """
        program = (
            cls if isinstance(cls, Program) else compile(cls, strict=strict, max_steps=max_steps)
        )
        if program.spec is None:
            raise UsageError(f"launch() takes a @gpu.actor class, got {program.name}, a kernel")
        core = self.system._core
        if core is not None and core.loop is not asyncio.get_running_loop():
            raise UsageError(
                "launch() was called on another event loop than its system's; write "
                "asyncio.run_coroutine_threadsafe(rt.launch(...), loop_of_the_system)"
            )
        places = max_actors if max_actors is not None else instances
        if not 1 <= instances <= places:
            raise UsageError(f"instances must be from 1 to max_actors, got {instances} of {places}")
        count = blocks if blocks is not None else usual_blocks(self.backend, places)
        if not 1 <= count <= places:
            raise UsageError(f"blocks must be from 1 to the {places} places, got {count}")
        shape = Shape(blocks=count, actors=-(-places // count), inbox=inbox, stamped=stamped)
        title = name if name is not None else f"{program.name}-{next(self._names)}"
        launch = Launch(
            self.system,
            program,
            title,
            self.backend,
            shape,
            self.handles,
            max_steps,
            self._watch,
            self.isolation,
        )
        try:
            await launch.up()
            launch.holder = self.system.spawn(
                Holder, launch, name=title, supervise=OneForOne(keep_children=True)
            )
        except BaseException:
            await launch.end()
            raise
        launch.mailbox, launch.supervise, launch.kill_after = mailbox, supervise, kill_after
        self._launches = [known for known in self._launches if known.state != "ended"]
        self._launches.append(launch)
        return [self._spawn(launch, None) for _ in range(instances)]

    async def spawn(self, cls: Any, *, name: str | None = None) -> GpuRef:
        """Starts one more actor of a class in a free place of a launch that runs it.

        Raises:
            UsageError: no launch runs this class.
            Overloaded: all its places are taken.
            NameTaken: the launch has an actor of this name.
        """
        launches = [launch for launch in self._launches if launch.alive and launch.runs(cls)]
        if not launches:
            raise UsageError(f"no launch runs {cls!r}; start one: await rt.launch({cls.__name__})")
        found = next((launch for launch in launches if launch.free), launches[0])
        return self._spawn(found, name)

    def _spawn(self, launch: Launch, name: str | None) -> GpuRef:
        assert launch.holder is not None
        return launch.spawn(name)

    def launches(self) -> list[LaunchInfo]:
        """How each launch is. One that has ended is forgotten when the next one starts."""
        return [launch.info() for launch in self._launches]

    async def close(self) -> None:
        """Stops all actors of this runtime after what they hold, and ends their kernels."""
        for launch in self._launches:
            if launch.holder is not None and launch.holder.alive:
                launch.holder.stop(drain=True)
        for launch in self._launches:
            if launch.holder is not None:
                await launch.holder.stopped()


def usual_blocks(backend: str, places: int) -> int:
    """Over how many blocks actors are shared out unless told."""
    if backend == "oracle":
        return 1
    if backend == "cpu":
        return min(places, os.cpu_count() or 1)
    return min(places, 2 if backend == "emulator" else 132)


async def launch(
    system: System, cls: Any, *, backend: str = "auto", **options: Any
) -> list[GpuRef]:
    """Starts actors of a class on a device: a :class:`Runtime` of its own with one launch."""
    return await Runtime(system, backend=backend).launch(cls, **options)


__all__ = ["GpuRef", "LaunchInfo", "Runtime", "launch"]
