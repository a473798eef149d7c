"""What ``actinium serve`` prints: the lines to try and the report."""

from __future__ import annotations

import ast
import json
import shlex

import pytest

from actinium.base.measures import Registry
from actinium.cli.serve.announce import curl_lines, python_lines
from actinium.cli.serve.report import Served, answers

URL = "http://127.0.0.1:8080"


@pytest.mark.parametrize("keyed", [False, True])
def test_the_curl_line_is_a_command(keyed: bool) -> None:
    words = shlex.split("\n".join(curl_lines(URL, "embedded", keyed)))
    assert words[:3] == ["curl", "-N", f"{URL}/v1/chat/completions"]
    assert json.loads(words[words.index("-d") + 1])["model"] == "embedded"
    assert ("authorization: Bearer $ACTINIUM_API_KEY" in words) is keyed


@pytest.mark.parametrize("keyed", [False, True])
def test_the_python_lines_are_python(keyed: bool) -> None:
    text = "\n".join(python_lines(URL, "embedded", keyed))
    ast.parse(text)
    assert ("os.environ" in text) is keyed


def test_the_report() -> None:
    served = Served(answered=2, refused=0, turns=1, cut_off=0, forced=0, lost=0, seconds=0.04)
    assert served.line() == (
        "stopped in 0.0 s: 2 requests served, 1 session turn, 0 answers cut off, 0 messages lost"
    )
    served = Served(answered=1, refused=3, turns=None, cut_off=1, forced=1, lost=0, seconds=30)
    assert served.line() == (
        "stopped in 30.0 s: 1 request served, 3 requests refused or failed, 1 answer cut off, "
        "1 actor stopped by force, 0 messages lost"
    )


def test_only_model_work_is_counted() -> None:
    registry = Registry()
    family = registry.counter("http_answers", "Answers.", ("endpoint", "deployment", "status"))
    family.labels("chat", "m", "200").value += 2
    family.labels("embeddings", "m", "400").value += 1
    family.labels("healthz", "none", "200").value += 7
    other = registry.counter("other", "Other.", ("endpoint", "status"))
    other.labels("chat", "200").value += 9
    assert answers(registry) == (2, 1)
