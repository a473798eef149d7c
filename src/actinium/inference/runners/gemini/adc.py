"""Google's application default credentials as a source of tokens."""

from __future__ import annotations

import asyncio
import importlib.util
from datetime import UTC, datetime
from typing import Any, Final

from actinium.base.secret import Secret
from actinium.errors import InferenceError, MissingExtra, NetworkError, UpstreamAuth

from ..refusal import redact
from ..token import Fetch, Token, Tokens

ADC: Final = "adc"
_SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
_EARLY: Final = 300.0
"""Seconds before its end at which a token of known life is replaced."""


def default_tokens() -> Tokens:
    """The tokens of the machine or the user. Raises MissingExtra."""
    if not _has_google_auth():
        raise MissingExtra("vertex", "Vertex with Google's default credentials")
    return Tokens(_default_credentials())


def _has_google_auth() -> bool:
    try:
        return importlib.util.find_spec("google.auth.transport.requests") is not None
    except ModuleNotFoundError:
        return False


def _default_credentials() -> Fetch:
    """Google's own search and exchange, in a thread: the library blocks."""
    credentials: Any = None

    def ask() -> Token:
        nonlocal credentials
        import google.auth
        from google.auth.exceptions import GoogleAuthError, TransportError
        from google.auth.transport.requests import Request as Exchange

        try:
            if credentials is None:
                credentials, _ = google.auth.default(scopes=_SCOPES)
            credentials.refresh(Exchange())
        except TransportError as error:
            raise NetworkError(f"Google's tokens cannot be reached: {redact(str(error))}") from None
        except GoogleAuthError as error:
            raise UpstreamAuth(f"no token from Google: {redact(str(error))}") from None
        secret = Secret(str(credentials.token), ADC)
        if credentials.expiry is None:
            return Token(secret)
        left = (credentials.expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
        return Token(secret, max(left - _EARLY, left / 2), left)

    async def fetch() -> Token:
        try:
            return await asyncio.to_thread(ask)
        except (InferenceError, asyncio.CancelledError):
            raise
        except Exception as error:
            raise UpstreamAuth(f"no token from Google: {type(error).__name__}") from error

    return fetch
