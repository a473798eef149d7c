"""HTTP in, tokens out: the OpenAI-compatible gateway."""

from __future__ import annotations

from .gateway import Admin, Gateway
from .http.limits import Limits
from .process import settle

__all__ = ["Admin", "Gateway", "Limits", "settle"]
