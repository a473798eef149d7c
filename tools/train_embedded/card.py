"""Write the model card with measured figures: `python -m train_embedded.card`."""

from __future__ import annotations

import argparse
from pathlib import Path

from .cases import all_cases
from .evaluate import THRESHOLDS, Score, evaluate
from .paths import SHIPPED
from .reference import Reference

TEMPLATE = Path(__file__).with_name("card_template.md")


def _rows(scores: dict[str, Score]) -> str:
    return "\n".join(
        f"| {subject} | {s.passed} of {s.total} | {s.rate:.0%} | {THRESHOLDS.get(subject, 0):.0%} |"
        for subject, s in scores.items()
    )


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=SHIPPED)
    folder = parser.parse_args().folder
    reference = Reference(folder)
    c = reference.config
    cases = all_cases()
    text = TEMPLATE.read_text(encoding="utf-8").format(
        name=c["name"],
        params=c["params"],
        layers=c["n_layers"],
        heads=c["n_heads"],
        head_dim=c["head_dim"],
        kv_heads=c["n_kv_heads"],
        context=c["max_context"],
        vocab=c["vocab_size"],
        sha256=c["sha256"],
        tokens=c["trained_tokens"],
        steps=c["train_steps"],
        minutes=c["trained_minutes"],
        cases=len(cases),
        rows=_rows(evaluate(reference, cases)),
    )
    (folder / "MODEL_CARD.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
