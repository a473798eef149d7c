"""Where the shipped artefacts live, relative to the repository."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SHIPPED = REPOSITORY / "src/actinium/inference/runners/onnx/embedded"
TEMPLATE = SHIPPED / "chat_template.jinja"
TOKENIZER = "tokenizer.json"
