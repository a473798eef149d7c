"""Short stories of two to five sentences about a given hero, animal or place."""

from __future__ import annotations

from . import pools
from .scene import Scene

_ASKS = (
    (
        "Tell me a story.",
        "Tell me a short story.",
        "Can you tell a story?",
        "I want a story.",
        "A story, please.",
        "Please tell me a story.",
        "Write a short story.",
    ),
    (
        "Tell me a story about {hero}.",
        "Write a story about {hero}.",
        "A story about {hero}, please.",
        "Tell me a short story about {hero}.",
        "Can you tell me a story about {hero}?",
    ),
    (
        "Tell me a story about a {animal}.",
        "Write a story about a {animal}.",
        "A short story about a {animal}, please.",
        "Can you tell me a story about a {animal}?",
    ),
    (
        "Tell me a story about a {animal} named {hero}.",
        "A story about a {animal} called {hero}.",
        "Write a story about a {animal} called {hero}.",
    ),
    (
        "Tell me a story about {hero} in {place}.",
        "Write a short story about {hero} in {place}.",
        "A story about {hero} in {place}, please.",
    ),
)
_OPEN_PERSON = (
    "Once there was a child called {hero}, who lived in {place}.",
    "{hero} lived in a small house in {place}.",
    "One day {hero} walked through {place}.",
)
_OPEN_ANIMAL = (
    "Once there was a {animal} called {hero}, who lived in {place}.",
    "There was a little {animal} named {hero} in {place}.",
    "One day a {animal} named {hero} came to {place}.",
)
_TROUBLE = (
    (
        "One morning {hero} found a {thing} under a tree.",
        "It belonged to an old {job}, who was looking for it.",
        "{hero} gave it back, and the two became friends.",
    ),
    (
        "One evening it began to rain, and {hero} could not find the way home.",
        "A kind {job} came along with a lamp.",
        "Together they walked home and drank hot tea.",
    ),
    (
        "{hero} wanted to see the sea.",
        "It was a long way, but a {job} showed the right road.",
        "In the evening {hero} sat on the beach and was happy.",
    ),
    (
        "Every day {hero} heard a strange song from the hill.",
        "At the top sat a {job}, who played for the birds.",
        "From then on {hero} came to listen every day.",
    ),
    (
        "One winter day {hero} lost a {thing} in the snow.",
        "All the neighbours helped to look for it.",
        "A small bird found it in the end, and everybody cheered.",
    ),
    (
        "{hero} was afraid of the dark.",
        "One night a {job} said that the stars are little lamps.",
        "Since then {hero} has loved the night.",
    ),
)
_ENDS = (
    "They lived happily ever after.",
    "It was a good day.",
    "And that is the end of the story.",
)
_THINGS = ("golden key", "red hat", "silver coin", "small box", "blue button", "letter", "map")
_PLACES = (
    "a quiet village",
    "a green valley",
    "a big forest",
    "a town by the sea",
    "the mountains",
)
_OWN_HEROES = ("Mila", "Otto", "Lina", "Bruno", "Nora", "Felix")


_LONG = (
    "Tell me a long story.",
    "Can you tell me a long story?",
    "Write a long story.",
    "A long story, please.",
    "I want to hear a long story.",
)


def long(scene: Scene) -> None:
    """A story of two or three adventures."""
    rng = scene.rng
    hero, place = rng.choice(_OWN_HEROES), rng.choice(_PLACES)
    lines = [rng.choice(_OPEN_PERSON)]
    for trouble in rng.sample(_TROUBLE, rng.choice((2, 3))):
        lines += trouble
    lines.append(rng.choice(_ENDS))
    scene.say(_LONG)
    scene.reply(_fill(scene, lines, hero, "", place))


def exchange(scene: Scene) -> tuple[str, str | None]:
    """One story; returns hero and place (None if the user gave none)."""
    rng = scene.rng
    kind = rng.randrange(len(_ASKS))
    given_hero = kind in (1, 3, 4)
    given_animal = kind in (2, 3)
    hero = pools.person(rng, scene.held_out) if given_hero else rng.choice(_OWN_HEROES)
    animal = rng.choice(pools.ANIMALS) if given_animal else ""
    place = pools.town(rng, scene.held_out) if kind == 4 else rng.choice(_PLACES)
    if given_hero and "name" in scene.facts and rng.random() < 0.3:
        hero = scene.facts["name"]
        if kind in (1, 4):
            scene.say([("Tell me a story about me.", "Write a story about me.")[kind == 4]])
            place = rng.choice(_PLACES)
        else:
            scene.say(_ASKS[kind], hero=hero, animal=animal, place=place)
    else:
        scene.say(_ASKS[kind], hero=hero, animal=animal, place=place)
    scene.reply(tell(scene, hero, animal, place))
    return hero, place if kind == 4 else None


def tell(scene: Scene, hero: str, animal: str, place: str) -> str:
    """The story text."""
    rng = scene.rng
    lines = [rng.choice(_OPEN_ANIMAL if animal else _OPEN_PERSON)]
    lines += list(rng.choice(_TROUBLE))[: rng.choice((2, 3, 3, 3))]
    if len(lines) == 4 and rng.random() < 0.5:
        lines.append(rng.choice(_ENDS))
    return _fill(scene, lines, hero, animal, place)


def _fill(scene: Scene, lines: list[str], hero: str, animal: str, place: str) -> str:
    job, thing = scene.rng.choice(pools.JOBS), scene.rng.choice(_THINGS)
    text = " ".join(lines).format(hero=hero, animal=animal, place=place, job=job, thing=thing)
    for vowel in "aeiou":
        text = text.replace(f" a {vowel}", f" an {vowel}").replace(f"A {vowel}", f"An {vowel}")
    return text
