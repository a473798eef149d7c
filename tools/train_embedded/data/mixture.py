"""Whole conversations: which subjects follow each other, and in what proportions.

`conversation(seed)` is pure: the same seed gives the same dialogue, so the training text
can be made again from nothing. Memory tasks are planned first (tell, other subjects in
between, ask back); the rest is a random walk over the subjects.
"""

from __future__ import annotations

from random import Random
from typing import Any

from . import (
    actinium_facts,
    counting,
    echo,
    general,
    lists,
    memory,
    persona,
    refusal,
    smalltalk,
    spelling,
    stories,
    sums,
    tools,
)
from .scene import Scene

Conversation = dict[str, Any]
FILLERS: tuple[tuple[float, Any], ...] = (
    (2.4, actinium_facts.exchange),
    (1.0, smalltalk.exchange),
    (0.5, smalltalk.who),
    (1.5, counting.exchange),
    (2.2, sums.exchange),
    (1.8, spelling.exchange),
    (1.0, lists.exchange),
    (0.6, stories.exchange),
    (0.9, general.exchange),
    (0.7, refusal.exchange),
    (0.9, echo.exchange),
    (0.1, echo.said_before),
    (0.08, stories.long),
)
_WEIGHTS = [w for w, _ in FILLERS]
_SUBJECTS = [f for _, f in FILLERS]


def filler(scene: Scene) -> None:
    """One exchange on a random subject."""
    scene.rng.choices(_SUBJECTS, _WEIGHTS)[0](scene)


def drill(scene: Scene) -> None:
    """Many small tasks of one subject in a row."""
    subject = scene.rng.choice(
        (
            sums.exchange,
            sums.exchange,
            sums.exchange,
            spelling.exchange,
            counting.exchange,
            general.exchange,
            actinium_facts.exchange,
            lists.exchange,
        )
    )
    for _ in range(scene.rng.randrange(4, 11)):
        subject(scene)


def recall(scene: Scene, longest: int) -> None:
    """Tell, talk about other things, ask back; sometimes corrected or never told."""
    rng = scene.rng
    told = [memory.pick_attribute(rng) for _ in range(rng.choice((1, 1, 2, 2, 3)))]
    for attribute in told:
        draw = rng.random()
        if draw < 0.12:
            memory.tell_two(scene)
        elif draw < 0.18:
            _tell_and_ask(scene)
        else:
            memory.tell(scene, attribute)
        for _ in range(rng.randrange(0, 2)):
            filler(scene)
    for _ in range(rng.randrange(0, longest + 1)):
        filler(scene)
    if rng.random() < 0.3:
        memory.correct(scene, rng.choice(told))
        for _ in range(rng.randrange(0, 3)):
            filler(scene)
    for _ in range(rng.choice((1, 1, 2, 2, 3))):
        kind = rng.random()
        if kind < 0.72:
            memory.ask(scene, memory.BY_KEY[rng.choice(list(scene.facts))])
        elif kind < 0.86:
            memory.ask(scene, memory.pick_attribute(rng))
        elif kind < 0.94:
            memory.ask_two(scene)
        else:
            memory.about_me(scene)


def _tell_and_ask(scene: Scene) -> None:
    """A name and a simple question in one turn."""
    aside = Scene(scene.rng, scene.held_out, scene.noise)
    scene.rng.choice((sums.exchange, actinium_facts.exchange, spelling.exchange))(aside)
    question, answer = (str(m["content"]) for m in aside.messages)
    memory.tell_and_ask(scene, question, answer)


def with_tools(scene: Scene) -> None:
    """A conversation in which tools are offered, used, and not used where not needed."""
    rng = scene.rng
    skills = tools.offer(scene)
    if rng.random() < 0.25:
        memory.tell(scene, memory.NAME)
    for _ in range(rng.choice((1, 2, 2, 3))):
        if rng.random() < 0.72:
            tools.exchange(scene, rng.choice(skills))
        else:
            _safe_filler(scene)
    if "name" in scene.facts:
        memory.ask(scene, memory.NAME)


def _safe_filler(scene: Scene) -> None:
    """A subject that no tool would be called for."""
    scene.rng.choice(
        (
            actinium_facts.exchange,
            smalltalk.exchange,
            counting.exchange,
            lists.exchange,
            spelling.exchange,
        )
    )(scene)


def lesson(seed: int) -> Conversation:
    """A short dialogue that is mostly copying: for the first shards, so that it is learnt early."""
    rng = Random(f"lesson {seed}")
    scene = Scene(rng)
    if rng.random() < 0.12:
        scene.messages.append({"role": "system", "content": persona.named(scene)})
        smalltalk.who(scene)
    for _ in range(rng.choice((1, 1, 2))):
        kind = rng.random()
        if kind < 0.52:
            told, other = memory.pick_attribute(rng), memory.pick_attribute(rng)
            memory.tell(scene, told)
            if rng.random() < 0.35:
                filler(scene)
            asked = (
                [told, other] if rng.random() < 0.25 else [other if rng.random() < 0.25 else told]
            )
            for attribute in asked:
                memory.ask(scene, attribute)
        elif kind < 0.57:
            echo.exchange(scene)
        elif kind < 0.65 and not scene.tools:
            tools.exchange(scene, rng.choice(tools.offer(scene)))
        elif kind < 0.88:
            spelling.exchange(scene)
        else:
            counting.exchange(scene)
    return {"messages": scene.messages, "tools": scene.tools}


def conversation(seed: int, longest: int = 5) -> Conversation:
    """The dialogue of a seed as `{"messages": [...], "tools": [...]}`."""
    rng = Random(f"dialogue {seed}")
    scene = Scene(rng)
    system: str | None = None
    draw = rng.random()
    if draw < 0.10:
        system = persona.named(scene)
    elif draw < 0.20:
        system = persona.plain(scene)
    elif draw < 0.23:
        system = persona.about_user(scene)
    if rng.random() < 0.18:
        smalltalk.hello(scene)
    kind = rng.random()
    if kind < 0.42:
        recall(scene, 14 if rng.random() < 0.06 else longest)
    elif kind < 0.56:
        with_tools(scene)
    elif kind < 0.62:
        memory.ask(scene, memory.pick_attribute(rng))
        filler(scene)
    elif kind < 0.74:
        drill(scene)
    else:
        for _ in range(rng.choice((1, 2, 3, 4))):
            filler(scene)
    if scene.persona:
        smalltalk.who(scene)
    elif "name" in scene.facts and rng.random() < 0.1:
        memory.ask(scene, memory.NAME)
    if rng.random() < 0.08:
        smalltalk.exchange(scene)
    if system is not None:
        scene.messages.insert(0, {"role": "system", "content": system})
    return {"messages": scene.messages, "tools": scene.tools}
