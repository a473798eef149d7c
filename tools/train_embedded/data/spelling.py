"""Spelling letter by letter, first and last letters, word lengths."""

from __future__ import annotations

from . import pools
from .scene import Scene

_SPELL = (
    "Spell {v}.",
    "How do you spell {v}?",
    "Spell the word {v}.",
    "Please spell {v}.",
    "Can you spell {v}?",
    "Spell {v} for me.",
    "Spell out {v}.",
    "Spell {v} letter by letter.",
)
_FIRST = (
    "What is the first letter of {v}?",
    "Which letter does {v} start with?",
    "What's the first letter of {v}?",
)
_LAST = (
    "What is the last letter of {v}?",
    "Which letter does {v} end with?",
    "What's the last letter of {v}?",
)


def word(scene: Scene) -> str:
    """A common word or a name of the right split."""
    if scene.rng.random() < 0.5:
        return pools.pick(scene.rng, ALL_WORDS, scene.held_out)
    return pools.person(scene.rng, scene.held_out)


ALL_WORDS = sorted(
    {
        w.lower()
        for w in pools.WORDS
        + pools.ANIMALS
        + pools.JOBS
        + pools.FOODS
        + pools.COLOURS
        + pools.HOBBIES
        + pools.INSTRUMENTS
        + pools.TOWNS
    }
)


def exchange(scene: Scene) -> str:
    """One spelling task; returns the right answer."""
    value = word(scene)
    kind = scene.rng.random()
    if kind < 0.7:
        scene.say(_SPELL, v=value)
        return scene.reply(spelled(value))
    if kind < 0.85:
        scene.say(_FIRST, v=value)
        return scene.reply(f"The first letter of {value} is {value[0]}.")
    scene.say(_LAST, v=value)
    return scene.reply(f"The last letter of {value} is {value[-1]}.")


def spelled(value: str) -> str:
    """`actor` -> `a-c-t-o-r`."""
    return "-".join(value)
