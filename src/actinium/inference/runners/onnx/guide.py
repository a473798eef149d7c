"""Keeps the beginning of a tool call to the tools that were offered.

Between ``<|call|>`` and the arguments only tokens may come that spell the name of an offered
tool: a small model would otherwise make names up. The arguments are the model's own.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .vocabulary import Vocabulary


def opening(name: str) -> str:
    """A call of ``name`` up to its arguments; the space behind belongs to the next token."""
    return f'{{"name": {msgspec.json.encode(name).decode()}, "arguments":'


class CallGuide:
    """The tokens with which a call of one of ``names`` can go on."""

    def __init__(self, names: Sequence[str], vocabulary: Vocabulary) -> None:
        self._openings = [opening(name).encode() for name in names]
        self._vocabulary = vocabulary

    def allowed(self, written: bytes) -> list[int] | None:
        """Ids that may follow what is written of a call; None where any may."""
        rests = [
            begun[len(written) :]
            for begun in self._openings
            if begun.startswith(written) and len(begun) > len(written)
        ]
        tokens: set[int] = set()
        pieces = self._vocabulary.pieces
        for rest in rests:
            for token in self._vocabulary.starting(rest[0]):
                # The last token may reach beyond the opening, into the arguments.
                if rest.startswith(pieces[token]) or pieces[token].startswith(rest):
                    tokens.add(token)
        return sorted(tokens) or None
