"""The pytest plugin: which tests it takes, how they run, and what a failed one says."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

pytest_plugins = ["pytester"]

Run = Callable[..., pytest.RunResult]

ACTORS = """
import asyncio
import pytest
from actinium import testkit
from actinium.core import Actor, Message, on

class Note(Message):
    n: int

class Book(Actor):
    def __init__(self, seen):
        self.seen = seen

    @on
    def note(self, m: Note) -> int:
        self.seen.append(m.n)
        return m.n
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("AC_SEED", raising=False)
    monkeypatch.delenv("AC_RUNS", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run_tests(source: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(ACTORS + textwrap.dedent(source))
        flags = ("-p", "actinium.testkit.plugin", "--strict-markers", "-W", "error")
        return pytester.runpytest_inprocess(*flags, *options)

    return run_tests


def test_a_coroutine_test_with_the_fixture_runs_in_virtual_time(run: Run) -> None:
    run(
        """
        async def test_one(ac_system):
            book = ac_system.spawn(Book, [])
            assert await book.ask(Note(3)) == 3
            await asyncio.sleep(3600)
            assert ac_system.now() == 3600

        async def test_other_name(actinium_system, ac_seed, tmp_path):
            assert actinium_system.seed == ac_seed == 7
            assert tmp_path.exists()

        class TestMethods:
            async def test_method(self, ac_system):
                await ac_system.run_until_idle()

        @pytest.mark.parametrize("n", [1, 2])
        async def test_parameters(n, ac_system):
            assert await ac_system.spawn(Book, []).ask(Note(n)) == n
        """
    ).assert_outcomes(passed=5)


def test_the_marker_takes_a_coroutine_test_and_its_options(run: Run) -> None:
    run(
        """
        from actinium.store import MemoryStore
        from actinium.core import Settings

        @pytest.mark.actinium
        async def test_loop_only():
            await asyncio.sleep(1000)
            assert asyncio.get_running_loop().time() == 1000

        @pytest.mark.actinium(outside=True)
        async def test_outside():
            assert await asyncio.to_thread(lambda: 5) == 5

        @pytest.mark.actinium(
            seed=11, schedule="arrival", store=MemoryStore, settings=Settings(ask_timeout=2.0)
        )
        async def test_options(ac_system, ac_seed):
            assert ac_system.seed == ac_seed == 11
            assert ac_system.system.settings.ask_timeout == 2.0
            assert await ac_system.system.store.keys() == []
        """
    ).assert_outcomes(passed=3)


UNORDERED = """
        @pytest.mark.actinium(runs=50)
        async def test_order(ac_system):
            seen = []
            for n in range(6):
                ac_system.spawn(Book, seen).tell(Note(n))
            await ac_system.run_until_idle()
            assert seen.index(3) < seen.index(4)
"""


def test_a_search_shows_seed_schedule_and_events(run: Run) -> None:
    result = run(UNORDERED)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*found by run *, seed=*: AC_SEED=* repeats it*",
            "*the schedule needs 1 of its * decisions: AC_SEED=* AC_SCHEDULE=*:*",
            '*testkit.run(test_order, seed=*, schedule="*")*',
            "*what happens then, in order:*",
            "*1. 0.000000 /user/* handles Note(n=*",
        ]
    )


def test_the_options_of_the_command_line(run: Run) -> None:
    seeds = """
        async def test_seed(ac_system, ac_seed):
            print(f"seed {ac_system.seed} {ac_seed}")
    """
    run(seeds, "--ac-seed=23", "-s").stdout.fnmatch_lines(["*seed 23 23*"])
    assert run(seeds, "--ac-runs=5", "-s").stdout.str().count("seed ") == 5
    assert "AC_SEED" not in os.environ
    assert "AC_RUNS" not in os.environ


def test_what_it_cannot_do_it_says(run: Run) -> None:
    result = run(
        """
        def test_plain(ac_system):
            pass

        @pytest.fixture
        def book(ac_system):
            return ac_system.spawn(Book, [])

        async def test_early(book):
            pass

        @pytest.mark.actinium(run=3)
        async def test_misspelt(ac_system):
            pass
        """
    )
    result.assert_outcomes(errors=2, failed=1)
    text = result.stdout.str()
    assert "test_plain uses ac_system and is no coroutine; write `async def`" in text
    assert "ac_system.spawn was used before the test began" in text
    assert "@pytest.mark.actinium takes the keywords outside, runs, " in text


def test_pytests_own_outcomes_pass_through_and_its_failures_are_searched(run: Run) -> None:
    result = run(
        """
        @pytest.mark.actinium(runs=5)
        async def test_skips(ac_system):
            pytest.skip("not now")

        @pytest.mark.actinium(runs=5)
        async def test_fails(ac_system):
            with pytest.raises(ValueError):
                pass
        """
    )
    result.assert_outcomes(skipped=1, failed=1)
    result.stdout.fnmatch_lines(["*found by run 1, seed=1*", "*needs 0 of its 0 decisions*"])


def test_tests_of_anyio_are_left_alone(run: Run) -> None:
    run(
        """
        import time

        @pytest.mark.anyio
        @pytest.mark.parametrize("anyio_backend", ["asyncio"])
        async def test_real(anyio_backend):
            assert asyncio.get_running_loop().time() > 1.0
            assert not isinstance(asyncio.get_running_loop(), testkit.VirtualLoop)

        async def test_ours(ac_system):
            assert isinstance(asyncio.get_running_loop(), testkit.VirtualLoop)
        """,
        "-p",
        "anyio",
    ).assert_outcomes(passed=2)


def test_the_plugin_loads_nothing_of_the_kit() -> None:
    code = (
        "import sys, actinium.testkit.plugin; "
        "own = [m for m in sys.modules if m.startswith('actinium')]; assert len(own) < 6, own"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_providers_are_fixtures_of_any_test(run: Run) -> None:
    run(
        """
        import urllib.error
        import urllib.request

        from actinium.testkit import Fault

        def test_all(ac_openai, ac_anthropic, ac_gemini):
            assert ac_openai.base_url.endswith("/v1")
            ac_anthropic.faults.append(Fault(status=529))
            with pytest.raises(urllib.error.HTTPError, match="529"):
                urllib.request.urlopen(f"{ac_anthropic.base_url}/models")
            assert not ac_gemini.seen
        """
    ).assert_outcomes(passed=1)
