"""Identifiers, secrets, measures and the cork."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actinium.base.cork import Cork
from actinium.base.ids import Ids
from actinium.base.measures import Distribution, Registry
from actinium.base.secret import Secret, read_secret
from actinium.errors import ConfigError, MissingCredentials, UsageError

CANARY = "sk-canary-42"


def test_ids_are_unique_and_have_their_form() -> None:
    ids = Ids()
    made = [ids.new("req-") for _ in range(2000)]
    assert len(set(made)) == 2000
    assert all(len(i) == 28 and i.startswith("req-") for i in made)


def test_inf_SC_1_a_secret_does_not_show() -> None:
    secret = Secret(CANARY, "env:KEY")
    shown = [str(secret), repr(secret), f"{secret}", f"{secret:>20}", f"{[secret]}"]
    assert all(CANARY not in text for text in shown)
    for encode in (json.dumps, msgspec.json.encode, pickle.dumps, copy.copy):
        with pytest.raises(TypeError) as caught:
            encode(secret)  # type: ignore[operator]
        assert CANARY not in str(caught.value)
    assert secret.reveal() == CANARY
    assert secret == Secret(CANARY) and secret != Secret("x") and secret != CANARY
    assert secret.matches(CANARY.encode()) and not secret.matches(b"x")
    assert not Secret("")


def test_secret_references(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(CANARY + "\n")
    (tmp_path / "empty").write_text("")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert read_secret("env:A", {"A": CANARY}).reveal() == CANARY
    assert read_secret(f"file:{tmp_path}/key", {}).reveal() == CANARY
    for reference, says in (
        ("env:A", "A is not set"),
        ("env:EMPTY", "EMPTY is empty"),
        (f"file:{tmp_path}/none", "cannot be read"),
        (f"file:{tmp_path}/empty", "is empty"),
    ):
        with pytest.raises(MissingCredentials, match=says):
            read_secret(reference, {"EMPTY": ""})
    for reference in (CANARY, "env:", "vault:x", f"file:{tmp_path}/binary"):
        with pytest.raises(ConfigError) as caught:
            read_secret(reference, {})
        assert CANARY not in str(caught.value), "a key pasted as reference is not repeated"
    with pytest.raises(ConfigError, match="visible ASCII") as caught:
        read_secret("env:A", {"A": CANARY + "\n"})
    assert CANARY not in str(caught.value)


@given(st.lists(st.floats(0, 20), max_size=50))
def test_inf_MT_1_histogram_counts_equal_observations(values: list[float]) -> None:
    bounds = (1.0, 2.0, 5.0, 10.0)
    histogram = Distribution(bounds)
    for value in values:
        histogram.observe(value)
    assert histogram.total == len(values)
    assert histogram.sum == pytest.approx(sum(values))
    for at, bound in enumerate(bounds):
        assert sum(histogram.counts[: at + 1]) == sum(v <= bound for v in values)


def test_registry() -> None:
    registry = Registry()
    family = registry.counter("x", "X.", ("a",))
    family.labels("1").value += 2
    assert family.labels("1").value == 2
    with pytest.raises(UsageError, match="already"):
        registry.gauge("x", "X.")
    with pytest.raises(UsageError, match="1 label values"):
        family.labels("1", "2")
    with pytest.raises(UsageError, match="rise"):
        registry.histogram("h", "H.", (2.0, 1.0))


def test_cork_flushes_each_once_at_the_end_of_the_turn() -> None:
    class Held:
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1

    async def main() -> None:
        cork, one, two = Cork(), Held(), Held()
        cork.add(one)
        cork.add(two)
        assert one.flushed == 0
        await asyncio.sleep(0)
        assert one.flushed == two.flushed == 1
        cork.add(one)
        await asyncio.sleep(0)
        assert (one.flushed, two.flushed) == (2, 1)

    asyncio.run(main())
