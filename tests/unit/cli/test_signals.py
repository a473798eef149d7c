"""Stop signals as two steps."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from actinium.cli.serve.signals import StopSignals, until


def test_the_first_signal_stops_and_the_second_forces() -> None:
    async def main() -> None:
        with StopSignals() as signals:
            os.kill(os.getpid(), signal.SIGTERM)
            await signals.stop.wait()
            assert not signals.force.is_set()
            os.kill(os.getpid(), signal.SIGINT)
            await signals.force.wait()

    asyncio.run(main())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_work_that_is_not_done_when_the_event_comes_is_cancelled() -> None:
    async def main() -> None:
        event = asyncio.Event()
        cancelled = False

        async def work() -> None:
            nonlocal cancelled
            event.set()
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                cancelled = True
                raise

        assert await until(event, work()) is False
        assert cancelled
        assert await until(asyncio.Event(), asyncio.sleep(0)) is True

    asyncio.run(main())


def test_what_the_work_raises_comes_out() -> None:
    async def work() -> None:
        raise LookupError("gone")

    async def main() -> None:
        with pytest.raises(LookupError, match="gone"):
            await until(asyncio.Event(), work())

    asyncio.run(main())
