"""Counting up, down and in steps."""

from __future__ import annotations

from .scene import Scene

_UP = (
    "Count from {a} to {b}.",
    "Count up from {a} to {b}.",
    "Please count from {a} to {b}.",
    "Can you count from {a} to {b}?",
    "Write the numbers from {a} to {b}.",
    "Say the numbers from {a} to {b}.",
    "Count {a} to {b}.",
    "List the numbers {a} to {b}.",
)
_TO = ("Count to {b}.", "Please count to {b}.", "Can you count to {b}?", "Count up to {b}.")
_DOWN = (
    "Count down from {a} to {b}.",
    "Count backwards from {a} to {b}.",
    "Please count down from {a} to {b}.",
    "Can you count down from {a} to {b}?",
)
_STEP = (
    "Count from {a} to {b} by twos.",
    "Count by twos from {a} to {b}.",
    "Count in twos from {a} to {b}.",
)
_AFTER = (
    "What comes after {a}?",
    "Which number comes after {a}?",
    "What is the number after {a}?",
    "What number follows {a}?",
)
_BEFORE = (
    "What comes before {a}?",
    "Which number comes before {a}?",
    "What is the number before {a}?",
)


def exchange(scene: Scene) -> str:
    """One counting task; returns the right answer."""
    rng = scene.rng
    kind = rng.choice(("up", "up", "to", "down", "step", "after", "before"))
    if kind == "after":
        a = rng.randrange(0, 100)
        scene.say(_AFTER, a=a)
        return scene.reply(f"After {a} comes {a + 1}.")
    if kind == "before":
        a = rng.randrange(1, 100)
        scene.say(_BEFORE, a=a)
        return scene.reply(f"Before {a} comes {a - 1}.")
    low = rng.randrange(0, 60) if rng.random() < 0.5 else rng.randrange(0, 4)
    high = low + rng.randrange(2, 13)
    if rng.random() < 0.10 and kind in ("up", "to"):
        low = rng.choice((0, 1, 1, 1, low))
        high = low + rng.randrange(13, 51) if rng.random() < 0.8 else 100
    if kind == "to":
        scene.say(_TO, b=high - low + 2)
        return scene.reply(_join(range(1, high - low + 3)))
    if kind == "down":
        scene.say(_DOWN, a=high, b=low)
        return scene.reply(_join(range(high, low - 1, -1)))
    if kind == "step":
        high = low + 2 * rng.randrange(2, 9)
        scene.say(_STEP, a=low, b=high)
        return scene.reply(_join(range(low, high + 1, 2)))
    scene.say(_UP, a=low, b=high)
    return scene.reply(_join(range(low, high + 1)))


def _join(numbers: range) -> str:
    return ", ".join(str(n) for n in numbers)
