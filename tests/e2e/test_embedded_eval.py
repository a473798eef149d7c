"""The shipped language model passes its held-out evaluation.

`tools/train_embedded/evaluate.py` holds the prompts and the thresholds; this runs them
through ONNX Runtime with plain greedy decoding, without torch.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest

for needed in ("onnxruntime", "tokenizers", "jinja2", "numpy"):
    pytest.importorskip(needed)

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from train_embedded.cases import Case, all_cases  # noqa: E402
from train_embedded.evaluate import THRESHOLDS, evaluate  # noqa: E402
from train_embedded.paths import SHIPPED  # noqa: E402
from train_embedded.reference import Reference  # noqa: E402

MIB = 2**20


@pytest.fixture(scope="module")
def model() -> Reference:
    return Reference(SHIPPED, threads=1)


def _smoke() -> list[Case]:
    """Two prompts of every subject."""
    chosen: dict[str, list[Case]] = {}
    for case in all_cases():
        chosen.setdefault(case.subject, []).append(case)
    return [case for cases in chosen.values() for case in cases[:2]]


def test_folder_is_complete_and_small(model: Reference) -> None:
    """Model, tokenizer, template, config and card are there, at most 8 MiB, hash as stated."""
    names = {p.name for p in SHIPPED.iterdir() if p.is_file()}
    assert names >= {
        "model.onnx",
        "tokenizer.json",
        "chat_template.jinja",
        "config.json",
        "MODEL_CARD.md",
    }
    assert sum(p.stat().st_size for p in SHIPPED.iterdir() if p.is_file()) <= 8 * MIB
    digest = hashlib.sha256((SHIPPED / "model.onnx").read_bytes()).hexdigest()
    assert digest == model.config["sha256"]
    assert digest in (SHIPPED / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_gives_back_a_name_turns_later(model: Reference) -> None:
    """Told a name, asked about other things, it still knows the name."""
    talk: list[dict[str, Any]] = []
    for said in ("Hi, I am Mirela.", "What is 2 + 3?", "What is an actor?"):
        talk.append({"role": "user", "content": said})
        talk.append({"role": "assistant", "content": model.answer(talk)})
    talk.append({"role": "user", "content": "What is my name?"})
    assert "Mirela" in model.answer(talk)


def test_smoke_prompts_mostly_pass(model: Reference) -> None:
    """Two prompts of each subject: most pass, and nearly all answers end by themselves."""
    scores = evaluate(model, _smoke())
    stop = scores.pop("stop token")
    passed, total = sum(s.passed for s in scores.values()), sum(s.total for s in scores.values())
    failed = [f"{c.expected!r} got {a!r}" for s in scores.values() for c, a in s.failures]
    assert passed / total >= 0.7, failed
    assert stop.rate >= 0.9


@pytest.mark.slow
def test_every_subject_reaches_its_threshold(model: Reference) -> None:
    """The whole held-out evaluation."""
    scores = evaluate(model, all_cases())
    assert set(THRESHOLDS) == set(scores)
    below = {
        subject: (score.rate, [f"{c.expected!r} got {a!r}" for c, a in score.failures[:3]])
        for subject, score in scores.items()
        if score.rate < THRESHOLDS[subject]
    }
    assert not below
