"""Continuous batching as pure bookkeeping, against a model of the rows."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actinium.inference.runners.onnx.scheduler import Choice, Entry, Move, Scheduler

SLOTS = 5
CHUNK = 16


class RowsModel(RuleBasedStateMachine):
    """Carries out what the scheduler says on rows that remember whose positions they hold."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler: Scheduler[int] = Scheduler(SLOTS, CHUNK)
        self.rows: list[list[tuple[int, int]]] = [[] for _ in range(SLOTS)]
        self.made = 0
        self.admitted: list[int] = []
        self.dropped: set[int] = set()

    def _move(self, moves: list[Move]) -> None:
        for source, target, length in moves:
            assert len(self.rows[source]) >= length
            self.rows[target] = self.rows[source][:length]

    @rule(prompt=st.integers(1, 70), n=st.integers(1, SLOTS))
    def submit(self, prompt: int, n: int) -> None:
        self.scheduler.submit(Entry(self.made, prompt, n))
        self.made += 1

    @rule(budget=st.integers(1, 2 * CHUNK))
    def feed(self, budget: int) -> None:
        piece = self.scheduler.next_piece(budget)
        if piece is None:
            return
        if piece.start == 0:
            self.admitted.append(piece.entry.owner)
        assert piece.start % CHUNK == 0
        assert piece.stop - piece.start == min(CHUNK, piece.entry.prompt - piece.start) <= budget
        row = self.rows[piece.row][: piece.start]
        row += [(piece.entry.owner, at) for at in range(piece.start, piece.stop)]
        self.rows[piece.row] = row
        self._move(self.scheduler.fed(piece))

    @rule()
    def decode(self) -> None:
        for row, choice in enumerate(self.scheduler.active):
            self.rows[row].append((choice.entry.owner, choice.length))
            choice.length += 1

    @precondition(lambda self: self.scheduler.active)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        choice: Choice[int] = data.draw(st.sampled_from(self.scheduler.active))
        self._move(self.scheduler.leave(choice))

    @precondition(lambda self: self.scheduler.busy)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        everyone = [*self.scheduler.holding(), *self.scheduler.waiting]
        entry = data.draw(st.sampled_from(everyone))
        self._move(self.scheduler.drop(entry))
        self.dropped.add(entry.owner)
        assert entry not in [*self.scheduler.holding(), *self.scheduler.waiting]
        assert self.scheduler.drop(entry) == []

    @rule()
    def clear(self) -> None:
        held = self.scheduler.holding()
        assert self.scheduler.clear() == held
        assert self.scheduler.free == SLOTS

    @invariant()
    def rows_are_compact_and_hold_their_own_positions(self) -> None:
        for row, choice in enumerate(self.scheduler.active):
            assert choice.row == row
            assert self.rows[row][: choice.length] == [
                (choice.entry.owner, at) for at in range(choice.length)
            ]
        feeding = self.scheduler.feeding
        if feeding is not None:
            held = self.rows[len(self.scheduler.active)][: feeding.fed]
            assert held == [(feeding.owner, at) for at in range(feeding.fed)]

    @invariant()
    def slots_are_neither_lost_nor_given_twice(self) -> None:
        assert 0 <= self.scheduler.free <= SLOTS
        assert sum(len(e.choices) for e in self.scheduler.holding()) == len(self.scheduler.active)

    @invariant()
    def admission_is_first_in_first_out(self) -> None:
        assert self.admitted == sorted(self.admitted)
        waiting = [entry.owner for entry in self.scheduler.waiting]
        assert waiting == sorted(waiting)
        assert not (set(waiting) & set(self.admitted))


TestRows = RowsModel.TestCase


def test_a_request_of_many_choices_waits_for_that_many_rows_and_nobody_overtakes() -> None:
    scheduler: Scheduler[str] = Scheduler(2, CHUNK)
    for owner, n in (("a", 1), ("b", 2), ("c", 1)):
        scheduler.submit(Entry(owner, 3, n))
    piece = scheduler.next_piece(CHUNK)
    assert piece is not None and piece.entry.owner == "a"
    assert scheduler.fed(piece) == []
    assert scheduler.next_piece(CHUNK) is None
    assert scheduler.leave(scheduler.active[0]) == []
    piece = scheduler.next_piece(CHUNK)
    assert piece is not None and piece.entry.owner == "b"
    assert scheduler.fed(piece) == [Move(0, 1, 3)]
    assert (scheduler.free, len(scheduler.waiting)) == (0, 1)


def test_a_row_that_leaves_is_filled_and_a_half_fed_prompt_moves_down() -> None:
    scheduler: Scheduler[str] = Scheduler(4, CHUNK)
    for owner, prompt in (("a", 3), ("b", 5), ("c", 40)):
        scheduler.submit(Entry(owner, prompt, 1))
    for _ in range(3):
        piece = scheduler.next_piece(CHUNK)
        assert piece is not None
        assert scheduler.fed(piece) == []
    assert piece.row == 2
    assert scheduler.leave(scheduler.active[0]) == [Move(1, 0, 5), Move(2, 1, CHUNK)]
    assert scheduler.leave(scheduler.active[0]) == [Move(1, 0, CHUNK)]
    piece = scheduler.next_piece(CHUNK)
    assert piece is not None
    assert (piece.row, piece.start, piece.stop) == (0, CHUNK, 2 * CHUNK)


@pytest.mark.parametrize(("prompt", "n"), [(0, 1), (1, 0), (1, 6)])
def test_what_can_never_fit_is_refused(prompt: int, n: int) -> None:
    with pytest.raises(ValueError, match=r"expected 1\.\.5 choices and a prompt"):
        Scheduler(SLOTS, CHUNK).submit(Entry("x", prompt, n))
