"""What a test may expect of a system as a whole: dead letters, failures, log lines, counters."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from actinium.core import DeadLetter, System

from .events import shown
from .failure import ExpectationFailed
from .loop import VirtualLoop
from .watch import Failed, Watch

T = TypeVar("T")

KEPT = 10_000
"""Lines of the log that are kept: the first ones."""


class Logged(NamedTuple):
    """One line of the log."""

    level: int
    logger: str
    text: str


class Logs(logging.Handler):
    """What the package has logged, oldest first; text only, so that nothing is kept alive."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[Logged] = []
        self._logger = logging.getLogger("actinium")
        self._level = self._logger.level

    def open(self) -> None:
        """Begins to listen."""
        self._level = self._logger.level
        self._logger.setLevel(logging.DEBUG)
        self._logger.addHandler(self)

    def close(self) -> None:
        """Ends it, and puts the level back."""
        if self in self._logger.handlers:
            self._logger.removeHandler(self)
            self._logger.setLevel(self._level)
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """See logging."""
        if len(self.lines) < KEPT:
            self.lines.append(Logged(record.levelno, record.name, record.getMessage()))


class Expectations:
    """Each expectation takes what it has found: the next one of its kind looks behind that.

    They wait in virtual time. Raises ExpectationFailed, with all that did happen, in order.
    """

    loop: VirtualLoop
    system: System
    _watch: Watch
    _logs: Logs

    def __init__(self) -> None:
        self._letters_read = 0
        self._failures_read = 0
        self._logs_read = 0
        self._counted: dict[str, int] = {}

    async def _until(self, find: Callable[[], T | None], within: float) -> T | None:
        await self.loop.until(lambda: find() is not None, within)
        return find()

    # -- dead letters

    async def expect_dead_letter(
        self,
        reason: str | None = None,
        where: Callable[[DeadLetter], bool] | None = None,
        within: float = 1.0,
    ) -> DeadLetter:
        """The first dead letter not yet expected of this reason (and meeting ``where``)."""

        def find() -> DeadLetter | None:
            for letter in self.system.dead_letters.find(reason=reason):
                if letter.id > self._letters_read and (where is None or where(letter)):
                    return letter
            return None

        letter = await self._until(find, within)
        if letter is None:
            kind = f" ({reason})" if reason else ""
            raise self._unmet(f"a dead letter{kind}", within, "dead letters", self._letters())
        self._letters_read = letter.id
        return letter

    def expect_no_dead_letters(self) -> None:
        """No dead letter came beyond those that were expected: for the end of a test."""
        if any(letter.id > self._letters_read for letter in self.system.dead_letters):
            raise ExpectationFailed(
                _story("expected no more dead letters", "dead letters", self._letters())
            )

    def _letters(self) -> Iterable[str]:
        for letter in self.system.dead_letters:
            yield f"{letter.id}. {letter.reason}: {shown(letter.message)} for {letter.path}"

    # -- failures

    async def expect_failure(
        self,
        kind: type[BaseException] = BaseException,
        where: Callable[[Failed], bool] | None = None,
        within: float = 1.0,
    ) -> Failed:
        """The next failure of an actor by an exception of this class.

        An exception that its handler declares is an answer and no failure.
        """
        watch = self._watch

        def find() -> tuple[int, Failed] | None:
            first = watch.failed - len(watch.failures)
            for n, failed in enumerate(watch.failures, first + 1):
                if n <= self._failures_read or not issubclass(failed.kind, kind):
                    continue
                if where is None or where(failed):
                    return n, failed
            return None

        found = await self._until(find, within)
        if found is None:
            lines = (f"{n}. {failed}" for n, failed in enumerate(watch.failures, 1))
            raise self._unmet(f"a failure by {kind.__qualname__}", within, "failures", lines)
        self._failures_read = found[0]
        return found[1]

    # -- log lines

    async def expect_log(
        self,
        pattern: str,
        *,
        level: int = logging.NOTSET,
        logger: str = "actinium",
        within: float = 1.0,
    ) -> Logged:
        """The next line of the package's log that a regular expression is found in.

        ``level`` is the least level; ``logger`` the logger or one above it.
        """
        wanted = re.compile(pattern)

        def find() -> tuple[int, Logged] | None:
            for n, line in enumerate(self._logs.lines):
                named = line.logger == logger or line.logger.startswith(logger + ".")
                if n < self._logs_read or line.level < level or not named:
                    continue
                if wanted.search(line.text):
                    return n, line
            return None

        found = await self._until(find, within)
        if found is None:
            lines = (
                f"{n}. {logging.getLevelName(level)} {name}: {text}"
                for n, (level, name, text) in enumerate(self._logs.lines, 1)
            )
            raise self._unmet(f"a log line with {pattern!r}", within, "log lines", lines)
        self._logs_read = found[0] + 1
        return found[1]

    # -- counters

    async def expect_metric(self, name: str, by: int = 1, within: float = 1.0) -> int:
        """A counter of ``System.statistics()`` grew by so much since it was expected last.

        Exactly by that: less within the time fails, and so does more. Returns its value.
        """
        statistics = self.system.statistics
        if name not in statistics():
            known = ", ".join(sorted(statistics()))
            raise ExpectationFailed(f"there is no counter {name!r}; there are {known}")
        before = self._counted.get(name, 0)
        await self.loop.until(lambda: statistics()[name] - before >= by, within)
        now = statistics()[name]
        if now - before != by:
            raise ExpectationFailed(
                f"expected {name} to grow by {by} within {within:g} s, it grew by {now - before} "
                f"(from {before} to {now})"
            )
        self._counted[name] = now
        return now

    def _unmet(
        self, what: str, within: float, kind: str, lines: Iterable[str]
    ) -> ExpectationFailed:
        return ExpectationFailed(_story(f"expected {what} within {within:g} s", kind, lines))


def _story(text: str, kind: str, lines: Iterable[str]) -> str:
    told = [f"  {line}" for line in lines]
    return "\n".join([text, f"{kind}, in order:", *told] if told else [text, "there are none"])
