"""Laws of state machines: a random walk is that of the table, and no timeout is stale (TM-2)."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actinium import testkit
from actinium.core import Message, OneForOne, on
from actinium.patterns import FSM, StateTimeout
from actinium.testkit import TestSystem

law = settings(max_examples=120, deadline=None, derandomize=True)

TIMES = {"b": 1.0, "c": 2.5}
TABLE = {
    ("a", "x"): "b",
    ("a", "y"): "c",
    ("b", "x"): "c",
    ("b", "y"): "b",  # entered anew: its time begins again
    ("c", "x"): "a",
    ("c", "late"): "b",
    ("b", "late"): "a",
}


class X(Message):
    pass


class Y(Message):
    pass


class Z(Message):
    """Nobody moves for it."""


class Fail(Message):
    pass


class Walk(FSM, initial="a", state_timeout=TIMES):
    """The table, written as a machine."""

    def __init__(self, seen: list[str], stale: list[str]) -> None:
        self.seen = seen
        self.stale = stale

    @on(state="a")
    def a_x(self, m: X) -> Any:
        return self.goto("b")

    @on(state="a")
    def a_y(self, m: Y) -> Any:
        return self.goto("c")

    @on(state="b")
    def b_x(self, m: X) -> Any:
        return self.goto("c")

    @on(state="b")
    def b_y(self, m: Y) -> Any:
        return self.goto("b")

    @on(state="c")
    def c_x(self, m: X) -> Any:
        return self.goto("a")

    @on(state=("b", "c"))
    def late(self, m: StateTimeout) -> Any:
        if m.state != self.state:
            self.stale.append(m.state)
        return self.goto("a" if self.state == "b" else "b")

    @on(state="a")
    def never(self, m: StateTimeout) -> None:
        self.stale.append(m.state)

    @on
    def other(self, m: X | Y | Z) -> Any:
        return self.stay()

    @on
    def fail(self, m: Fail) -> None:
        raise ValueError

    @FSM.enter("a", "b", "c")
    def entered(self) -> None:
        self.seen.append(self.state)


steps = st.lists(
    st.one_of(
        st.sampled_from(["x", "y", "z", "fail"]),
        st.integers(1, 3000).map(lambda n: n / 1000),
        st.sampled_from([1.0, 2.5, 1.5]),
    ),
    max_size=40,
)
LETTERS: dict[str, Message] = {"x": X(), "y": Y(), "z": Z(), "fail": Fail()}


class Model:
    """The table with a clock."""

    def __init__(self) -> None:
        self.now = 0
        self.seen: list[str] = []
        self.enter("a")

    def enter(self, state: str) -> None:
        self.state = state
        self.seen.append(state)
        self.due = self.now + round(TIMES[state] * 1000) if state in TIMES else None

    def take(self, letter: str) -> None:
        if letter == "fail":
            self.enter("a")
        elif (self.state, letter) in TABLE:
            self.enter(TABLE[self.state, letter])

    def pass_time(self, milliseconds: int) -> None:
        end = self.now + milliseconds
        while self.due is not None and self.due <= end:
            self.now = self.due
            self.enter(TABLE[self.state, "late"])
        self.now = end


@law
@given(steps, st.integers(1, 2**32))
def test_TM_2_a_random_walk_is_the_tables_and_no_timeout_is_stale(
    plan: list[str | float], seed: int
) -> None:
    async def test(t: TestSystem) -> None:
        seen, stale, model = list[str](), list[str](), Model()
        walk = t.spawn(Walk, seen, stale, supervise=STEADY)
        await t.run_until_idle()
        for step in plan:
            if isinstance(step, str):
                walk.tell(LETTERS[step])
                await t.run_until_idle()
                model.take(step)
            else:
                await t.advance(step)
                model.pass_time(round(step * 1000))
            assert walk.instance.state == model.state
        assert seen == model.seen
        assert stale == [], "TM-2"

    testkit.run(test, seed=seed)


STEADY = OneForOne(max_restarts=None, backoff=(0.0, 0.0))


@law
@given(st.lists(st.sampled_from(["x", "y", "z", "tick", "step", "fail"]), max_size=60), st.data())
def test_TM_2_a_timeout_that_waits_in_the_mailbox_when_its_state_ends_never_comes(
    plan: list[str], data: st.DataObject
) -> None:
    """The clock moves without the actor running, so timeouts queue behind what moves it."""

    async def test(t: TestSystem) -> None:
        seen, stale = list[str](), list[str]()
        walk = t.spawn(Walk, seen, stale, supervise=STEADY)
        core = t.system._running()
        clock = t.now()
        for step in plan:
            if step == "tick":
                clock += 1.25
                core.set_time(clock)
                core.step(0)
            elif step == "step":
                t.step()
            else:
                walk.tell(LETTERS[step])
        while t.step():
            pass
        assert stale == [], "TM-2"

    testkit.run(test, seed=data.draw(st.integers(1, 2**32)))
