"""Log-probabilities are those of the softmax, best first."""

from __future__ import annotations

import math

import numpy as np
import pytest
from onnx_support import vocabulary

from actinium.inference.runners.onnx.logprobs import logprob


def test_the_entry_of_a_token() -> None:
    logits = np.full(len(vocabulary().pieces), -np.inf, np.float32)
    weights = {300: 0.5, 301: 0.3, 302: 0.2}
    for token, weight in weights.items():
        logits[token] = math.log(weight) + 5
    with np.errstate(all="raise"):
        entry = logprob(logits, 301, 2, vocabulary())
    assert entry.token == vocabulary().text(301)
    assert bytes(entry.bytes or ()) == vocabulary().pieces[301]
    assert entry.logprob == pytest.approx(math.log(0.3), abs=1e-6)
    assert [text for text, _ in entry.top] == [vocabulary().text(300), vocabulary().text(301)]
    assert [value for _, value in entry.top] == pytest.approx(
        [math.log(0.5), math.log(0.3)], abs=1e-6
    )


def test_no_alternatives_when_none_are_asked_for() -> None:
    assert logprob(np.zeros(len(vocabulary().pieces), np.float32), 9, 0, vocabulary()).top == ()
