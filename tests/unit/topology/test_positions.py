"""Where keys stand in a TOML text."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actinium.topology.positions import Path, positions

TEXT = '''\
# a comment
name = "x"

[system]          # line 4
"quoted.key" = 1
a.b.c = 2
text = """
[not.a.header]
end""""

[[deployment]]    # line 11
aliases = [
  "one",  # ] in a comment
  'two',
]
timeouts = { connect = 1.0, total = 2 }
when = 1979-05-27 07:32:00

[deployment.options]  # line 19
headers = { "x-a" = "}", y = [[1], [
  2]] }

[[deployment]]    # line 23
name = \'\'\'it's\'\'\'
'''


def test_every_kind_of_key_is_found_on_its_line() -> None:
    lines = positions(TEXT)
    assert lines["name",] == 2
    assert lines["system",] == 4
    assert lines["system", "quoted.key"] == 5
    assert lines["system", "a"] == lines["system", "a", "b", "c"] == 6
    assert lines["system", "text"] == 7
    assert lines["deployment", 0] == 11
    assert lines["deployment", 0, "aliases", 1] == 14
    assert lines["deployment", 0, "timeouts", "total"] == 16
    assert lines["deployment", 0, "when"] == 17
    assert lines["deployment", 0, "options"] == 19
    assert lines["deployment", 0, "options", "headers", "y", 1, 0] == 21
    assert lines["deployment", 1] == 23
    assert lines["deployment", 1, "name"] == 24


def test_the_scan_finds_the_keys_that_tomllib_finds() -> None:
    assert set(positions(TEXT)) == _paths(tomllib.loads(TEXT), ())


def _paths(value: Any, at: Path) -> set[Path]:
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    found = {at} - {()}
    for key, item in items:
        found |= _paths(item, (*at, key))
    return found


_KEY = st.sampled_from(["a", "b-c", '"d e"', "'f.g'", '"h\\"i"', "j . k"])
_LEAF = st.sampled_from(
    [
        "1", "-0.5e3", "true", "inf", "07:32:00", "1979-05-27 07:32:00",
        '"t"', "'l'", '"a#b"', '"\\\\"', '""', '"]"', "'}'",
        '"""x\ny"""', '"""q"""""', "'''\n#[a]\n'''",
    ]
)  # fmt: skip
_VALUE = st.recursive(
    _LEAF,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda xs: "[ " + ",  # ]\n ".join(xs) + " ]"),
        st.lists(inner, max_size=3).map(
            lambda xs: "{ " + ", ".join(f"k{i} = {x}" for i, x in enumerate(xs)) + " }"
        ),
    ),
    max_leaves=6,
)
_LINE = st.one_of(
    st.tuples(_KEY, _VALUE).map(lambda kv: f"{kv[0]} = {kv[1]}"),
    _KEY.map(lambda k: f"[t.{k}]  # [x]"),
    _KEY.map(lambda k: f"[[u.{k}]]"),
    _KEY.map(lambda k: f"  [ u . {k} . sub ]"),
    st.just("# = ["),
    st.just(""),
)


@given(st.lists(_LINE, max_size=8))
def test_any_valid_text_is_scanned_whole(lines: list[str]) -> None:
    text = "\n".join(lines)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    found = positions(text)
    assert set(found) == _paths(table, ())
    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())
