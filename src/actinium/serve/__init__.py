"""HTTP in, tokens out: the OpenAI-compatible gateway."""

from __future__ import annotations

from .gateway import Gateway
from .http.limits import Limits
from .process import settle

__all__ = ["Gateway", "Limits", "settle"]
