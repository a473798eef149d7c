"""Which handler takes a message: the exact type, then the nearest base, then Any."""

from __future__ import annotations

from typing import Any, Union

import pytest

from actinium import testkit
from actinium.core import Actor, Message, on
from actinium.errors import Unhandled
from actinium.testkit import TestSystem


class Animal(Message):
    pass


class Dog(Animal):
    pass


class Puppy(Dog):
    pass


class Cat(Animal):
    pass


class Stone(Message):
    pass


class Vet(Actor):
    @on
    def animal(self, m: Animal) -> str:
        return "animal"

    @on
    def dog(self, m: Dog) -> str:
        return "dog"

    @on
    def words(self, m: str | bytes) -> str:
        return "words"

    @on
    def numbers(self, m: Union[int, float]) -> str:  # noqa: UP007 - the old spelling works too
        return "numbers"

    @on
    def nothing(self, m: None) -> str:
        return "nothing"


class Anything(Vet):
    """Adds a last resort, overrides by type and by name, and keeps the rest."""

    @on
    def cats(self, m: Cat) -> str:
        return "cat"

    @on
    def dog(self, m: Dog) -> str:
        return "another dog"

    @on
    def words_too(self, m: str) -> str:
        return "text"

    @on
    def rest(self, m: Any) -> str:
        return "anything"


TABLE: list[tuple[Any, str | None, str]] = [
    (Animal(), "animal", "animal"),
    (Dog(), "dog", "another dog"),
    (Puppy(), "dog", "another dog"),
    (Cat(), "animal", "cat"),
    ("x", "words", "text"),
    (b"x", "words", "words"),
    (1, "numbers", "numbers"),
    (1.0, "numbers", "numbers"),
    (True, "numbers", "numbers"),
    (None, "nothing", "nothing"),
    (Stone(), None, "anything"),
    ((), None, "anything"),
]


@pytest.mark.parametrize(("m", "plain", "derived"), TABLE)
def test_the_nearest_handler_takes_a_message(m: Any, plain: str | None, derived: str) -> None:
    async def test(t: TestSystem) -> None:
        vet = t.spawn(Vet)
        for _ in range(2):  # found, and known
            if plain is None:
                with pytest.raises(Unhandled, match=r"it handles Animal, Dog, NoneType"):
                    await vet.ask(m)
            else:
                assert await vet.ask(m) == plain
            assert await t.spawn(Anything).ask(m) == derived

    testkit.run(test)
