"""Takes out of texts what must not be written down."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from actinium.base.secret import hidden

_NAMED: Final = re.compile(
    r"(authorization|api[-_]?key|token|password|passwd|secret|cookie)"
    r"(\\?[\"']?\s*[:=]\s*(?:b(?=[\"']))?\\?[\"']?)(?:(?:bearer|basic)\s+)?[^\s\"',;&)}\]\\]+",
    re.IGNORECASE,
)
_SCHEME: Final = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE)
_KEY: Final = re.compile(r"\b(?:(?:sk|pk|rk|ac|gsk|xai|hf)[-_]|AIza|ya29\.)[A-Za-z0-9._-]{10,}")


class Redactor:
    """Hides values of secrets that the process holds, what stands beside a telling name
    (``authorization``, ``api_key``, ``token``, ``password``, ``secret``, ``cookie``), what looks
    like a key, and what ``patterns`` find. Raises ``re.error`` for a pattern that is none."""

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self._patterns = [re.compile(pattern) for pattern in patterns]

    def __call__(self, text: str) -> str:
        """The text with ``***`` in their places."""
        text = _NAMED.sub(r"\1\2***", hidden(text))
        text = _KEY.sub("***", _SCHEME.sub(r"\1 ***", text))
        for pattern in self._patterns:
            text = pattern.sub("***", text)
        return text
