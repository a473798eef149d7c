"""System prompts: plain ones, and ones that give the assistant a name or a role."""

from __future__ import annotations

from . import pools
from .scene import Scene

_PLAIN = (
    "You are a helpful assistant.",
    "Be brief.",
    "Answer in short sentences.",
    "You are a friendly assistant.",
    "You help people who try Actinium.",
    "Help the user.",
    "Be kind and short.",
    "You are the assistant of this website.",
    "You are a chat assistant. Answer politely.",
)
_NAMED = (
    "You are {v}.",
    "Your name is {v}.",
    "You are {v}, a helpful assistant.",
    "You are called {v}.",
    "You are an assistant named {v}.",
    "Act as {v}.",
    "You are {v}, the assistant of a small shop.",
    "You are {v}. Be brief.",
    "You are a friendly helper called {v}.",
    "Your name is {v}. Help the user.",
    "You play the role of {v}.",
)
_NAMED_HELD_OUT = (
    "You are a polite assistant and your name is {v}.",
    "You are {v}, a support agent.",
)


_ABOUT_USER = (
    "The user is called {v}.",
    "You are talking to {v}.",
    "The name of the user is {v}.",
    "The user's name is {v}. Be polite.",
)


def about_user(scene: Scene) -> str:
    """A system text that says who the user is."""
    name = pools.person(scene.rng, scene.held_out)
    scene.facts["name"] = name
    return scene.rng.choice(_ABOUT_USER).format(v=name)


def plain(scene: Scene) -> str:
    """A system text without a name."""
    return scene.rng.choice(_PLAIN)


def named(scene: Scene) -> str:
    """A system text with a name, which becomes the scene's persona."""
    scene.persona = pools.person(scene.rng, scene.held_out)
    return scene.rng.choice(_NAMED_HELD_OUT if scene.held_out else _NAMED).format(v=scene.persona)
