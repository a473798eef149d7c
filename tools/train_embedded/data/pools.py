"""Values that dialogues talk about: names, towns, pets and the like, split for evaluation.

Most names are invented from syllables, so that the model has to copy what it was told
instead of remembering a list. A value is *held out* when the checksum of its text says so;
training never draws a held-out value and evaluation draws nothing else.
"""

from __future__ import annotations

from random import Random
from zlib import crc32

from .words import words

FIRST_NAMES = words("""
    Ada Adam Alan Alice Amir Amy Ana Anna Anton Aria Asha Ben Bella Bob Boris Bruno Carla Carlos
    Chen Chloe Clara Cora Dan Daniel Dara David Dana Diego Dora Elena Eli Ella Elsa Emil Emma Eric
    Erin Eva Fay Felix Finn Frank Freya Gina Grace Greta Hana Hans Harry Heidi Hugo Ian Ida Igor
    Ines Iris Isla Ivan Jack Jade Jan Jane Jim Joan John Jonas Julia June Kai Karl Kate Kim Kira
    Kofi Lara Lars Laura Lea Leo Lena Liam Lily Lina Linus Lisa Luca Lucy Luis Luna Maja Marco Maria
    Mark Marta Mary Max Maya Mia Mila Milo Mira Nadia Nico Nina Noah Nora Olga Oliver Omar Oscar
    Otto Pablo Paul Paula Peter Petra Pia Priya Rafael Raj Rita Robin Rosa Ruby Ruth Sam Sara Sofia
    Sven Tara Theo Tim Tina Tom Tomas Uma Vera Victor Wanda Will Yara Yuki Yusuf Zara Zoe
""")
TOWNS = words("""
    Paris London Berlin Madrid Rome Oslo Vienna Prague Lisbon Dublin Athens Warsaw Helsinki Tokyo
    Kyoto Delhi Mumbai Cairo Lagos Nairobi Lima Quito Bogota Toronto Boston Chicago Denver Austin
    Seattle Sydney Perth Seoul Hanoi Bangkok Zurich Geneva Hamburg Munich Cologne Leipzig Bremen
    Milan Turin Naples Porto Seville Bilbao Lyon Nice Ghent Bruges Utrecht Bergen Malmo Tampere Riga
    Tallinn Krakow Split Zagreb Sofia Oxford Leeds York Bath Cardiff Glasgow
""")
COLOURS = words("""
    red blue green yellow orange purple pink brown black white grey silver gold turquoise violet
    teal crimson
""")
FOODS = words("""
    pizza pasta rice soup salad bread cheese sushi curry noodles pancakes potatoes chocolate apples
    strawberries mangoes tacos dumplings lasagne falafel hummus porridge waffles risotto omelettes
    cookies
""")
ANIMALS = words("""
    cat dog horse rabbit fox owl bear wolf tiger lion elephant penguin dolphin whale eagle turtle
    frog mouse hedgehog squirrel otter panda zebra giraffe koala deer swan duck goose bee
""")
JOBS = words("""
    teacher nurse doctor baker painter farmer pilot gardener carpenter engineer programmer writer
    singer dancer driver cook lawyer plumber electrician scientist student librarian builder
    designer musician photographer tailor sailor fisher journalist
""")
HOBBIES = words("""
    swimming reading painting running cycling hiking cooking dancing singing fishing gardening
    knitting climbing drawing sailing skating chess photography pottery origami
""")
PETS = ["cat", "dog", "rabbit", "hamster", "parrot", "horse", "turtle", "goldfish"]
INSTRUMENTS = words("""
    piano guitar violin flute cello trumpet drums harp clarinet saxophone banjo accordion
""")
LANGUAGES = words("""
    English German French Spanish Italian Polish Dutch Swedish Danish Greek Turkish Arabic Hindi
    Japanese Korean Portuguese Finnish Czech
""")
MONTHS = words("""
    January February March April May June July August September October November December
""")
DAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
WORDS = words("""
    actor apple banana basket bird boat book bottle bread bridge bright butter button candle carpet
    castle chair circle city clock cloud coffee copper corner cotton daisy desk door dragon dream
    engine evening family feather field finger fire fish flower forest friend garden ghost giant
    glass green hammer happy harbour heart hello honey house island jacket jungle kernel kettle key
    kitchen ladder lamp laptop lemon letter light little lucky machine mailbox market message meadow
    mirror model money monkey moon morning mountain music needle night number ocean orange paper
    pencil people pepper planet pocket poem prompt python queen quick quiet rabbit rain river road
    robot rocket sand school session shadow silver simple sister sky smile snow socket spoon spring
    star stone stream street summer sun supervisor table teacher token tower train tree tunnel
    valley velvet village water window winter wizard wonder yellow young zebra
""")

_ONSETS = words("""
    b br c ch cl d dr f fl g gr h j k kl l m n p pr qu r s sh sk sl st t th tr v w y z
""")
_VOWELS = words("a e i o u a e i o ai ea ei ia io ou oo")
_CODAS = ["", "", "", "", "n", "r", "l", "s", "x", "th", "m", "k", "nd", "rt", "ll", "sk", "v", "d"]


def is_held_out(value: str) -> bool:
    """Whether a value (in any case) belongs to evaluation and must not occur in training."""
    return crc32(value.lower().encode()) % 10 == 0


def invented(rng: Random) -> str:
    """A pronounceable word nobody has seen before, capitalised, such as `Tralios`."""
    count = rng.choice((2, 2, 2, 3))
    text = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(count))
    return (text + rng.choice(_CODAS)).capitalize()


def pick(rng: Random, pool: list[str], held_out: bool, invent: float = 0.0) -> str:
    """A value from `pool` (or, with probability `invent`, an invented one) of the right split."""
    for _ in range(1000):
        value = invented(rng) if rng.random() < invent else rng.choice(pool)
        if is_held_out(value) == held_out:
            return value
    raise ValueError(f"no {'held-out' if held_out else 'training'} value among {pool[:3]}...")


def person(rng: Random, held_out: bool) -> str:
    """A first name, invented in most cases."""
    return pick(rng, FIRST_NAMES, held_out, invent=0.6)


def town(rng: Random, held_out: bool) -> str:
    """A town, invented in some cases."""
    return pick(rng, TOWNS, held_out, invent=0.35)
