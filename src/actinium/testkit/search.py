"""Searching the schedules of a test for one that fails, and making that one short."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar, overload

from actinium.core import Settings
from actinium.store import Store

from .runner import Body, run_in
from .schedule import Decision, text_of
from .seeds import runs_asked_for, schedule_asked_for, seed_asked_for
from .shrink import shrink
from .system import TestSystem

T = TypeVar("T")

RUNS = 200
"""Schedules that are tried unless told otherwise."""

TRIALS = 400
"""Most runs that are spent on making a failing schedule short."""

LINES = 200
"""Most events that are shown of a failing run, the last ones."""


class Failure(NamedTuple):
    """A schedule that a test fails with, and what happens in it.

    ``run`` counts from 1; ``decisions`` are those of the first failing run; ``schedule`` is the
    text of the shortest that was found, and ``events`` what happens then, a line each.
    """

    seed: int
    run: int
    decisions: int
    schedule: str
    events: list[str]
    error: BaseException

    def story(self, name: str) -> str:
        """For the reader of a failed test."""
        left = len(self.schedule.split(",")) if self.schedule != "none" else 0
        skipped = max(0, len(self.events) - LINES)
        lines = [
            f"found by run {self.run}, seed={self.seed}: AC_SEED={self.seed} repeats it",
            f"the schedule needs {left} of its {self.decisions} decisions: "
            f"AC_SEED={self.seed} AC_SCHEDULE={self.schedule} repeats that, as does",
            f'  testkit.run({name}, seed={self.seed}, schedule="{self.schedule}")',
            "what happens then, in order:",
            *([f"  ... {skipped} lines before"] if skipped else []),
            *(f"  {n}. {e}" for n, e in enumerate(self.events, 1) if n > skipped),
        ]
        return "\n".join(lines)


class _Setting(NamedTuple):
    """What is the same in all runs of a test."""

    make_store: Callable[[], Store] | None
    settings: Settings | None
    outside: bool

    def attempt(
        self, test: Body[Any], seed: int, schedule: str, *, trace: bool = False
    ) -> tuple[TestSystem, BaseException | None]:
        store = self.make_store() if self.make_store is not None else None
        kit = TestSystem(seed, store, self.settings, schedule=schedule, trace=trace)
        try:
            run_in(kit, test, outside=self.outside)
        except BaseException as e:
            # pytest.fail() raises no Exception either, and neither does pytest.raises().
            if not isinstance(e, Exception) and type(e).__qualname__ != "Failed":
                raise
            return kit, e
        return kit, None


def find_failure(
    test: Body[Any],
    *,
    runs: int = RUNS,
    seeds: Iterable[int] | None = None,
    store: Callable[[], Store] | None = None,
    settings: Settings | None = None,
    outside: bool = False,
) -> Failure | None:
    """Runs a test over many schedules; the first it fails with, made short, or None.

    Odd seeds draw each turn at random, even ones preempt at a few points only; both let actors
    come before the event loop. ``store`` makes a fresh one for each run. ``AC_SEED`` and
    ``AC_SCHEDULE`` take the place of the search, ``AC_RUNS`` that of ``runs``.
    """
    setting = _Setting(store, settings, outside)
    asked = seed_asked_for()
    if asked is not None:
        seeds = (asked,)
    elif seeds is None:
        seeds = range(1, (runs_asked_for() or runs) + 1)
    for run, seed in enumerate(seeds, 1):
        schedule = schedule_asked_for() or ("interleave" if seed % 2 else "preempt")
        kit, error = setting.attempt(test, seed, schedule)
        if error is not None:
            return _shortest(setting, test, run, kit, error)
    return None


def _shortest(
    setting: _Setting, test: Body[Any], run: int, kit: TestSystem, error: BaseException
) -> Failure:
    seed, decisions = kit.seed, kit.schedule.decisions
    kind = type(error)

    def fails(part: list[Decision]) -> bool:
        return type(setting.attempt(test, seed, text_of(part))[1]) is kind

    schedule = text_of(shrink(decisions, fails, TRIALS))
    traced, again = setting.attempt(test, seed, schedule, trace=True)
    # The error is the first run's where its repetition differs: a test that is not repeatable.
    shown = again if type(again) is kind else error
    assert shown is not None
    return Failure(seed, run, len(decisions), schedule, list(traced.events), shown)


@overload
def explore(
    test: Body[Any],
    *,
    runs: int = ...,
    seeds: Iterable[int],
    store: Callable[[], Store] | None = ...,
    settings: Settings | None = ...,
    outside: bool = ...,
) -> None: ...


@overload
def explore(test: Body[Any]) -> Callable[[], None]: ...


@overload
def explore(
    *,
    runs: int = ...,
    seeds: Iterable[int] | None = ...,
    store: Callable[[], Store] | None = ...,
    settings: Settings | None = ...,
    outside: bool = ...,
) -> Callable[[Body[Any]], Callable[[], None]]: ...


def explore(
    test: Body[Any] | None = None,
    *,
    runs: int = RUNS,
    seeds: Iterable[int] | None = None,
    store: Callable[[], Store] | None = None,
    settings: Settings | None = None,
    outside: bool = False,
) -> Any:
    """Makes a test of one run a test of many schedules.

    The error of the first that fails is raised, with a note of its seed, the shortest schedule
    that fails alike, and what happens in it. See ``find_failure`` for the options. With a test
    and ``seeds`` it runs at once.

    >>> @testkit.explore(runs=200)
    ... async def test_whatever_the_order(t: testkit.TestSystem) -> None: ...
    """

    def decorate(body: Body[Any]) -> Callable[[], None]:
        def explored() -> None:
            failure = find_failure(
                body, runs=runs, seeds=seeds, store=store, settings=settings, outside=outside
            )
            if failure is not None:
                failure.error.add_note(failure.story(body.__qualname__))
                raise failure.error

        # Not functools.wraps: pytest would see the body's parameter and look for a fixture `t`.
        functools.update_wrapper(explored, body)
        del explored.__wrapped__  # type: ignore[attr-defined]
        return explored

    if test is None:
        return decorate
    return decorate(test)() if seeds is not None else decorate(test)
