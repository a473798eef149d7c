"""Questions outside the model's small world: a polite refusal that says what it can do."""

from __future__ import annotations

from . import pools
from .scene import Scene

_REFUSALS = (
    "I am a very small model and I do not know that. Ask me about Actinium, or let me count, "
    "spell or tell a story.",
)
_ASKS = (
    "Who won the world cup in {y}?",
    "What happened in {y}?",
    "Write a {lang} program that sorts a list.",
    "Who is the president of {c}?",
    "What is the population of {t}?",
    "Translate {w} into {l}.",
    "What is the weather in {t}?",
    "What time is it?",
    "What is the news today?",
    "How do I cook {f}?",
    "Give me a recipe for {f}.",
    "Write an essay about {w}.",
    "What is the meaning of life?",
    "Explain quantum physics.",
    "Who wrote Hamlet?",
    "Solve this equation: x * x = {n}.",
    "What is {n} times {m}?",
    "What is {n} divided by {m}?",
    "Write me a poem about {w}.",
    "Who is {p}?",
    "Do you know {p}?",
    "What is a {q}?",
    "What does {q} mean?",
    "How far is it from {t} to {u}?",
    "How tall is the tower in {t}?",
    "Which film should I watch?",
    "Write a regular expression for dates.",
    "What is the stock price?",
    "When was {p} born?",
    "How do I fix my car?",
    "What is the best phone?",
    "Is it going to rain?",
    "Can you draw a {a}?",
    "Play some music.",
    "Open the door.",
    "Send an email to {p}.",
    "Who discovered the {w}?",
    "Write an email to my boss.",
    "How do I learn {l}?",
    "What is the square root of {n}?",
    "Which is the best restaurant in {t}?",
    "Summarise the book about {w}.",
    "What is the date today?",
    "What is the date of {y}?",
    "Why is the {w} so {x}?",
    "What do you think about {w}?",
    "Can you help me with my {w}?",
    "Write a haiku about the {w}.",
    "What do you know about {w}?",
    "Do you like {f}?",
    "How does a {w} work?",
    "Why is the sky blue?",
    "What is the best {w}?",
)


def exchange(scene: Scene) -> None:
    """One question that it cannot answer."""
    rng = scene.rng
    scene.say(
        _ASKS,
        y=rng.randrange(1500, 2030),
        lang=rng.choice(["Java", "Rust", "Python", "Go"]),
        c=rng.choice(["France", "Brazil", "Canada", "Japan"]),
        t=pools.town(rng, scene.held_out),
        u=pools.town(rng, scene.held_out),
        w=rng.choice(pools.WORDS),
        l=rng.choice(pools.LANGUAGES),
        f=rng.choice(pools.FOODS),
        n=rng.randrange(100, 9999),
        m=rng.randrange(11, 999),
        p=pools.person(rng, scene.held_out),
        q=pools.invented(rng).lower(),
        a=rng.choice(pools.ANIMALS),
        x=rng.choice(["big", "small", "blue", "old"]),
    )
    scene.reply(_REFUSALS)
