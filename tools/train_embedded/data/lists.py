"""Lists: a given number of fruits, colours, planets, days and the like."""

from __future__ import annotations

from . import pools
from .scene import Scene
from .words import words

PLANETS = words("Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune")
SEASONS = ["spring", "summer", "autumn", "winter"]
COUNTS = ("two", "three", "four", "five", "six")
KINDS: dict[str, list[str]] = {
    "fruits": words("apple banana orange pear grape cherry plum peach mango lemon"),
    "vegetables": words("carrot potato tomato onion cabbage spinach bean pea"),
    "colours": words("red blue green yellow orange purple black white"),
    "colors": words("red blue green yellow orange purple black white"),
    "animals": words("cat dog horse lion tiger bear rabbit elephant"),
    "birds": words("eagle owl swan duck sparrow robin"),
    "fish": words("salmon trout tuna cod herring carp"),
    "trees": words("oak pine birch maple willow beech"),
    "flowers": words("rose tulip daisy lily violet sunflower"),
    "cities": words("London Paris Berlin Madrid Rome Vienna"),
    "countries": words("France Germany Spain Italy Japan Brazil"),
    "languages": words("English French German Spanish Italian Japanese"),
    "instruments": words("piano guitar violin flute drum trumpet"),
    "sports": words("football tennis swimming running cycling rowing"),
    "jobs": words("teacher doctor baker farmer pilot writer"),
    "drinks": words("water tea coffee milk juice lemonade"),
    "tools": words("hammer saw drill screwdriver spanner"),
    "vehicles": words("car bus train bicycle boat plane"),
    "shapes": words("circle square triangle rectangle star oval"),
    "rooms": words("kitchen bedroom bathroom hall cellar attic"),
    "clothes": words("shirt jacket hat scarf coat shoes"),
    "planets": PLANETS,
    "months": pools.MONTHS,
    "days": pools.DAYS,
    "seasons": SEASONS,
    "even numbers": words("2 4 6 8 10 12"),
    "odd numbers": words("1 3 5 7 9 11"),
}
_SOME = (
    "Name {n} {kind}.",
    "List {n} {kind}.",
    "Give me {n} {kind}.",
    "Tell me {n} {kind}.",
    "Can you name {n} {kind}?",
    "Please list {n} {kind}.",
    "Write down {n} {kind}.",
    "I need {n} {kind}.",
    "Could you name {n} {kind}?",
    "Could you list {n} {kind}?",
    "Give me the names of {n} {kind}.",
    "Can you give me {n} {kind}?",
    "Could you tell me {n} {kind}?",
    "What are the names of {n} {kind}?",
)
_SOME_HELD_OUT = ("Could you give me the names of {n} {kind}?",)
_ALL = (
    "Name the {kind}.",
    "List the {kind}.",
    "List all {kind}.",
    "What are the {kind}?",
    "Name all the {kind}.",
    "Which {kind} are there?",
)
_WHOLE = {
    "planets": PLANETS,
    "months of the year": pools.MONTHS,
    "days of the week": pools.DAYS,
    "seasons": SEASONS,
    "months": pools.MONTHS,
    "weekdays": pools.DAYS[:5],
}


def exchange(scene: Scene) -> tuple[list[str], int]:
    """One list; returns the allowed items and how many were wanted."""
    rng = scene.rng
    if rng.random() < 0.2:
        kind, items = rng.choice(list(_WHOLE.items()))
        scene.say(_ALL, kind=kind)
        scene.reply(", ".join(items))
        return items, len(items)
    kind = rng.choice(list(KINDS))
    items = KINDS[kind]
    count = rng.randrange(2, min(6, len(items)) + 1)
    asked = COUNTS[count - 2] if rng.random() < 0.7 else str(count)
    scene.say(_SOME_HELD_OUT if scene.held_out else _SOME, n=asked, kind=kind)
    scene.reply(", ".join(items[:count]))
    return items, count
