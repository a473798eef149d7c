"""Laws of the stash: its order equals a model's, whatever is mixed (MS-1, MS-2, SV-1)."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actinium import testkit
from actinium.core import Actor, Message, OneForOne, on
from actinium.testkit import TestSystem

law = settings(max_examples=150, deadline=None, derandomize=True)
STEADY = OneForOne(max_restarts=None, backoff=(0.0, 0.0))
LIMIT = 4


class Job(Message):
    n: int


class Do(Message):
    deed: str


class Keeper(Actor, stash=LIMIT):
    """Sets jobs aside while it is closed."""

    def __init__(self, seen: list[int]) -> None:
        self.seen = seen
        self.closed = True

    @on
    def job(self, m: Job) -> None:
        if self.closed:
            self.ctx.stash()
        else:
            self.seen.append(m.n)

    @on
    def do(self, m: Do) -> None:
        match m.deed:
            case "open":
                self.closed = False
            case "close":
                self.closed = True
            case "unstash":
                self.ctx.unstash_all()
            case "fail":
                raise ValueError


class Model:
    """The same with lists: a mailbox that is read from the front, and a stash."""

    def __init__(self) -> None:
        self.mailbox: list[int | str] = []
        self.stash: list[int] = []
        self.seen: list[int] = []
        self.refused: list[int] = []
        self.closed = True

    def run(self) -> None:
        while self.mailbox:
            m = self.mailbox.pop(0)
            if isinstance(m, int):
                if not self.closed:
                    self.seen.append(m)
                elif len(self.stash) < LIMIT:
                    self.stash.append(m)
                else:
                    self.refused.append(m)
            elif m in ("open", "close"):
                self.closed = m == "close"
            else:
                self.mailbox[:0], self.stash = self.stash, []
                self.closed = self.closed or m == "fail"


deeds = st.sampled_from(["open", "close", "unstash", "fail", "run"])
plans = st.lists(st.one_of(st.integers(0, 99), st.integers(0, 99), deeds), max_size=40)


@law
@given(plans, st.integers(1, 2**32))
def test_MS_2_the_order_after_any_mix_of_stash_and_unstash_is_the_models(
    plan: list[int | str], seed: int
) -> None:
    async def test(t: TestSystem) -> None:
        model, seen = Model(), list[int]()
        keeper = t.spawn(Keeper, seen, supervise=STEADY)
        for m in [*plan, "run"]:
            if m == "run":
                await t.run_until_idle()
                model.run()
                assert seen == model.seen, "MS-2"
                assert keeper.instance.ctx.stashed == len(model.stash)
            else:
                model.mailbox.append(m)
                keeper.tell(Job(m) if isinstance(m, int) else Do(m))
        refused: list[Any] = [x.message.n for x in t.system.dead_letters.find(reason="stash_full")]
        assert refused == model.refused
        report = await t.shutdown()
        assert report.lost == 0, "MS-1"
        stopped = [x.message.n for x in t.system.dead_letters.find(reason="actor_stopped")]
        assert stopped == model.stash, "MS-1"

    testkit.run(test, seed=seed)
