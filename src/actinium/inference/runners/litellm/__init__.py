"""The runners for LiteLLM: its library in this process, and its proxy as a server."""

from __future__ import annotations

from .proxy import ProxyRunner
from .runner import LiteLLMRunner

__all__ = ["LiteLLMRunner", "ProxyRunner"]
