"""Remembering: what the user says about themselves, corrects later, and asks back for.

Each `Attribute` is one thing a user may tell (name, town, pet ...) with the phrasings of
telling, correcting and asking. The last asking phrasing of each is kept for evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from . import pools
from .scene import Scene
from .words import words

Draw = Callable[[Random, bool], str]


@dataclass(frozen=True)
class Attribute:
    """One rememberable thing; `{v}` is the value in every phrasing."""

    key: str
    draw: Draw
    tell: Sequence[str]
    ask: Sequence[str]
    answer: str
    unknown: str
    update: Sequence[str]
    ack: Sequence[str] = ("Got it.", "Thanks, I will remember that.", "Noted.")

    def asks(self, held_out: bool) -> Sequence[str]:
        """Asking phrasings of the split."""
        return self.ask[-1:] if held_out else self.ask[:-1]


def _from(pool: list[str]) -> Draw:
    return lambda rng, held_out: rng.choice(pool)


def _person(rng: Random, held_out: bool) -> str:
    return pools.person(rng, held_out)


def _number(rng: Random, held_out: bool) -> str:
    return str(rng.randrange(2, 100) if rng.random() < 0.7 else rng.randrange(100, 1000))


def _age(rng: Random, held_out: bool) -> str:
    return str(rng.randrange(8, 90))


def _simple(key: str, noun: str, draw: Draw) -> Attribute:
    """An attribute said as 'my <noun> is <value>'."""
    return Attribute(
        key,
        draw,
        tell=(
            f"My {noun} is {{v}}.",
            f"{noun.capitalize()}: {{v}}.",
            f"By the way, my {noun} is {{v}}.",
        ),
        ask=(
            f"What is my {noun}?",
            f"What's my {noun}?",
            f"Do you remember my {noun}?",
            f"Can you tell me my {noun}?",
            f"Please tell me what my {noun} is.",
            f"Do you still know my {noun}?",
            f"And my {noun} was?",
        ),
        answer=f"Your {noun} is {{v}}.",
        unknown=f"You have not told me your {noun} yet.",
        update=(
            f"Actually, my {noun} is {{v}}.",
            f"Correction: my {noun} is {{v}}.",
            f"My {noun} is {{v}} now.",
        ),
    )


NAME = Attribute(
    "name",
    _person,
    tell=(
        "My name is {v}.",
        "I am {v}.",
        "I'm {v}.",
        "Call me {v}.",
        "Hello, my name is {v}.",
        "Hi, I am {v}.",
        "Hi! I'm {v}.",
        "Hey, I'm {v}, nice to meet you.",
        "You can call me {v}.",
        "Hello! My name is {v}. Please remember it.",
        "My name's {v}.",
        "This is {v} speaking.",
        "Please remember that my name is {v}.",
        "The name is {v}.",
        "I'm called {v}.",
    ),
    ask=(
        "What is my name?",
        "What's my name?",
        "Do you remember my name?",
        "Who am I?",
        "Can you tell me my name?",
        "What was my name again?",
        "Do you know my name?",
        "Please tell me my name.",
        "Tell me my name.",
        "What did I say my name was?",
        "How am I called?",
        "Do you know who I am?",
        "What name did I give you?",
        "Say my name.",
        "Do you still know what my name is?",
    ),
    answer="Your name is {v}.",
    unknown="You have not told me your name yet.",
    update=(
        "Actually, my name is {v}.",
        "Sorry, my name is {v}.",
        "Please call me {v} instead.",
        "I changed my name. It is {v} now.",
        "Correction: my name is {v}.",
        "No, my name is {v}.",
    ),
    ack=("Nice to meet you, {v}!", "Hello {v}! How can I help you?", "Hi {v}, nice to meet you!"),
)
TOWN = Attribute(
    "town",
    pools.town,
    tell=(
        "I live in {v}.",
        "My home is in {v}.",
        "I live in {v} with my family.",
        "I am living in {v}.",
        "My home town is {v}.",
        "I moved to {v} last year.",
    ),
    ask=(
        "Where do I live?",
        "In which city do I live?",
        "Do you remember where I live?",
        "Which town do I live in?",
        "What city do I live in?",
        "Where is my home?",
        "Can you tell me where I live?",
        "Do you still know where I live?",
    ),
    answer="You live in {v}.",
    unknown="You have not told me where you live yet.",
    update=("Actually, I live in {v}.", "I moved. Now I live in {v}.", "Sorry, I live in {v}."),
    ack=("Got it, you live in {v}.", "{v} sounds like a nice place.", "I will remember that."),
)
JOB = Attribute(
    "job",
    _from(pools.JOBS),
    tell=(
        "I work as a {v}.",
        "My job is {v}.",
        "I am a {v} by trade.",
        "I earn my living as a {v}.",
    ),
    ask=(
        "What is my job?",
        "What do I do for a living?",
        "What's my job?",
        "What do I work as?",
        "Do you remember my job?",
        "What is my profession?",
        "Can you tell me what my job is?",
    ),
    answer="You work as a {v}.",
    unknown="You have not told me your job yet.",
    update=("Actually, I work as a {v}.", "I have a new job. I work as a {v} now."),
    ack=("That sounds like interesting work.", "Got it, you work as a {v}.", "Noted."),
)
AGE = Attribute(
    "age",
    _age,
    tell=("I am {v} years old.", "I'm {v} years old.", "My age is {v}.", "I turned {v} this year."),
    ask=(
        "How old am I?",
        "What is my age?",
        "Do you remember how old I am?",
        "What's my age?",
        "Can you tell me how old I am?",
    ),
    answer="You are {v} years old.",
    unknown="You have not told me your age yet.",
    update=("Actually, I am {v} years old.", "Sorry, I am {v} years old."),
)
HOBBY = Attribute(
    "hobby",
    _from(pools.HOBBIES),
    tell=("My hobby is {v}.", "I like {v} very much.", "In my free time I enjoy {v}."),
    ask=(
        "What is my hobby?",
        "What do I like to do?",
        "What's my hobby?",
        "Do you know my hobby?",
        "What do I enjoy in my free time?",
        "Do you remember what my hobby is?",
    ),
    answer="Your hobby is {v}.",
    unknown="You have not told me your hobby yet.",
    update=("Actually, my hobby is {v}.", "My hobby is {v} now."),
    ack=("That sounds like fun.", "Nice, {v} is a good hobby.", "Noted."),
)
INSTRUMENT = Attribute(
    "instrument",
    _from(pools.INSTRUMENTS),
    tell=("I play the {v}.", "I am learning the {v}.", "My instrument is the {v}."),
    ask=(
        "Which instrument do I play?",
        "What instrument do I play?",
        "What is my instrument?",
        "Do you remember which instrument I play?",
    ),
    answer="You play the {v}.",
    unknown="You have not told me which instrument you play yet.",
    update=("Actually, I play the {v}.", "I switched. Now I play the {v}."),
)
PET = Attribute(
    "pet",
    _person,
    tell=("My pet is called {v}.", "I have a pet named {v}.", "My pet's name is {v}."),
    ask=(
        "What is my pet called?",
        "What is the name of my pet?",
        "What's my pet's name?",
        "Do you remember the name of my pet?",
        "Can you tell me what my pet is called?",
    ),
    answer="Your pet is called {v}.",
    unknown="You have not told me about your pet yet.",
    update=("Actually, my pet is called {v}.", "Sorry, my pet's name is {v}."),
    ack=("{v} is a lovely name.", "Say hello to {v} from me!", "Noted."),
)


def _relative(noun: str) -> Attribute:
    """The name of somebody or something close to the user: 'My dog is called Rex.'"""
    return Attribute(
        noun,
        _person,
        tell=(
            f"My {noun} is called {{v}}.",
            f"My {noun}'s name is {{v}}.",
            f"I have a {noun} named {{v}}.",
        ),
        ask=(
            f"What is my {noun} called?",
            f"What is the name of my {noun}?",
            f"What's my {noun}'s name?",
            f"Do you remember the name of my {noun}?",
            f"Can you tell me what my {noun} is called?",
        ),
        answer=f"Your {noun} is called {{v}}.",
        unknown=f"You have not told me about your {noun} yet.",
        update=(f"Actually, my {noun} is called {{v}}.", f"Sorry, my {noun}'s name is {{v}}."),
        ack=("{v} is a nice name.", "Got it.", "Noted."),
    )


REMEMBER = Attribute(
    "remember",
    _number,
    tell=(
        "Please remember the number {v}.",
        "Remember this number: {v}",
        "The number is {v}.",
        "Remember the number {v}.",
        "Keep the number {v} in mind.",
    ),
    ask=(
        "Which number did I tell you?",
        "What was the number?",
        "What number should you remember?",
        "Which number did I ask you to remember?",
        "Do you remember the number?",
        "Tell me the number.",
        "What was the number I gave you?",
    ),
    answer="The number is {v}.",
    unknown="You have not told me a number yet.",
    update=(
        "Actually, the number is {v}.",
        "The number is {v} now.",
        "Correction: the number is {v}.",
    ),
)
_THINGS: tuple[tuple[str, Draw], ...] = (
    ("street", _person),
    ("school", _person),
    ("company", _person),
    ("team", _person),
    ("user name", _person),
    ("middle name", _person),
    ("last name", _person),
    ("ship", _person),
    ("best friend", _person),
    ("favourite author", _person),
    ("favourite city", pools.town),
    ("birth town", pools.town),
    ("next stop", pools.town),
    ("destination", pools.town),
    ("room number", _number),
    ("order number", _number),
    ("flight number", _number),
    ("shoe size", _number),
    ("seat", _number),
    ("house number", _number),
    ("locker", _number),
    ("favourite drink", _from(words("tea coffee water milk juice lemonade cocoa"))),
    ("favourite fruit", _from(words("apple pear plum cherry mango melon lemon"))),
    ("favourite season", _from(words("spring summer autumn winter"))),
    ("favourite sport", _from(words("football tennis rowing running hockey"))),
    ("favourite word", _from(pools.WORDS)),
    ("password", _from(pools.WORDS)),
    ("dream job", _from(pools.JOBS)),
    ("car", _from(pools.COLOURS)),
    ("plan", _from(pools.HOBBIES)),
)

ATTRIBUTES: tuple[Attribute, ...] = (
    NAME,
    TOWN,
    JOB,
    AGE,
    HOBBY,
    INSTRUMENT,
    PET,
    _relative("dog"),
    _relative("cat"),
    _relative("sister"),
    _relative("brother"),
    _relative("friend"),
    _relative("boss"),
    _simple("colour", "favourite colour", _from(pools.COLOURS)),
    _simple("color", "favorite color", _from(pools.COLOURS)),
    _simple("food", "favourite food", _from(pools.FOODS)),
    _simple("animal", "favourite animal", _from(pools.ANIMALS)),
    _simple("number", "favourite number", _number),
    _simple("lucky", "lucky number", _number),
    _simple("month", "birthday month", _from(pools.MONTHS)),
    _simple("language", "native language", _from(pools.LANGUAGES)),
    _simple("day", "favourite day", _from(pools.DAYS)),
    _simple("project", "project name", _person),
    _simple("word", "secret word", _from(pools.WORDS)),
    _simple("code", "code", _number),
    REMEMBER,
    *(_simple(noun, noun, draw) for noun, draw in _THINGS),
)
COMMON = 13
BY_KEY = {a.key: a for a in ATTRIBUTES}


def pick_attribute(rng: Random) -> Attribute:
    """The name in a third of cases, one of the common things in another, else anything."""
    draw = rng.random()
    if draw < 0.35:
        return NAME
    return rng.choice(ATTRIBUTES[1:COMMON] if draw < 0.7 else ATTRIBUTES)


def tell(scene: Scene, attribute: Attribute) -> None:
    """The user states a fact; the assistant acknowledges it."""
    value = attribute.draw(scene.rng, scene.held_out)
    if scene.rng.random() < 0.12:
        value = value.lower()
    scene.say(attribute.tell, v=value)
    scene.facts[attribute.key] = value
    scene.reply(attribute.ack, v=value)


def tell_and_ask(scene: Scene, question: str, answer: str) -> None:
    """The user gives a name and asks something in the same turn."""
    value = NAME.draw(scene.rng, scene.held_out)
    scene.facts[NAME.key] = value
    told = scene.type(scene.rng.choice(NAME.tell), v=value)
    text = told.rstrip(".") + ". " + question
    scene.messages.append({"role": "user", "content": text})
    scene.reply(f"Nice to meet you, {value}! {answer}")


def tell_two(scene: Scene) -> None:
    """Two facts in one turn."""
    first, second = scene.rng.sample(ATTRIBUTES, 2)
    if scene.rng.random() < 0.5 and second is not NAME:
        first = NAME
    values = [a.draw(scene.rng, scene.held_out) for a in (first, second)]
    head = scene.type(scene.rng.choice(first.tell), v=values[0])
    text = head.rstrip(".") + ". " + scene.type(scene.rng.choice(second.tell), v=values[1])
    scene.messages.append({"role": "user", "content": text})
    scene.facts[first.key], scene.facts[second.key] = values
    if first is NAME:
        scene.reply("Nice to meet you, {v}! I will remember that.", v=values[0])
    else:
        scene.reply("Thanks, I will remember both.")


def correct(scene: Scene, attribute: Attribute) -> None:
    """The user replaces a fact told before."""
    value = attribute.draw(scene.rng, scene.held_out)
    scene.say(attribute.update, v=value)
    scene.facts[attribute.key] = value
    if attribute is NAME:
        scene.reply("Thanks for telling me, {v}.", v=value)
    else:
        scene.reply("Thanks, I have updated that.")


def ask(scene: Scene, attribute: Attribute) -> str:
    """The user asks for a fact; returns the right answer (known or not)."""
    scene.say(attribute.asks(scene.held_out))
    return scene.reply(answer_for(scene, attribute))


def ask_two(scene: Scene) -> None:
    """The user asks for two facts at once."""
    known = [BY_KEY[k] for k in scene.facts if k in BY_KEY]
    first, second = scene.rng.sample(known if len(known) > 1 else list(ATTRIBUTES), 2)
    left = scene.rng.choice(first.asks(scene.held_out)).rstrip("?.")
    right = scene.rng.choice(second.asks(scene.held_out))
    scene.say([left + "? And " + right[0].lower() + right[1:], left + "? " + right])
    scene.reply(answer_for(scene, first) + " " + answer_for(scene, second))


def answer_for(scene: Scene, attribute: Attribute) -> str:
    """The sentence that gives the fact back, or says that it was never told."""
    if attribute.key in scene.facts:
        return attribute.answer.format(v=scene.facts[attribute.key])
    return attribute.unknown


def about_me(scene: Scene) -> None:
    """The user asks for everything the assistant knows about them."""
    scene.say(
        [
            "What do you know about me?",
            "Tell me what you know about me.",
            "What have I told you so far?",
            "Summarise what you know about me.",
        ]
    )
    known = [answer_for(scene, BY_KEY[k]) for k in scene.facts if k in BY_KEY]
    scene.reply(
        " ".join(known[:4]) if known else "You have not told me anything about yourself yet."
    )
