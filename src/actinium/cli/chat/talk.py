"""The loop of a chat: read a line, do what it means, until its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from actinium.errors import ActiniumError, ContextLengthExceeded, UsageError

from ..wording import count
from .conversation import Conversation, history_lines
from .partner import Partner
from .slash import Command, Say, check_session, help_lines, parse
from .terminal import Terminal


class Talk:
    """One chat with a partner. ``failed`` counts lines that could not be done.

    ``runner`` turns the event loop only while a line is worked on, so reading a line may block
    and Ctrl-C means what the moment suggests: an answer stops, a half-typed line is dropped.
    """

    def __init__(
        self,
        partner: Partner,
        conversation: Conversation,
        terminal: Terminal,
        runner: asyncio.Runner,
    ) -> None:
        self.failed = 0
        self._partner = partner
        self._conversation = conversation
        self._terminal = terminal
        self._runner = runner
        self._commands: dict[str, Callable[[str], None]] = {
            "/help": self._help,
            "/new": self._new,
            "/session": self._session,
            "/history": self._history,
            "/system": self._system,
            "/model": self._model,
        }

    def run(self) -> None:
        """Talks until /quit or the end of the input."""
        screen = self._terminal.screen
        while True:
            try:
                meaning = parse(self._terminal.read())
                if isinstance(meaning, Command) and meaning.name == "/quit":
                    return
                self._do(meaning)
            except EOFError:
                if self._terminal.live:
                    screen.say()
                return
            except KeyboardInterrupt:
                if not self._terminal.live:
                    raise
                screen.say()
            except ActiniumError as error:
                self.failed += 1
                screen.fail(str(error))
                self._terminal.gap()

    def _do(self, meaning: Say | Command | None) -> None:
        match meaning:
            case Say(text):
                self._answer(text)
            case Command(name, argument):
                self._commands[name](argument)
                self._terminal.gap()

    def _answer(self, text: str) -> None:
        dropped = 0
        while True:
            try:
                answer = self._runner.run(self._stream(text))
                break
            except ContextLengthExceeded:
                if not self._conversation.forget_oldest():
                    raise
                dropped += 1
            except KeyboardInterrupt:
                self._terminal.write("\n")
                self._terminal.note("(stopped; this turn is not remembered)")
                if not self._terminal.live:
                    raise
                return
            except ActiniumError:
                self._terminal.write("\n")
                raise
        if dropped:
            self._terminal.note(f"(the model no longer sees the oldest {2 * dropped} messages)")
        self._conversation.add(text, answer)

    async def _stream(self, text: str) -> str:
        pieces: list[str] = []
        cut = False
        async with aclosing(self._partner.generate(self._conversation.request(text))) as source:
            async for burst in source:
                for chunk in burst:
                    piece = chunk.text or chunk.refusal
                    pieces.append(piece)
                    self._terminal.write(piece)
                    cut = cut or chunk.finish == "length"
        self._terminal.write("\n")
        self._terminal.gap()
        if cut:
            self._terminal.note("(cut off: the limit of tokens was reached)")
        return "".join(pieces)

    def _help(self, argument: str) -> None:
        for line in help_lines():
            self._terminal.screen.say(line)

    def _new(self, argument: str) -> None:
        self._conversation.begin()
        self._terminal.note("a new conversation")

    def _session(self, name: str) -> None:
        if not name:
            self._list_sessions()
            return
        remembered = self.open_session(name)
        self._terminal.note(f"session {name}{remembered_text(remembered)}")

    def open_session(self, name: str) -> int | None:
        """Goes on with a session; how many messages it has, None where nobody can tell.

        Raises UsageError where the partner keeps none.
        """
        check_session(name)
        if not self._partner.can_remember():
            raise UsageError("no sessions are kept here, so there is nothing to go on with")
        messages = self._runner.run(self._partner.history(name))
        self._conversation.begin(name)
        return None if messages is None else len(messages)

    def _list_sessions(self) -> None:
        current = self._conversation.session
        self._terminal.note(f"now: {'none' if current is None else repr(current)}")
        names = self._runner.run(self._partner.sessions())
        if names is None:
            self._terminal.note("the names of stored sessions cannot be read here")
        for name in names or ():
            self._terminal.screen.say(f"  {name}")

    def _history(self, argument: str) -> None:
        conversation = self._conversation
        messages = None
        if conversation.session is not None:
            messages = self._runner.run(self._partner.history(conversation.session))
            if messages is None:
                self._terminal.note("(only what was said here; the server keeps the rest)")
        lines = history_lines(conversation.said if messages is None else messages)
        for line in lines:
            self._terminal.write(line + "\n")
        if not lines:
            self._terminal.note("nothing has been said yet")

    def _system(self, text: str) -> None:
        if text:
            self._conversation.system = text
        shown = self._conversation.system
        self._terminal.note("no instructions" if shown is None else f"instructions: {shown}")

    def _model(self, name: str) -> None:
        models = self._runner.run(self._partner.models())
        if not name:
            for model in models:
                mark = "*" if model == self._conversation.model else " "
                self._terminal.screen.say(f"{mark} {model}")
            return
        if name not in models:
            raise UsageError(f"there is no model {name!r} here; there are: {', '.join(models)}")
        self._conversation.model = name
        self._terminal.note(f"model {name!r}")


def remembered_text(messages: int | None) -> str:
    """What is known of a session's past, to be put behind its name."""
    if messages is None:
        return ""
    return f", {count(messages, 'message')} remembered" if messages else ", new"
