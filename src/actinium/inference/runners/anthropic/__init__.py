"""The runner for Anthropic and every server that speaks its Messages API."""

from __future__ import annotations

from .options import Options
from .runner import AnthropicRunner

__all__ = ["AnthropicRunner", "Options"]
