"""The pytest plugin: coroutine tests in virtual time, over as many schedules as one likes.

pytest loads it wherever the package is installed. It takes coroutine tests that use the fixture
``ac_system`` (or ``actinium_system``, the same) or carry ``@pytest.mark.actinium``, and leaves
all others alone, those of anyio and pytest-asyncio among them. ``ac_openai``, ``ac_anthropic`` and
``ac_gemini`` are fake providers for any test. Nothing of the kit is imported before the first test
that uses it.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .anthropic import AnthropicProvider
    from .gemini import GeminiProvider
    from .provider import Provider
    from .system import TestSystem

Test = Callable[..., Coroutine[Any, Any, Any]]

FIXTURES = ("ac_system", "actinium_system")

_MARK = (
    "actinium(runs=1, seed=7, schedule='random', store=None, settings=None, outside=False): "
    "run a coroutine test in virtual time; with runs over so many schedules, store then makes a "
    "new store for each"
)
_OPTIONS = frozenset(("runs", "seed", "schedule", "store", "settings", "outside"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--ac-seed`` and ``--ac-runs``."""
    group = parser.getgroup("actinium", "actors in virtual time")
    group.addoption(
        "--ac-seed", metavar="SEED", help="the seed of every test in virtual time, as AC_SEED"
    )
    group.addoption(
        "--ac-runs", metavar="RUNS", help="how many schedules each such test runs over, as AC_RUNS"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marker known, and the options to whoever reads the environment."""
    config.addinivalue_line("markers", _MARK)
    for option, variable in (("--ac-seed", "AC_SEED"), ("--ac-runs", "AC_RUNS")):
        value = config.getoption(option)
        if value is not None:
            before = os.environ.get(variable)
            os.environ[variable] = value
            config.add_cleanup(partial(_put_back, variable, before))


def _put_back(variable: str, before: str | None) -> None:
    if before is None:
        os.environ.pop(variable, None)
    else:
        os.environ[variable] = before


class _NotStarted:
    """What other fixtures see of a system that starts with its test."""

    def __getattr__(self, name: str) -> Any:
        raise pytest.UsageError(
            f"ac_system.{name} was used before the test began: the system starts with its test, "
            "in virtual time; use it in `async def test_...(ac_system)` only"
        )


@pytest.fixture
def ac_system(request: pytest.FixtureRequest) -> TestSystem:
    """A started TestSystem on a loop in virtual time; for coroutine tests only."""
    function = getattr(request.node, "obj", None)
    if function is None or not inspect.iscoroutinefunction(inspect.unwrap(function)):
        raise pytest.UsageError(
            f"{request.node.name} uses ac_system and is no coroutine; write `async def`"
        )
    return _NotStarted()  # type: ignore[return-value]


@pytest.fixture
def actinium_system(ac_system: TestSystem) -> TestSystem:
    """The same as ``ac_system``."""
    return ac_system


@pytest.fixture
def ac_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this test: of ``--ac-seed``, of its marker, or 7."""
    from .seeds import SEED, seed_asked_for

    return seed_asked_for() or _options(request.node).get("seed") or SEED


@pytest.fixture
def ac_openai() -> Iterator[Provider]:
    """A server of OpenAI's wire on loopback that fails as ``faults`` say; on its own thread."""
    from .provider import Provider
    from .threaded import in_thread

    with in_thread(Provider()) as provider:
        yield provider


@pytest.fixture
def ac_anthropic() -> Iterator[AnthropicProvider]:
    """The same of Anthropic's wire."""
    from .anthropic import AnthropicProvider
    from .threaded import in_thread

    with in_thread(AnthropicProvider()) as provider:
        yield provider


@pytest.fixture
def ac_gemini() -> Iterator[GeminiProvider]:
    """The same of Gemini's wire."""
    from .gemini import GeminiProvider
    from .threaded import in_thread

    with in_thread(GeminiProvider()) as provider:
        yield provider


def _options(item: pytest.Item) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for mark in reversed(list(item.iter_markers("actinium"))):  # the nearest one wins
        options |= mark.kwargs
        unknown = set(mark.kwargs) - _OPTIONS
        if unknown or mark.args:
            raise pytest.UsageError(
                f"@pytest.mark.actinium takes the keywords {', '.join(sorted(_OPTIONS))}, "
                f"got {', '.join(map(repr, (*mark.args, *unknown)))}"
            )
    return options


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs the tests that are ours."""
    used = [name for name in FIXTURES if name in pyfuncitem.fixturenames]
    if not used and pyfuncitem.get_closest_marker("actinium") is None:
        return None
    # pytest-asyncio in its auto mode has wrapped the coroutine function by now.
    test = inspect.unwrap(pyfuncitem.obj)
    if not inspect.iscoroutinefunction(test):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    options = _options(pyfuncitem)
    if used:
        _run_with_system(test, arguments, options)
    else:
        _run_on_loop(test, arguments, options)
    return True


def _run_on_loop(
    test: Callable[..., Coroutine[Any, Any, Any]],
    arguments: dict[str, Any],
    options: dict[str, Any],
) -> None:
    from .runner import random_from, virtual_runner
    from .seeds import SEED, seed_asked_for

    seed = seed_asked_for() or options.get("seed") or SEED
    with random_from(seed), virtual_runner(options.get("outside", False)) as runner:
        runner.run(test(**arguments))


def _run_with_system(
    test: Callable[..., Coroutine[Any, Any, Any]],
    arguments: dict[str, Any],
    options: dict[str, Any],
) -> None:
    from .runner import run
    from .search import explore
    from .seeds import runs_asked_for

    async def body(t: TestSystem) -> None:
        await test(**{name: t if name in FIXTURES else arguments[name] for name in arguments})

    body.__qualname__ = test.__qualname__
    runs = runs_asked_for() or options.pop("runs", 1)
    options.pop("runs", None)
    if runs == 1:
        store = options.pop("store", None)
        run(body, store=store() if callable(store) else store, **options)
    else:
        options.pop("seed", None)
        options.pop("schedule", None)
        explore(runs=runs, **options)(body)()
