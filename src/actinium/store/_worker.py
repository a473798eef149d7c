"""One thread with one SQLite connection, and the jobs that event loops hand to it."""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import Any

from actinium.errors import StoreError

_logger = logging.getLogger("actinium.store")

BATCH = 256


class Job:
    """A call to make in the worker's thread, and the future that waits for it."""

    __slots__ = ("error", "future", "loop", "result", "run")

    def __init__(self, run: Callable[[sqlite3.Connection], Any]) -> None:
        self.run = run
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        """Give the outcome to whoever waits; in the loop's thread."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Worker:
    """Takes whatever is queued, up to 256 jobs at once, and runs it with its connection.

    ``connect`` and ``run_batch`` are called in the worker's thread. ``run_batch`` sets the result
    or error of every job; the waiting futures learn of it after it has returned. The thread ends
    with ``stop``, after all jobs queued before it.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], sqlite3.Connection],
        run_batch: Callable[[sqlite3.Connection, list[Job]], None],
    ) -> None:
        self._connect = connect
        self._run_batch = run_batch
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        # A daemon: a process that ends without closing its store loses only what nobody was told.
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        """Queue a job."""
        self._queue.put(job)

    def stop(self) -> None:
        """End the thread after the jobs that are queued now."""
        self._queue.put(None)

    def join(self) -> None:
        """Wait for the thread's end; after ``stop``."""
        self._thread.join()

    def _main(self) -> None:
        try:
            db = self._connect()
        except StoreError as error:
            self._refuse_all(error)
            return
        except Exception as error:
            _logger.exception("the store's thread %s could not begin", self._thread.name)
            self._refuse_all(StoreError(f"the store could not be opened: {error!r}"))
            return
        try:
            while (jobs := self._take()) is not None:
                self._run(db, jobs)
                _settle(jobs)
        finally:
            db.close()

    def _take(self) -> list[Job] | None:
        first = self._queue.get()
        if first is None:
            return None
        jobs = [first]
        while len(jobs) < BATCH:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is None:
                self._queue.put(None)  # for the next turn; nothing is queued behind a stop
                break
            jobs.append(job)
        return jobs

    def _run(self, db: sqlite3.Connection, jobs: list[Job]) -> None:
        try:
            self._run_batch(db, jobs)
        except Exception as error:
            _logger.exception("the store's thread %s failed", self._thread.name)
            for job in jobs:
                job.error = StoreError(f"the store's thread failed: {error!r}")
                job.error.__cause__ = error

    def _refuse_all(self, error: StoreError) -> None:
        while (jobs := self._take()) is not None:
            for job in jobs:
                job.error = type(error)(*error.args)  # its own: raising adds to the traceback
                job.error.__cause__ = error.__cause__
            _settle(jobs)


def _settle(jobs: list[Job]) -> None:
    # One wake-up for each loop, not one for each job.
    loops: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        loops.setdefault(job.loop, []).append(job)
    for loop, own in loops.items():
        try:
            loop.call_soon_threadsafe(_settle_in_loop, own)
        except RuntimeError:  # the loop was closed: nobody waits any more
            _logger.debug("the event loop of %d store calls is closed", len(own))


def _settle_in_loop(jobs: list[Job]) -> None:
    for job in jobs:
        job.settle()
