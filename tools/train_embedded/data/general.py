"""A little general knowledge: capitals, opposites, days, yes-or-no questions, plurals."""

from __future__ import annotations

from . import pools
from .scene import Scene
from .words import pairs

CAPITALS = pairs("""
    France:Paris Germany:Berlin Spain:Madrid Italy:Rome Austria:Vienna Portugal:Lisbon
    Ireland:Dublin Greece:Athens Poland:Warsaw Finland:Helsinki Sweden:Stockholm Norway:Oslo
    Denmark:Copenhagen Hungary:Budapest Japan:Tokyo China:Beijing India:Delhi Egypt:Cairo
    Kenya:Nairobi Peru:Lima Canada:Ottawa Russia:Moscow England:London Scotland:Edinburgh
    Belgium:Brussels Turkey:Ankara Cuba:Havana Chile:Santiago Australia:Canberra
""")
OPPOSITES = pairs("""
    hot:cold big:small up:down left:right day:night black:white fast:slow old:new high:low
    open:closed happy:sad wet:dry long:short full:empty early:late hard:soft strong:weak rich:poor
    loud:quiet light:dark good:bad true:false inside:outside first:last start:stop always:never
    above:below thick:thin clean:dirty sweet:sour
""")
COLOURS_OF = pairs("""
    grass:green snow:white coal:black blood:red bananas:yellow leaves:green milk:white
""")
_COUNTS = {
    "days has a week": "A week has 7 days.",
    "months has a year": "A year has 12 months.",
    "hours has a day": "A day has 24 hours.",
    "minutes has an hour": "An hour has 60 minutes.",
    "legs has a spider": "A spider has 8 legs.",
    "legs has a dog": "A dog has 4 legs.",
    "seconds has a minute": "A minute has 60 seconds.",
    "wheels has a car": "A car has 4 wheels.",
    "letters has the alphabet": "The alphabet has 26 letters.",
}
_YES_NO = (
    ("Is the sun hot?", "Yes, the sun is very hot."),
    ("Is ice cold?", "Yes, ice is cold."),
    ("Is fire cold?", "No, fire is hot."),
    ("Can fish swim?", "Yes, fish can swim."),
    ("Can dogs fly?", "No, dogs cannot fly."),
    ("Can birds fly?", "Yes, most birds can fly."),
    ("Is the earth round?", "Yes, the earth is round."),
    ("Is water wet?", "Yes, water is wet."),
    ("Is a cat an animal?", "Yes, a cat is an animal."),
    ("Is a stone alive?", "No, a stone is not alive."),
    ("Is snow black?", "No, snow is white."),
    ("Is a tomato blue?", "No, a tomato is red."),
    ("What colour is the sky?", "The sky is blue."),
    ("Is Paris in France?", "Yes, Paris is in France."),
    ("What do bees make?", "Bees make honey."),
    ("What do cows give?", "Cows give milk."),
    ("What is the largest planet?", "The largest planet is Jupiter."),
    ("What is frozen water called?", "Frozen water is called ice."),
    ("What is H2O?", "H2O is water."),
    ("Where does the sun rise?", "The sun rises in the east."),
)


def exchange(scene: Scene) -> str:
    """One question of general knowledge; returns the answer."""
    rng = scene.rng
    kind = rng.randrange(6)
    if kind == 0:
        country, capital = rng.choice(list(CAPITALS.items()))
        scene.say(
            (
                "What is the capital of {v}?",
                "What's the capital of {v}?",
                "Capital of {v}?",
                "Tell me the capital of {v}.",
                "Do you know the capital of {v}?",
                "Which city is the capital of {v}?",
            ),
            v=country,
        )
        return scene.reply(f"The capital of {country} is {capital}.")
    if kind == 1:
        word, other = rng.choice(list(OPPOSITES.items()))
        if rng.random() < 0.4:
            word, other = other, word
        scene.say(
            (
                "What is the opposite of {v}?",
                "What's the opposite of {v}?",
                "Opposite of {v}?",
                "Tell me the opposite of {v}.",
            ),
            v=word,
        )
        return scene.reply(f"The opposite of {word} is {other}.")
    if kind == 2:
        week = rng.random() < 0.6
        pool = pools.DAYS if week else pools.MONTHS
        at = rng.randrange(len(pool))
        step = rng.choice((1, -1))
        scene.say(
            ("Which {u} comes {w} {v}?", "What comes {w} {v}?", "What {u} is {w} {v}?"),
            u="day" if week else "month",
            w="after" if step == 1 else "before",
            v=pool[at],
        )
        word = "After" if step == 1 else "Before"
        return scene.reply(f"{word} {pool[at]} comes {pool[(at + step) % len(pool)]}.")
    if kind == 3:
        what, answer = rng.choice(list(_COUNTS.items()))
        plural, _, thing = what.partition(" has ")
        scene.say(
            ("How many {p} does {t} have?", "How many {p} are in {t}?", "How many {p} has {t}?"),
            p=plural,
            t=thing,
        )
        return scene.reply(answer)
    if kind == 4:
        thing, colour = rng.choice(list(COLOURS_OF.items()))
        verb = "are" if thing.endswith("s") and thing != "grass" else "is"
        scene.say(
            (
                f"What colour {verb} {{v}}?",
                f"What color {verb} {{v}}?",
                f"Which colour {verb} {{v}}?",
            ),
            v=thing,
        )
        return scene.reply(f"{thing.capitalize()} {verb} {colour}.")
    question, answer = rng.choice(_YES_NO)
    scene.say((question,))
    return scene.reply(answer)
