"""Tool calls: known tools, and tools with invented names and arguments, called with JSON.

Every tool has string or integer arguments, the user names their values, and the assistant
calls it with exactly those; with the tool's result it answers in one sentence.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from . import pools
from .scene import Scene
from .words import words

Values = dict[str, Any]


@dataclass(frozen=True)
class Skill:
    """A tool, how users ask for it, how values are drawn, and how the result is told."""

    name: str
    description: str
    types: dict[str, str]
    asks: tuple[str, ...]
    draw: Callable[[Random, bool], Values]
    result: Callable[[Random, Values], Values]
    answer: str

    def schema(self) -> dict[str, Any]:
        """The tool in the OpenAI shape."""
        properties = {k: {"type": t} for k, t in self.types.items()}
        parameters = {"type": "object", "properties": properties, "required": list(self.types)}
        function = {"name": self.name, "description": self.description, "parameters": parameters}
        return {"type": "function", "function": function}


def _topic(rng: Random, held_out: bool) -> str:
    words = [rng.choice(pools.WORDS) for _ in range(rng.randrange(1, 4))]
    if rng.random() < 0.3:
        words.append(pools.person(rng, held_out))
    return " ".join(words)


_SKY = ("sunny", "cloudy", "rainy", "windy", "foggy", "snowy")
SKILLS: tuple[Skill, ...] = (
    Skill(
        "get_weather",
        "Get the weather of a city.",
        {"city": "string"},
        (
            "What is the weather in {city}?",
            "How is the weather in {city}?",
            "Weather in {city}?",
            "Is it raining in {city}?",
            "Tell me the weather in {city}.",
            "What's the weather like in {city}?",
        ),
        lambda r, h: {"city": pools.town(r, h)},
        lambda r, v: {"sky": r.choice(_SKY), "degrees": r.randrange(-9, 36)},
        "In {city} it is {sky} with {degrees} degrees.",
    ),
    Skill(
        "get_time",
        "Get the time in a city.",
        {"city": "string"},
        (
            "What time is it in {city}?",
            "Tell me the time in {city}.",
            "How late is it in {city}?",
            "What's the time in {city}?",
        ),
        lambda r, h: {"city": pools.town(r, h)},
        lambda r, v: {"time": f"{r.randrange(24):02d}:{r.randrange(60):02d}"},
        "It is {time} in {city}.",
    ),
    Skill(
        "search",
        "Search the web.",
        {"query": "string"},
        (
            "Search for {query}.",
            "Please search for {query}.",
            "Look up {query}.",
            "Find {query}.",
            "Can you search for {query}?",
        ),
        lambda r, h: {"query": _topic(r, h)},
        lambda r, v: {"hits": r.randrange(1, 99), "first": pools.invented(r)},
        "I found {hits} results. The first one is {first}.",
    ),
    Skill(
        "add",
        "Add two numbers.",
        {"a": "integer", "b": "integer"},
        (
            "Add {a} and {b}.",
            "Use the tool to add {a} and {b}.",
            "What is {a} plus {b}?",
            "Please add {a} and {b}.",
        ),
        lambda r, h: {"a": r.randrange(0, 1000), "b": r.randrange(0, 1000)},
        lambda r, v: {"result": v["a"] + v["b"]},
        "The result is {result}.",
    ),
    Skill(
        "multiply",
        "Multiply two numbers.",
        {"a": "integer", "b": "integer"},
        ("Multiply {a} by {b}.", "What is {a} times {b}?", "Please multiply {a} and {b}."),
        lambda r, h: {"a": r.randrange(0, 100), "b": r.randrange(0, 100)},
        lambda r, v: {"result": v["a"] * v["b"]},
        "The result is {result}.",
    ),
    Skill(
        "send_message",
        "Send a message to a person.",
        {"to": "string", "text": "string"},
        (
            "Send {to} the message: {text}",
            "Tell {to} this: {text}",
            "Write to {to}: {text}",
            "Send a message to {to}: {text}",
        ),
        lambda r, h: {"to": pools.person(r, h), "text": _topic(r, h)},
        lambda r, v: {"status": "sent"},
        "I have sent your message to {to}.",
    ),
    Skill(
        "set_timer",
        "Set a timer.",
        {"minutes": "integer"},
        (
            "Set a timer for {minutes} minutes.",
            "Wake me in {minutes} minutes.",
            "Timer for {minutes} minutes, please.",
            "Remind me in {minutes} minutes.",
        ),
        lambda r, h: {"minutes": r.randrange(1, 120)},
        lambda r, v: {"status": "ok"},
        "The timer is set for {minutes} minutes.",
    ),
    Skill(
        "find_user",
        "Find a user by name.",
        {"name": "string"},
        (
            "Find the user {name}.",
            "Who is the user {name}?",
            "Look up the user {name}.",
            "Show me the user {name}.",
        ),
        lambda r, h: {"name": pools.person(r, h)},
        lambda r, v: {"id": r.randrange(1, 10000), "town": pools.town(r, False)},
        "{name} has the id {id} and lives in {town}.",
    ),
    Skill(
        "book_table",
        "Book a table in a restaurant.",
        {"place": "string", "people": "integer"},
        (
            "Book a table at {place} for {people} people.",
            "Reserve a table for {people} people at {place}.",
            "I need a table for {people} at {place}.",
        ),
        lambda r, h: {"place": pools.person(r, h), "people": r.randrange(1, 13)},
        lambda r, v: {"status": "booked"},
        "Your table at {place} is booked.",
    ),
    Skill(
        "play_song",
        "Play a song.",
        {"title": "string"},
        (
            "Play {title}.",
            "Play the song {title}.",
            "Please play {title}.",
            "I want to hear {title}.",
        ),
        lambda r, h: {"title": _topic(r, h)},
        lambda r, v: {"status": "playing"},
        "Now playing {title}.",
    ),
    Skill(
        "get_stock",
        "Get the price of a stock.",
        {"symbol": "string"},
        ("What is the price of {symbol}?", "How much is {symbol}?", "Stock price of {symbol}?"),
        lambda r, h: {"symbol": pools.invented(r)},
        lambda r, v: {"price": r.randrange(1, 900)},
        "{symbol} is at {price}.",
    ),
)
_VERBS = words("get set find open start check send read make show count update")
_NOUNS = words("""
    lamp door room order ticket file report user alarm note account camera light price status score
    event train flight invoice sensor robot queue actor parcel
