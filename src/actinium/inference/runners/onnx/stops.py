"""Stop strings found in a stream, without a part of one ever leaving.

One Knuth-Morris-Pratt automaton per string: constant time per character, and its state is the
number of characters at the end of the text that may yet become the stop string.
"""

from __future__ import annotations

from collections.abc import Sequence


class _Automaton:
    """How much of one string the end of the text matches."""

    __slots__ = ("failure", "matched", "string")

    def __init__(self, string: str) -> None:
        self.string = string
        self.matched = 0
        self.failure = [0] * len(string)
        length = 0
        for at in range(1, len(string)):
            while length and string[at] != string[length]:
                length = self.failure[length - 1]
            if string[at] == string[length]:
                length += 1
            self.failure[at] = length

    def advance(self, char: str) -> int:
        """Takes one character; returns how many characters match now."""
        matched = self.matched
        while matched and self.string[matched] != char:
            matched = self.failure[matched - 1]
        if self.string[matched] == char:
            matched += 1
        self.matched = matched
        return matched


class StopFilter:
    """Lets text through up to the first stop string that is completed.

    Where two are completed by the same character, the longer one counts. The result depends
    on the text alone, not on how it was cut into pieces.
    """

    def __init__(self, strings: Sequence[str]) -> None:
        self._automata = [_Automaton(string) for string in strings]
        self._held = ""
        self.stopped = False

    def push(self, text: str) -> str:
        """The text that may be shown now; sets ``stopped`` where a stop string is complete."""
        if not self._automata:
            return text
        held = 0
        for at, char in enumerate(text):
            held = 0
            found = 0
            for automaton in self._automata:
                matched = automaton.advance(char)
                held = max(held, matched)
                if matched == len(automaton.string):
                    found = max(found, matched)
            if found:
                self.stopped = True
                seen = self._held + text[: at + 1]
                self._held = ""
                return seen[: len(seen) - found]
        if not text:
            return ""
        seen = self._held + text
        cut = len(seen) - held
        self._held = seen[cut:]
        return seen[:cut]

    def finish(self) -> str:
        """What was held back, once no more text can come."""
        held, self._held = self._held, ""
        return held
