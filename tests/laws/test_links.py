"""MS-2 over a link: the frames of one session against every way a connection can break."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actinium.cluster.heartbeat import Silence
from actinium.cluster.session import Session
from actinium.errors import DecodeError

STEPS = st.lists(
    st.tuples(st.sampled_from(["send", "arrive", "twice", "lose", "cut", "pulse"]), st.booleans()),
    max_size=80,
)


@given(STEPS)
def test_MS_2_frames_arrive_once_and_in_order_over_any_cuts(
    steps: list[tuple[str, bool]],
) -> None:
    ends = (Session(), Session())
    under_way: tuple[list[int], list[int]] = ([], [])  # frames from each end, on their way
    got: tuple[list[int], list[int]] = ([], [])

    def take(to: int, number: int) -> None:
        verdict = ends[to].judge(number)
        if verdict == "next":
            ends[to].taken += 1
            got[to].append(number)
        elif verdict == "gap":
            reconnect()

    def reconnect() -> None:
        for one in (0, 1):
            under_way[one].clear()
        for one in (0, 1):
            under_way[one].extend(p[0] for p in ends[one].again(ends[1 - one].taken))

    for what, side in steps:
        one = int(side)
        if what == "send":
            ends[one].keep([ends[one].sent + 1])
            under_way[one].append(ends[one].sent)
        elif what == "cut":
            reconnect()
        elif what == "pulse":
            ends[one].acknowledged(ends[1 - one].taken)
        elif under_way[one]:
            if what != "lose":
                take(1 - one, under_way[one][0])
            if what == "twice" and under_way[one]:
                take(1 - one, under_way[one][0])
            if under_way[one]:
                under_way[one].pop(0)
    reconnect()
    for one in (0, 1):
        for number in list(under_way[one]):
            take(1 - one, number)
        assert got[1 - one] == list(range(1, ends[one].sent + 1))
        ends[one].acknowledged(ends[1 - one].taken)
        assert ends[one].kept == 0


def test_a_session_refuses_what_cannot_be() -> None:
    session = Session()
    session.keep([1])
    session.keep([2])
    with pytest.raises(DecodeError, match="3 frames were taken, and 2 were sent"):
        session.acknowledged(3)
    session.acknowledged(2)
    with pytest.raises(DecodeError, match="was acknowledged before"):
        session.again(1)
    session.taken = 2**32 - 1
    assert session.judge(0) == "next", "numbers go round"
    assert session.judge(2**32 - 1) == "old"
    assert session.judge(1) == "gap"


@given(st.lists(st.tuples(st.floats(0.5, 5.0), st.booleans()), max_size=60), st.floats(2.0, 8.0))
def test_silence_counts_only_time_in_which_it_could_hear(
    looks: list[tuple[float, bool]], limit: float
) -> None:
    """A look may come late because the looking process stood still: that is nobody's silence."""
    silence = Silence(1.0, limit)
    now = heard = silent = 0.0
    silence.look(now, {1: heard})
    for late, alive in looks:
        now += late
        if alive:
            heard = now
        silent = 0.0 if alive else silent + min(late, 1.0)
        assert silence.look(now, {1: heard}) == ([1] if silent >= limit else [])
    assert Silence(1.0, 0.0).look(1e9, {1: 0.0}) == [], "0 is never"
