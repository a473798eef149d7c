"""The conversation under construction: messages so far, facts told, and how users type.

A subject module appends whole exchanges to a `Scene`. Values (names, numbers) are put into
the user's words after typing noise, so that what the user typed is what can be given back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

Message = dict[str, Any]
_FIELD = re.compile(r"(\{\w+\})")
_WORD = re.compile(r"[a-z]{5,}")
_OPENERS = (
    "Please: ",
    "Hi, ",
    "Hey, ",
    "One question: ",
    "Now: ",
    "And ",
    "So, ",
    "OK, ",
    "Tell me, ",
    "Next question: ",
    "Hello! ",
    "Thanks. ",
    "Good. ",
)
_CLOSERS = (" Thanks!", " Please.", " I forgot.", " Be brief.", " I want to know.")


@dataclass
class Scene:
    """One conversation; `held_out` selects evaluation values, `noise` the share of sloppy turns."""

    rng: Random
    held_out: bool = False
    noise: float = 0.35
    facts: dict[str, str] = field(default_factory=dict)
    persona: str | None = None
    tools: list[dict[str, Any]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)

    def say(self, phrasings: Sequence[str], **values: object) -> str:
        """Append one user turn from a random phrasing; returns the text."""
        phrasing = self.rng.choice(phrasings)
        if phrasing.endswith("?") and self.rng.random() < self.noise * 0.3:
            phrasing = self._dress(phrasing)
        text = self.type(phrasing, **values)
        self.messages.append({"role": "user", "content": text})
        return text

    def _dress(self, question: str) -> str:
        """The question with a few words before or after it."""
        if self.rng.random() < 0.3:
            return question + self.rng.choice(_CLOSERS)
        opener = self.rng.choice(_OPENERS)
        if opener.endswith((". ", "! ")) or question.startswith(("I ", "{")):
            return opener + question
        return opener + question[0].lower() + question[1:]

    def type(self, phrasing: str, **values: object) -> str:
        """`phrasing` as a user might type it, with the values filled in untouched."""
        if self.rng.random() < self.noise:
            parts = _FIELD.split(phrasing)
            sloppy = _sloppy_style(self.rng)
            phrasing = "".join(p if _FIELD.fullmatch(p) else sloppy(p) for p in parts)
            if self.rng.random() < 0.6:
                phrasing = phrasing.rstrip(".!?")
        return phrasing.format(**values)

    def reply(self, phrasings: Sequence[str] | str, **values: object) -> str:
        """Append one assistant turn; returns the text."""
        chosen = phrasings if isinstance(phrasings, str) else self.rng.choice(phrasings)
        text = chosen.format(**values) if values else chosen
        self.messages.append({"role": "assistant", "content": text})
        return text


def _sloppy_style(rng: Random) -> Any:
    """A function that lower-cases text and, one time in three, adds a typing slip."""
    slips = rng.random() < 0.35

    def sloppy(text: str) -> str:
        text = text.lower()
        words = list(_WORD.finditer(text))
        if not slips or not words or rng.random() < 0.5:
            return text
        word = rng.choice(words)
        at = rng.randrange(word.start() + 1, word.end() - 2)
        kind = rng.randrange(3)
        if kind == 0:
            return text[:at] + text[at + 1 :]
        if kind == 1:
            return text[:at] + text[at] + text[at:]
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]

    return sloppy
