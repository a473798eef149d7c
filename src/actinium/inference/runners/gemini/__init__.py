"""The runner for Google's Gemini, through AI Studio or Vertex AI."""

from __future__ import annotations

from .options import Options
from .runner import GeminiRunner

__all__ = ["GeminiRunner", "Options"]
