"""One request on its way through the engine."""

from __future__ import annotations

import msgspec

from ...chunk import Chunk, Usage
from .answer import Answer
from .guide import CallGuide
from .inbox import Inbox
from .plan import Plan
from .prompt import Prompt
from .sampling import Row
from .scheduler import Entry
from .vocabulary import Vocabulary


class Voice:
    """One choice of a request: how it draws its tokens and what they say."""

    __slots__ = ("_guide", "answer", "made", "row")

    def __init__(self, row: Row, answer: Answer, guide: CallGuide | None) -> None:
        self.row = row
        self.answer = answer
        self.made = 0
        self._guide = guide

    def allowed(self) -> list[int] | None:
        """The ids that may come next; None where any may."""
        if self._guide is None or self.answer.call is None:
            return None
        return self._guide.allowed(self.answer.call)


class Job:
    """A checked request, its choices, and the inbox of its reader.

    ``limit`` is the number of output tokens at which a choice ends with ``"length"``. Output
    tokens are all that were drawn, with the one that ended the choice.
    """

    def __init__(
        self, prompt: Prompt, plan: Plan, n: int, limit: int, one_call: bool, inbox: Inbox
    ) -> None:
        self.prompt = prompt
        self.plan = plan
        self.limit = limit
        self.inbox = inbox
        self.entry: Entry[Job] = Entry(self, len(prompt.ids), n)
        self.voices: list[Voice] = []
        self.running = n
        self._one_call = one_call

    def start(self, vocabulary: Vocabulary, stop_ids: frozenset[int], call_id: int | None) -> None:
        """Makes the choices, when the prompt has been fed."""
        tools = self.prompt.tools
        banned = () if tools or call_id is None else (call_id,)
        guide = CallGuide(tools, vocabulary) if tools else None
        ids = self.prompt.ids
        size = len(vocabulary.pieces)
        self.voices = [
            Voice(
                Row(self.plan, index, size, ids, banned),
                Answer(
                    index,
                    self.plan,
                    vocabulary,
                    stop_ids,
                    call_id,
                    forced_call=self.prompt.call,
                    one_call=self._one_call,
                ),
                guide,
            )
            for index in range(self.entry.n)
        ]

    def with_usage(self, chunk: Chunk) -> Chunk:
        """The last chunk of the request, with the tokens of all choices."""
        made = sum(voice.made for voice in self.voices)
        usage = Usage(input=len(self.prompt.ids), output=made)
        return msgspec.structs.replace(chunk, usage=usage)
