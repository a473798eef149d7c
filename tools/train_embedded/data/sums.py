"""Small sums, differences and products."""

from __future__ import annotations

from .scene import Scene

_WORDS = {"+": ("plus", "added to"), "-": ("minus",), "*": ("times", "multiplied by")}
_ASKS = (
    "What is {a} {o} {b}?",
    "{a} {o} {b}",
    "{a} {o} {b}?",
    "{a} {o} {b} =",
    "Calculate {a} {o} {b}.",
    "How much is {a} {o} {b}?",
    "What's {a} {o} {b}?",
    "Compute {a} {o} {b}.",
    "Can you work out {a} {o} {b}?",
    "Please solve {a} {o} {b}.",
)
_STORY = {
    "+": (
        "I have {a} {thing} and get {b} more. How many do I have?",
        "There are {a} {thing} here and {b} there. How many are there in all?",
    ),
    "-": (
        "I have {a} {thing} and give away {b}. How many are left?",
        "There were {a} {thing} and {b} are gone. How many are left?",
    ),
    "*": ("I have {a} bags with {b} {thing} each. How many do I have?",),
}
_THINGS = ("apples", "books", "coins", "stones", "cards", "eggs", "pencils", "oranges")


def exchange(scene: Scene) -> str:
    """One arithmetic question; returns the right answer's text."""
    rng = scene.rng
    op = rng.choice("++--*")
    if op == "*":
        a, b = rng.randrange(0, 11), rng.randrange(0, 11)
        result = a * b
    else:
        a, b = rng.randrange(0, 21), rng.randrange(0, 21)
        if op == "-" and b > a:
            a, b = b, a
        result = a + b if op == "+" else a - b
    if rng.random() < 0.12:
        scene.say(_STORY[op], a=a, b=b, thing=rng.choice(_THINGS))
    else:
        said = op if rng.random() < 0.7 else rng.choice(_WORDS[op])
        close = said == op and rng.random() < 0.4
        scene.say([p.replace(" {o} ", "{o}") for p in _ASKS] if close else _ASKS, a=a, b=b, o=said)
    return scene.reply(f"{a} {op} {b} = {result}")
