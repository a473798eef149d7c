"""The error table: exceptions of the library -> typed errors, by status and by their kind.

Source: https://docs.litellm.ai/docs/exception_mapping.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actinium.errors import (
    BadRequest,
    ContentFiltered,
    InferenceError,
    NetworkError,
    ProtocolError,
    QuotaExhausted,
    Unsupported,
    UpstreamTimeout,
)

from ..openai.errors import context_of
from ..refusal import by_status, redact, retry_after


def from_exception(error: Exception) -> InferenceError:
    """The error for what the library raised."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    text = redact(str(getattr(error, "message", None) or error))
    found = _typed(error, kinds, text)
    headers = _headers(error)
    found.retry_after = retry_after(
        {str(k).lower().encode("latin-1"): str(v).encode("latin-1") for k, v in headers.items()}
    )
    return found


def _headers(error: Exception) -> Mapping[str, str]:
    """The headers of the provider's answer, as far as the library kept them."""
    kept: Any = getattr(error, "litellm_response_headers", None)
    if not kept:
        response: Any = getattr(error, "response", None)
        kept = getattr(response, "headers", None)
    return kept or {}


def _typed(error: Exception, kinds: set[str], text: str) -> InferenceError:
    if "ContextWindowExceededError" in kinds:
        return context_of(text)
    if "ContentPolicyViolationError" in kinds:
        return ContentFiltered(text)
    if "UnsupportedParamsError" in kinds:
        return Unsupported(text)
    if "PaymentRequiredError" in kinds or "BudgetExceededError" in kinds:
        return QuotaExhausted(f"the upstream's quota is used up: {text}")
    status = getattr(error, "status_code", None)
    if "APITimeoutError" in kinds:
        late = UpstreamTimeout("upstream", 0.0)
        late.args = (f"the upstream ran into a time limit: {text}",)
        return late
    if "APIConnectionError" in kinds or text.endswith("Connection error."):
        return NetworkError(f"the upstream cannot be reached: {text}")
    if isinstance(status, int) and status in (400, 422):
        return BadRequest(text)
    if isinstance(status, int):
        return by_status(status, text)
    return ProtocolError(f"{type(error).__name__} within LiteLLM: {text}")
