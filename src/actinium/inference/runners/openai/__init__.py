"""The runner for OpenAI and every server that speaks its wire."""

from __future__ import annotations

from .options import Options
from .runner import OpenAIRunner

__all__ = ["OpenAIRunner", "Options"]
