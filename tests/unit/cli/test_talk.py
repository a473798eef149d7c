"""The loop of a chat, with a partner that answers what the test says."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path

import pytest

from actinium.cli.chat.conversation import Conversation
from actinium.cli.chat.talk import Talk
from actinium.cli.chat.terminal import Terminal
from actinium.cli.screen import Screen
from actinium.errors import ContextLengthExceeded, NetworkError
from actinium.inference import Burst, Chunk, Message, Request


class Scripted:
    """A partner: answers with ``answer(request)`` and keeps the requests it got."""

    def __init__(self, answer: Callable[[Request], str] = lambda r: "ok") -> None:
        self.answer = answer
        self.asked: list[Request] = []
        self.stored: dict[str, tuple[Message, ...]] | None = {}

    async def models(self) -> list[str]:
        return ["small", "large"]

    async def generate(self, request: Request) -> AsyncGenerator[Burst]:
        self.asked.append(request)
        for character in self.answer(request):
            yield [Chunk(text=character)]
        yield [Chunk(finish="stop")]

    async def history(self, session: str) -> tuple[Message, ...] | None:
        return None if self.stored is None else self.stored.get(session, ())

    async def sessions(self) -> list[str] | None:
        return None if self.stored is None else sorted(self.stored)

    def can_remember(self) -> bool:
        return self.stored is not None

    async def close(self) -> None:
        pass


class Scene:
    """A chat whose input is a list of lines."""

    def __init__(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        self._capsys = capsys
        self._file = tmp_path / "history"
        self.out = self.err = ""
        self.failed = 0

    def play(
        self, partner: Scripted, *lines: str, system: str | None = None, live: bool = False
    ) -> None:
        stdin = io.StringIO("".join(line + "\n" for line in lines))
        with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner:
            patch.setattr("sys.stdin", stdin)
            terminal = Terminal(Screen(), self._file)
            terminal.live = live
            talk = Talk(partner, Conversation("small", system=system), terminal, runner)
            talk.run()
            self.failed = talk.failed
        self.out, self.err = self._capsys.readouterr()


@pytest.fixture
def scene(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Scene]:
    yield Scene(capsys, tmp_path)


def _texts(request: Request) -> list[str]:
    return [message.text() for message in request.messages]


def test_without_a_session_the_whole_conversation_goes_along(scene: Scene) -> None:
    partner = Scripted()
    scene.play(partner, "one", "", "two", "/new", "three", system="be kind")
    assert [_texts(r) for r in partner.asked] == [
        ["be kind", "one"],
        ["be kind", "one", "ok", "two"],
        ["be kind", "three"],
    ]
    assert scene.out == "ok\nok\nok\n"


def test_with_a_session_only_what_is_new_is_sent(scene: Scene) -> None:
    partner = Scripted()
    scene.play(partner, "/session anna", "one", "two")
    assert [(r.session, _texts(r)) for r in partner.asked] == [
        ("anna", ["one"]),
        ("anna", ["two"]),
    ]


def test_a_session_needs_somebody_who_keeps_it(scene: Scene) -> None:
    partner = Scripted()
    partner.stored = None
    scene.play(partner, "/session anna", "one")
    assert "no sessions are kept here" in scene.err
    assert scene.failed == 1
    assert partner.asked[0].session is None


def test_history_and_lists(scene: Scene) -> None:
    partner = Scripted()
    partner.stored = {"anna": (Message(role="user", content="before"),)}
    scene.play(partner, "one", "/history", "/session anna", "/history", "/session", "/model")
    assert scene.out.splitlines() == [
        "ok", "user: one", "assistant: ok", "user: before", "  anna", "* small", "  large",
    ]  # fmt: skip
    assert "session anna, 1 message remembered" in scene.err


def test_another_model(scene: Scene) -> None:
    partner = Scripted()
    scene.play(partner, "/model large", "one", "/model huge", "/quit", "never")
    assert [r.model for r in partner.asked] == ["large"]
    assert "no model 'huge' here; there are: small, large" in scene.err


def test_the_oldest_turns_are_dropped_when_they_no_longer_fit(scene: Scene) -> None:
    def answer(request: Request) -> str:
        if len(request.messages) > 3:
            raise ContextLengthExceeded(99, 50)
        return "ok"

    partner = Scripted(answer)
    scene.play(partner, "one", "two", "three")
    assert _texts(partner.asked[-1]) == ["two", "ok", "three"]
    assert "(the model no longer sees the oldest 2 messages)" in scene.err
    assert scene.failed == 0


def test_a_text_that_never_fits_is_an_error(scene: Scene) -> None:
    def answer(request: Request) -> str:
        raise ContextLengthExceeded(99, 50)

    scene.play(Scripted(answer), "one")
    assert scene.failed == 1
    assert "maximum context length is 50" in scene.err


def test_an_answer_that_broke_off_leaves_no_trace(scene: Scene) -> None:
    partner = Scripted()

    def answer(request: Request) -> str:
        if len(partner.asked) == 1:
            raise NetworkError("gone")
        return "ok"

    partner.answer = answer
    scene.play(partner, "one", "two")
    assert _texts(partner.asked[-1]) == ["two"]
    assert scene.failed == 1


def test_a_model_cannot_move_the_cursor(scene: Scene) -> None:
    scene.play(Scripted(lambda r: "a\x1b[2Jb\x9bc\td\x07"), "one")
    assert scene.out == "a[2Jbc\td\n"


def test_bytes_that_are_no_text_are_replaced(scene: Scene) -> None:
    partner = Scripted()
    scene.play(partner, "a\udcffb")
    assert _texts(partner.asked[0]) == ["a?b"]


class Interrupted(Scripted):
    """Ctrl-C is pressed in the middle of its first answer."""

    closed = False

    async def generate(self, request: Request) -> AsyncGenerator[Burst]:
        self.asked.append(request)
        try:
            yield [Chunk(text="begun")]
            if len(self.asked) == 1:
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.get_running_loop().create_future()
            yield [Chunk(finish="stop")]
        finally:
            self.closed = True


def test_ctrl_c_stops_an_answer_and_the_talk_goes_on(scene: Scene) -> None:
    partner = Interrupted()
    scene.play(partner, "one", "two", live=True)
    assert partner.closed
    assert [_texts(r) for r in partner.asked] == [["one"], ["two"]]
    assert "(stopped; this turn is not remembered)" in scene.err
    assert scene.out == "> begun\n> begun\n\n> \n"


def test_ctrl_c_ends_a_command_without_a_terminal(scene: Scene) -> None:
    partner = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        scene.play(partner, "one", "two")
    assert partner.closed and len(partner.asked) == 1
