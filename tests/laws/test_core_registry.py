"""RG-1: find() equals the naive model, stopped actors free their names, a watch has no gap."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from actinium import testkit
from actinium.core import (
    Actor,
    NameAdded,
    NameRemoved,
    NameReplaced,
    Registered,
    Resync,
)
from actinium.core.pattern import Pattern
from actinium.core.registry.trie import Trie
from actinium.testkit import TestSystem

law = settings(max_examples=80, deadline=None, derandomize=True)

part = st.text("ab.+\\[", min_size=1, max_size=4)
names = st.lists(part, min_size=1, max_size=4).map("/".join)
glob = st.one_of(st.just("**"), st.text("ab.*?", min_size=1, max_size=4))
patterns = (
    st.lists(glob, min_size=1, max_size=5)
    .filter(lambda parts: all(p == "**" or "**" not in p for p in parts))
    .map("/".join)
)


def naive(pattern: str) -> re.Pattern[str]:
    """The pattern as one regular expression over the name with a '/' after each segment."""
    text = ""
    for segment in pattern.split("/"):
        if segment == "**":
            text += "(?:[^/]+/)*"
        else:
            text += "".join({"*": "[^/]*", "?": "[^/]"}.get(c, re.escape(c)) for c in segment) + "/"
    return re.compile(text, re.DOTALL)


@law
@given(st.sets(names, max_size=30), st.lists(patterns, min_size=1, max_size=5))
@example({"a", "a/b", "a/b/a", "b"}, ["**", "a/**", "**/a", "**/a/**", "*/**/*"])
def test_RG_1_find_equals_the_naive_model(known: set[str], wanted: list[str]) -> None:
    trie: Trie[str] = Trie()
    for name in known:
        trie.put(name, name)
    assert len(trie) == len(known)
    for text in wanted:
        expected = {n for n in known if naive(text).fullmatch(n + "/")}
        found = [name for name, _ in trie.find(Pattern(text))]
        assert sorted(found) == sorted(expected), f"RG-1: {text!r}"
        assert {n for n in known if Pattern(text).matches(n)} == expected, f"RG-1: {text!r}"
    for name in sorted(known)[::2]:
        assert trie.remove(name) == name and trie.remove(name) is None
    left = set(sorted(known)[1::2])
    assert (
        {name for name, _ in trie.find(Pattern("**"))} == left == {n for n in left if trie.get(n)}
    )


def test_RG_1_a_hostile_pattern_is_no_exponential_search() -> None:
    trie: Trie[int] = Trie()
    deep = "/".join("a" * 200)
    trie.put(deep, 1)
    assert list(trie.find(Pattern("/".join(["**", "a"] * 60) + "/b"))) == []
    assert list(trie.find(Pattern("**/b*/" + "/".join(["**", "a"] * 50)))) == []
    assert Pattern("*a" * 200 + "*b").matches("a" * 400) is False
    assert Pattern("/".join(["**", "*a*"] * 50)).matches(deep)


def test_RG_1_few_matches_among_many_names_are_found_without_looking_at_all() -> None:
    trie: Trie[int] = Trie()
    for n in range(20_000):
        trie.put(f"plant/{n % 100}/sensor/{n}", n)
    trie.put("plant/7/x-ray", -1)
    looked = 0

    class Counting(Pattern):
        __slots__ = ()

        def matches(self, name: str) -> bool:
            nonlocal looked
            looked += 1
            return super().matches(name)

    assert list(trie.find(Counting("**/x*"))) == [("plant/7/x-ray", -1)]
    assert looked == 1


class Named(Actor):
    pass


deeds = st.lists(
    st.tuples(st.sampled_from(["register", "replace", "unregister", "stop"]), names,
              st.sampled_from(["1", "2"])),
    max_size=40,
)  # fmt: skip


@law
@given(deeds, patterns, st.integers(1, 6), st.booleans())
def test_RG_1_a_watch_is_snapshot_plus_changes_or_a_resync(
    done: list[tuple[str, str, str]], wanted: str, room: int, tagged: bool
) -> None:
    tags = {"ver": "2"} if tagged else {}

    async def test(t: TestSystem) -> None:
        registry = t.system.registry
        model: dict[str, Any] = {}
        watch = registry.watch(wanted, tags=tags, max_pending=room)
        quick = registry.watch(wanted, tags=tags, max_pending=1000)
        seen: dict[int, dict[str, Registered]] = {0: {}, 1: {}}

        async def read(which: int, feed: Any, most: int) -> None:
            known = seen[which]
            for _ in range(most):
                if not len(feed):
                    return
                change = await anext(feed)
                match change:
                    case NameAdded(entry):
                        assert entry.name not in known, "RG-1: added twice"
                        known[entry.name] = entry
                    case NameRemoved(entry):
                        assert known.pop(entry.name) == entry, "RG-1"
                    case NameReplaced(entry, before):
                        assert known[entry.name] == before, "RG-1"
                        known[entry.name] = entry
                    case Resync(entries):
                        known.clear()
                        known.update({e.name: e for e in entries})

        for n, (deed, name, ver) in enumerate(done):
            if deed == "unregister":
                assert registry.unregister(name) == (model.pop(name, None) is not None)
            elif deed == "stop":
                ref = model.get(name)
                if ref is not None:
                    ref.stop()
                    await t.run_until_idle()
                    model = {k: v for k, v in model.items() if v is not ref}
            elif name not in model or deed == "replace":
                ref = next(iter(model.values()), None) if n % 3 == 0 else None
                ref = ref or t.spawn(Named)
                registry.register(name, ref, tags={"ver": ver}, replace=deed == "replace")
                model[name] = ref
            assert len(watch) <= room, "RG-1: the slow watcher is bounded"
            if n % 5 == 4:
                await read(0, watch, 2)
            await read(1, quick, 1000)
            found = registry.find(wanted, tags=tags)
            assert {e.name: e for e in found} == seen[1], "RG-1: a gap"
            assert {e.name: e.ref for e in registry.find("**")} == model, "RG-1"
        await read(0, watch, 1000)
        assert seen[0] == {e.name: e for e in registry.find(wanted, tags=tags)}, "RG-1"
        assert all(registry.names(ref) for ref in model.values())

    testkit.run(test)


def test_RG_1_readers_in_other_threads_see_whole_states() -> None:
    async def test(t: TestSystem) -> None:
        registry = t.system.registry
        pair = [t.spawn(Named), t.spawn(Named)]
        for n in range(200):
            registry.register(f"pair/{n}", pair[0])
        stop = False
        faults: list[str] = []

        def read() -> None:
            while not stop:
                found = registry.find("pair/**")
                if len(found) != 200 or len({e.name for e in found}) != 200:
                    faults.append(f"RG-1: saw {len(found)} names")

        readers = [asyncio.create_task(asyncio.to_thread(read)) for _ in range(2)]
        for n in range(60):
            registry.register(f"pair/{n}", pair[1], replace=True)
            await asyncio.sleep(0)
        stop = True
        await asyncio.gather(*readers)
        assert faults == []

    testkit.run(test, outside=True)
