"""Repeating what the user says: random words, names and sentences, which trains copying."""

from __future__ import annotations

from . import pools
from .scene import Scene

_ASKS = (
    "Repeat after me: {v}",
    "Say: {v}",
    "Repeat: {v}",
    "Please repeat: {v}",
    "Echo: {v}",
    "Say this: {v}",
    "Repeat the following: {v}",
)
_GREET = ("Say hello to {v}.", "Please greet {v}.", "Say hi to {v}.", "Greet my friend {v}.")
_LAST = (
    "What did I just say?",
    "What did I say?",
    "Can you repeat what I said?",
    "What was my last message?",
)


def exchange(scene: Scene) -> str:
    """One echo task; returns the right answer."""
    rng = scene.rng
    if rng.random() < 0.15:
        name = pools.person(rng, scene.held_out)
        scene.say(_GREET, v=name)
        return scene.reply(f"Hello {name}!")
    text = phrase(scene)
    scene.say(_ASKS, v=text)
    return scene.reply(text)


def phrase(scene: Scene) -> str:
    """Some words to repeat, with an invented name among them most of the time."""
    rng = scene.rng
    words = [rng.choice(pools.WORDS) for _ in range(rng.randrange(1, 6))]
    if rng.random() < 0.7:
        words.insert(rng.randrange(len(words) + 1), pools.person(rng, scene.held_out))
    if rng.random() < 0.2:
        words.insert(rng.randrange(len(words) + 1), str(rng.randrange(0, 1000)))
    return " ".join(words)


def said_before(scene: Scene) -> None:
    """The user asks for their own last message, if there was a short one."""
    before = [m["content"] for m in scene.messages if m["role"] == "user"]
    if before and len(before[-1]) < 80:
        scene.say(_LAST)
        scene.reply("You said: {v}", v=before[-1])
