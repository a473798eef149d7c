"""Errors in Anthropic's shape: ``{"type": "error", "error": {type, message}}`` (GW-2).

Source: https://docs.anthropic.com/en/api/errors and the classes of the official ``anthropic``
package, which choose their exception by the status.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from actinium.errors import EngineOverloaded, InferenceError, Overloaded, UpstreamOverloaded

from ..openai.errors import Detail, status_of

_OVERLOADED: Final = 529
_KINDS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    _OVERLOADED: "overloaded_error",
}
_encode = msgspec.json.Encoder().encode


class Problem(msgspec.Struct, frozen=True):
    type: str
    message: str


class Refusal(msgspec.Struct, frozen=True):
    """``{"type": "error", "error": {...}}``."""

    type: str
    error: Problem
    request_id: str | UnsetType = UNSET


class AnthropicFaults:
    """The :class:`actinium.serve.faults.Faults` of ``/v1/messages``."""

    shape = Refusal

    def status(self, error: BaseException) -> int:
        """As at the other door, but no room is Anthropic's 529: in our queue or the upstream's."""
        if isinstance(error, (EngineOverloaded, UpstreamOverloaded)) or (
            isinstance(error, Overloaded) and not isinstance(error, InferenceError)
        ):
            return _OVERLOADED
        return status_of(error)

    def body(self, detail: Detail, status: int, id: str) -> bytes:
        kind = _KINDS.get(status, "api_error" if status >= 500 else "invalid_request_error")
        return _encode(Refusal("error", Problem(kind, detail.message), id or UNSET))

    def event(self, detail: Detail, status: int, id: str) -> bytes:
        return b"event: error\ndata: " + self.body(detail, status, id) + b"\n\n"

    def headers(self, id: str) -> bytes:
        return b"request-id: %b\r\n" % id.encode()
