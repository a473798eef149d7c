"""What was said, and the next request: the state of a chat without any I/O."""

from __future__ import annotations

from collections.abc import Sequence

from actinium.base.ids import Ids
from actinium.inference import Message, Request


class Conversation:
    """One conversation with one model.

    Without a ``session`` the whole conversation goes along with each request. With one the
    server has it, and only what is new is sent.
    """

    def __init__(self, model: str, session: str | None = None, system: str | None = None) -> None:
        self.model = model
        self.session = session
        self.system = system
        self.said: list[Message] = []
        self._ids = Ids()

    def request(self, text: str) -> Request:
        """The request for the answer to ``text``."""
        messages: list[Message] = []
        if self.system is not None:
            messages.append(Message(role="system", content=self.system))
        if self.session is None:
            messages += self.said
        messages.append(Message(role="user", content=text))
        return Request(
            id=self._ids.new("chat-"),
            model=self.model,
            messages=tuple(messages),
            session=self.session,
        )

    def add(self, text: str, answer: str) -> None:
        """A turn that was answered to its end; one that was not leaves no trace."""
        self.said += (
            Message(role="user", content=text),
            Message(role="assistant", content=answer),
        )

    def forget_oldest(self) -> bool:
        """Drops the oldest turn so that the rest may fit the model; False if there is none."""
        if self.session is not None or not self.said:
            return False
        del self.said[:2]
        return True

    def begin(self, session: str | None = None) -> None:
        """A new conversation, or the one stored as ``session``."""
        self.session = session
        self.said.clear()


def history_lines(messages: Sequence[Message]) -> list[str]:
    """A conversation for reading, one entry a message."""
    return [f"{message.role}: {message.text()}" for message in messages]
