"""Every public name is public in one place, and a class shows a path where it can be found."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import actinium


def _doors() -> list[ModuleType]:
    """The root package, and every package below it that has an ``__all__``."""
    names = [
        module.name
        for module in pkgutil.walk_packages(actinium.__path__, "actinium.")
        if module.ispkg and not any(part.startswith("_") for part in module.name.split("."))
    ]
    doors = [importlib.import_module(name) for name in names]
    return [actinium, *(door for door in doors if hasattr(door, "__all__"))]


# Standard terms of two fields that are written alike: a message between actors, and one in a chat;
# who an actor can tell, on a host an object and in a device's layouts 64 bits.
HOMONYMS = {"Message", "Ref"}

DOORS = _doors()
EXPORTS = [(door, name) for door in DOORS for name in door.__all__]


@pytest.mark.parametrize(("door", "name"), EXPORTS, ids=lambda x: getattr(x, "__name__", x))
def test_an_exported_name_exists_and_shows_where_it_is(door: ModuleType, name: str) -> None:
    value = getattr(door, name)
    assert name in dir(door)
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return
    home = value.__module__
    if door is not actinium:
        assert home == door.__name__ or home.startswith(door.__name__ + "."), home
    assert home.split(".")[0] == "actinium", home
    assert not any(part.startswith("_") for part in home.split(".")), (
        f"{door.__name__}.{name} shows itself as {home}.{value.__qualname__}: a private path"
    )
    found: object = importlib.import_module(home)
    for part in value.__qualname__.split("."):
        found = getattr(found, part)
    assert found is value


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_exports_are_sorted_and_named_once(door: ModuleType) -> None:
    assert sorted(set(door.__all__)) == sorted(door.__all__)


def test_a_name_is_exported_by_one_package_only() -> None:
    """The root re-exports names; below it each object has one door."""
    places: dict[int, list[str]] = {}
    for door, name in EXPORTS:
        value = getattr(door, name)
        if door is not actinium and (inspect.isclass(value) or inspect.isroutine(value)):
            places.setdefault(id(value), []).append(f"{door.__name__}.{name}")
    assert [found for found in places.values() if len(found) > 1] == []


def test_a_name_of_the_root_means_the_same_below_it() -> None:
    for door, name in EXPORTS:
        if door is not actinium and name in actinium.__all__ and name not in HOMONYMS:
            assert getattr(door, name) is getattr(actinium, name), f"{door.__name__}.{name}"