""")
_ARGS = words("name id city title label key text color size place code target")
_INVENTED_ASKS = (
    "Call {tool} with {args}.",
    "Use {tool} with {args}.",
    "Please call {tool} with {args}.",
    "Run {tool} with {args}.",
    "Call the tool {tool} with {args}.",
)


def _value(rng: Random, kind: str, held_out: bool) -> Any:
    if kind == "integer":
        return rng.randrange(0, 1000)
    return pools.person(rng, held_out) if rng.random() < 0.7 else rng.choice(pools.WORDS)


def invented(rng: Random, held_out: bool) -> Skill:
    """A tool nobody has seen, asked for by its name or its description."""
    verb, noun = rng.choice(_VERBS), rng.choice(_NOUNS)
    if rng.random() < 0.3:
        noun = pools.invented(rng).lower()
    names = rng.sample(_ARGS, rng.choice((1, 1, 2)))
    types = {n: "integer" if rng.random() < 0.25 else "string" for n in names}
    said = " and ".join(f"{n} {{{n}}}" for n in names)
    tool = f"{verb}_{noun}"
    asks = tuple(a.replace("{tool}", tool).replace("{args}", said) for a in _INVENTED_ASKS)
    asks += (
        f"{verb.capitalize()} the {noun} with {said}.",
        f"Please {verb} the {noun} with {said}.",
    )
    return Skill(
        tool,
        f"{verb.capitalize()} the {noun}.",
        types,
        asks,
        lambda r, h: {n: _value(r, t, h) for n, t in types.items()},
        lambda r, v: {
            "result": r.choice(("ok", "done", pools.invented(r), str(r.randrange(1000))))
        },
        "The result is {result}.",
    )


def offer(scene: Scene) -> list[Skill]:
    """Choose one to three tools for this conversation."""
    rng = scene.rng
    skills: list[Skill] = []
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        skill = invented(rng, scene.held_out) if rng.random() < 0.45 else rng.choice(SKILLS)
        if skill.name not in [s.name for s in skills]:
            skills.append(skill)
    scene.tools = [s.schema() for s in skills]
    return skills


def exchange(scene: Scene, skill: Skill) -> tuple[str, Values]:
    """Ask, call, result, answer; returns the expected name and arguments."""
    values = skill.draw(scene.rng, scene.held_out)
    noise, scene.noise = scene.noise, scene.noise * 0.5
    scene.say(skill.asks, **values)
    scene.noise = noise
    call = {"name": skill.name, "arguments": json.dumps(values, ensure_ascii=False)}
    call_id = f"call_{len(scene.messages)}"
    tool_calls = [{"id": call_id, "type": "function", "function": call}]
    scene.messages.append({"role": "assistant", "content": None, "tool_calls": tool_calls})
    result = skill.result(scene.rng, values)
    if skill.name in ("get_time", "get_stock") and scene.rng.random() < 0.2:
        content = str(next(iter(result.values())))
    else:
        content = json.dumps(result, ensure_ascii=False)
    scene.messages.append(
        {"role": "tool", "tool_call_id": call_id, "name": skill.name, "content": content}
    )
    scene.reply(skill.answer, **(values | result))
    return skill.name, values
