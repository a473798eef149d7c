"""SE-3: the window fits, keeps the system text, and never splits a turn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actinium.inference import Message
from actinium.inference.session.window import Turn, advance, fresh, prompt

texts = st.text("ab ", min_size=1, max_size=20)
messages = st.builds(
    lambda role, text: Message(role=role, content=text),
    st.sampled_from(["user", "assistant", "tool", "system"]),
    texts,
)
turns = st.lists(
    st.builds(lambda m: Turn(messages=tuple(m)), st.lists(messages, min_size=1, max_size=4)),
    max_size=12,
)


def count(found: tuple[Message, ...]) -> int:
    return sum(len(m.text()) + 1 for m in found)


@given(turns, st.lists(messages, min_size=1, max_size=3), st.integers(1, 400), st.integers(0, 12))
def test_inf_SE_3_fits_or_only_the_new_goes(
    history: list[Turn], new: list[Message], budget: int, start: int
) -> None:
    start = min(start, len(history))
    chosen = advance(history, start, tuple(new), budget, count)
    assert start <= chosen <= len(history), "SE-3: the window only moves forward"
    window = prompt(history, chosen, tuple(new))
    assert count(window) <= budget or chosen == len(history), "SE-3: it fits"


@given(turns, st.lists(messages, max_size=3), st.integers(0, 12))
def test_inf_SE_3_whole_turns_and_all_system_texts(
    history: list[Turn], new: list[Message], start: int
) -> None:
    start = min(start, len(history))
    window = prompt(history, start, tuple(new))
    kept = [m for t in history[start:] for m in t.messages]
    assert list(window[len(window) - len(kept) - len(new) :]) == kept + new, "SE-3: turns are whole"
    systems = [m for t in history for m in t.messages if m.role == "system"]
    assert all(m in window for m in systems), "SE-3: system texts stay"


def test_fresh_takes_what_the_session_does_not_know() -> None:
    system = Message(role="system", content="be kind")
    first = Message(role="user", content="hi")
    answer = Message(role="assistant", content="hello")
    second = Message(role="user", content="again")
    history = [Turn(messages=(system, first, answer))]
    assert fresh(history, (second,)) == (second,)
    assert fresh(history, (system, second)) == (second,)
    assert fresh(history, (system, first, answer, second)) == (second,)
    assert fresh([], (system, first)) == (system, first)
    assert fresh(history, (first,)) == (first,), "the same words again are a new turn"


def test_a_trimmed_start_stays_for_several_turns() -> None:
    """Prefix caches hit only while the start of the prompt stays the same."""
    history: list[Turn] = []
    start, moves = 0, 0
    for i in range(200):
        new = (Message(role="user", content=f"question {i:03}"),)
        moved = advance(history, start, new, 1000, count)
        moves += moved != start
        start = moved
        history.append(Turn(messages=(*new, Message(role="assistant", content=f"answer {i:03}"))))
    assert moves <= 20
