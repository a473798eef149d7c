"""Held-out evaluation of the shipped model: `python -m train_embedded.evaluate`.

Plain greedy decoding through ONNX Runtime, no torch. Prints accuracy by subject and exits
with 1 if one is below its threshold.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .cases import Case, all_cases
from .paths import SHIPPED
from .reference import Reference

MAX_TOKENS = 160
ROWS = 12
THRESHOLDS: dict[str, float] = {
    "recall at once": 0.90,
    "stop token": 0.96,
    "recall after 1-2 turns": 0.85,
    "recall after 3-6 turns": 0.85,
    "update": 0.80,
    "unknown": 0.50,
    "two facts": 0.85,
    "system role": 0.60,
    "actinium": 0.70,
    "sums": 0.85,
    "counting": 0.75,
    "spelling": 0.45,
    "echo": 0.90,
    "general": 0.90,
    "lists": 0.85,
    "stories": 0.90,
    "tool calls": 0.85,
    "tool answers": 0.85,
}


@dataclass
class Score:
    """Passed and failed cases of one subject."""

    passed: int = 0
    total: int = 0
    failures: list[tuple[Case, str]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Share of passed cases."""
        return self.passed / self.total if self.total else 0.0


def evaluate(reference: Reference, cases: Sequence[Case]) -> dict[str, Score]:
    """Scores by subject; the subject `stop token` counts answers that end by themselves."""
    scores: dict[str, Score] = defaultdict(Score)
    stop = set(reference.config["stop_ids"])
    for at in range(0, len(cases), ROWS):
        part = cases[at : at + ROWS]
        prompts = [reference.encode(c.messages, c.tools) for c in part]
        for case, ids in zip(part, reference.complete(prompts, MAX_TOKENS), strict=True):
            answer = reference.text(ids)
            _count(scores[case.subject], case, answer, case.passes(answer))
            _count(scores["stop token"], case, answer, ids[-1] in stop)
    return dict(scores)


def _count(score: Score, case: Case, answer: str, passed: bool) -> None:
    score.total += 1
    score.passed += passed
    if not passed:
        score.failures.append((case, answer))


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=SHIPPED)
    parser.add_argument("--failures", type=int, default=0, help="show this many per subject")
    args = parser.parse_args()
    start = time.monotonic()
    cases = all_cases()
    scores = evaluate(Reference(args.folder), cases)
    below = []
    for subject, score in scores.items():
        threshold = THRESHOLDS.get(subject, 0.0)
        below += [subject] if score.rate < threshold else []
        counted = f"{score.passed:4}/{score.total:<4} {score.rate:6.1%}"
        print(f"{subject:24} {counted}  (>= {threshold:.0%})")
        for case, answer in score.failures[: args.failures]:
            print(f"    asked {case.messages[-1]['content']!r}\n    expected {case.expected!r}")
            print(f"    got      {answer!r}")
    print(f"{len(cases)} prompts in {time.monotonic() - start:.0f} s")
    if below:
        sys.exit(f"below the threshold: {', '.join(below)}")


if __name__ == "__main__":
    main()
