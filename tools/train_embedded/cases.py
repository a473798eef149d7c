"""Held-out prompts by subject, each with the check its answer must pass.

Names, towns and other open values come from the held-out part of the pools; questions
about Actinium, asking back and lists use phrasings that training never shows. Sums, counting
and general questions come from the trained range, so their figures say how well the
model learnt them, not how far it generalises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from .data import (
    actinium_facts,
    counting,
    echo,
    general,
    lists,
    memory,
    mixture,
    persona,
    smalltalk,
    spelling,
    stories,
    sums,
    tools,
)
from .data.scene import Message, Scene

Check = Callable[[str], bool]


@dataclass(frozen=True)
class Case:
    """A conversation that waits for the assistant, and what its answer must be."""

    subject: str
    messages: list[Message]
    expected: str
    passes: Check
    tools: list[dict[str, Any]] = field(default_factory=list)


def _scene(subject: str, number: int) -> Scene:
    return Scene(Random(f"evaluation {subject} {number}"), held_out=True, noise=0.0)


def _fillers(scene: Scene, count: int) -> None:
    """Other subjects in between, in words and values as in training."""
    scene.held_out = False
    for _ in range(count):
        mixture.filler(scene)
    scene.held_out = True


def _take(subject: str, scene: Scene, passes: Check) -> Case:
    expected = scene.messages.pop()["content"]
    return Case(subject, scene.messages, str(expected), passes, scene.tools)


def _contains(*parts: str) -> Check:
    return lambda answer: all(p.lower() in answer.lower() for p in parts)


def _equals(expected: str) -> Check:
    return lambda answer: answer.strip().rstrip(".") == expected.strip().rstrip(".")


_OPEN = ("name", "name", "town", "pet", "dog", "sister", "friend", "project", "name", "code")


def recall(number: int, between: range, subject: str) -> Case:
    """Told a fact, then other subjects, then asked for it."""
    scene = _scene(subject, number)
    attribute = memory.BY_KEY[_OPEN[number % len(_OPEN)]]
    memory.tell(scene, attribute)
    _fillers(scene, scene.rng.choice(between))
    memory.ask(scene, attribute)
    return _take(subject, scene, _contains(scene.facts[attribute.key]))


def update(number: int) -> Case:
    """A fact corrected later: the new value must come back, the old one must not."""
    scene = _scene("update", number)
    attribute = memory.BY_KEY[_OPEN[number % len(_OPEN)]]
    memory.tell(scene, attribute)
    old = scene.facts[attribute.key]
    _fillers(scene, scene.rng.randrange(0, 3))
    memory.correct(scene, attribute)
    new = scene.facts[attribute.key]
    _fillers(scene, scene.rng.randrange(0, 3))
    memory.ask(scene, attribute)
    return _take("update", scene, lambda a: new in a and old not in a)


def unknown(number: int) -> Case:
    """Asked for a fact that was never told."""
    scene = _scene("unknown", number)
    told, asked = scene.rng.sample(
        [a for a in memory.ATTRIBUTES if a.key not in ("pet", "color")], 2
    )
    if number % 2:
        memory.tell(scene, told)
    _fillers(scene, scene.rng.randrange(0, 4))
    scene.facts.pop(asked.key, None)
    memory.ask(scene, asked)
    return _take("unknown", scene, _contains("not told me"))


def two_facts(number: int) -> Case:
    """Two facts told in two turns; one of them asked."""
    scene = _scene("two facts", number)
    first, second = scene.rng.sample(
        [memory.BY_KEY[k] for k in ("name", "town", "dog", "code", "job")], 2
    )
    memory.tell(scene, first)
    memory.tell(scene, second)
    _fillers(scene, scene.rng.randrange(0, 3))
    asked = scene.rng.choice((first, second))
    memory.ask(scene, asked)
    return _take("two facts", scene, _contains(scene.facts[asked.key]))


def system_role(number: int) -> Case:
    """A system prompt names the assistant, which is asked who it is."""
    scene = _scene("system role", number)
    system = persona.named(scene)
    scene.messages.append({"role": "system", "content": system})
    _fillers_without_identity(scene, scene.rng.randrange(0, 3))
    smalltalk.who(scene)
    return _take("system role", scene, _contains(str(scene.persona)))


def _fillers_without_identity(scene: Scene, count: int) -> None:
    for _ in range(count):
        scene.rng.choice((sums.exchange, counting.exchange, general.exchange))(scene)


def actinium(number: int) -> Case:
    """A question about Actinium in a held-out phrasing, judged by keywords."""
    scene = _scene("actinium", number)
    fact = actinium_facts.FACTS[number]
    scene.say(fact.asks[-1:])
    scene.reply(fact.answer)
    return _take("actinium", scene, _contains(*fact.keywords))


def sum_(number: int) -> Case:
    """A small sum, difference or product."""
    scene = _scene("sums", number)
    result = sums.exchange(scene).split("= ")[1]
    return _take("sums", scene, lambda a: re.findall(r"-?\d+", a)[-1:] == [result])


def exact(subject: str, exchange: Callable[[Scene], str], number: int) -> Case:
    """A task with one right answer."""
    scene = _scene(subject, number)
    return _take(subject, scene, _equals(exchange(scene)))


def list_(number: int) -> Case:
    """A list: the right number of different items of the right kind."""
    scene = _scene("lists", number)
    allowed, count = lists.exchange(scene)

    def passes(answer: str) -> bool:
        items = [i.strip(" .") for i in answer.split(",")]
        return len(items) == count == len(set(items)) and set(items) <= set(allowed)

    return _take("lists", scene, passes)


def story(number: int) -> Case:
    """A story that uses the hero and the place of the prompt, in two to six sentences."""
    scene = _scene("stories", number)
    hero, place = stories.exchange(scene)
    named = hero in scene.messages[-2]["content"]
    wanted = [p for p in (hero if named else None, place) if p]
    return _take(
        "stories", scene, lambda a: all(w in a for w in wanted) and 2 <= a.count(". ") + 1 <= 6
    )


def _tool_scene(subject: str, number: int) -> tuple[Scene, str, dict[str, Any]]:
    scene = _scene(subject, number)
    skills = tools.offer(scene)
    name, values = tools.exchange(scene, scene.rng.choice(skills))
    return scene, name, values


def tool_call(number: int) -> Case:
    """Valid JSON with the right tool and exactly the arguments the user named."""
    scene, name, values = _tool_scene("tool calls", number)
    del scene.messages[-3:]

    def passes(answer: str) -> bool:
        mark, _, text = answer.partition("<|call|>")
        try:
            return not mark and bool(json.loads(text) == {"name": name, "arguments": values})
        except ValueError:
            return False

    expected = json.dumps({"name": name, "arguments": values})
    return Case("tool calls", scene.messages, expected, passes, scene.tools)


def tool_answer(number: int) -> Case:
    """The answer after a tool's result, word for word as trained."""
    scene, _, _ = _tool_scene("tool answers", number)
    return _take("tool answers", scene, _equals(scene.messages[-1]["content"]))


def all_cases() -> list[Case]:
    """Every evaluation prompt, in a fixed order."""
    cases = [recall(n, range(1), "recall at once") for n in range(16)]
    cases += [recall(n, range(1, 3), "recall after 1-2 turns") for n in range(20)]
    cases += [recall(n, range(3, 7), "recall after 3-6 turns") for n in range(20)]
    cases += [update(n) for n in range(16)]
    cases += [unknown(n) for n in range(16)]
    cases += [two_facts(n) for n in range(12)]
    cases += [system_role(n) for n in range(12)]
    cases += [actinium(n) for n in range(len(actinium_facts.FACTS))]
    cases += [sum_(n) for n in range(24)]
    cases += [exact("counting", counting.exchange, n) for n in range(16)]
    cases += [exact("spelling", spelling.exchange, n) for n in range(24)]
    cases += [exact("echo", echo.exchange, n) for n in range(12)]
    cases += [exact("general", general.exchange, n) for n in range(12)]
    cases += [list_(n) for n in range(16)]
    cases += [story(n) for n in range(8)]
    cases += [tool_call(n) for n in range(24)]
    cases += [tool_answer(n) for n in range(12)]
    return cases
