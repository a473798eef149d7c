"""Keys and tokens: read once, or asked for again while calls go on.

A token is shared by all calls of its runner; one question for a new one is under way at most.
"""

from __future__ import annotations

import asyncio
import importlib.util
import shlex
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from actinium.base.secret import Secret, read_secret
from actinium.errors import (
    ConfigError,
    InferenceError,
    MissingExtra,
    ModelNotReady,
    NetworkError,
    UpstreamAuth,
    UpstreamTimeout,
)

from ..refusal import redact

COMMAND: Final = "command:"
ADC: Final = "adc"
_SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
_COMMAND_SECONDS: Final = 30.0
_EARLY: Final = 300.0
"""Seconds before its end at which a token of known life is replaced."""
_AGAIN: Final = 10.0
"""Seconds after which a renewal that failed is tried again while the old token still lives."""


class Token(msgspec.Struct, frozen=True):
    """A secret with the seconds after which to ask again and after which it is of no use."""

    secret: Secret
    renew: float | None = None
    ends: float | None = None


Fetch = Callable[[], Awaitable[Token]]


class Tokens:
    """Gives the token of now; see the module.

    A token past its time of renewal is used on while the new one is fetched beside.
    """

    def __init__(self, fetch: Fetch, *, fixed: bool = False) -> None:
        self._fetch = fetch
        self._fixed = fixed
        self._token: Token | None = None
        self._since = 0.0
        self._task: asyncio.Task[Token] | None = None

    async def secret(self) -> Secret:
        """The secret to send. Raises UpstreamAuth, UpstreamTimeout and NetworkError."""
        token = self._token
        if token is None:
            return (await self._fetched()).secret
        if token.renew is not None:
            age = asyncio.get_running_loop().time() - self._since
            if token.ends is not None and age >= token.ends:
                return (await self._fetched()).secret
            if age >= token.renew:
                self._start()
        return token.secret

    async def after_refusal(self, seen: Secret) -> Secret | None:
        """Another secret than ``seen``, which the server refused; None where there is none."""
        if self._fixed:
            return None
        if self._token is None or self._token.secret is seen:
            await self._fetched()
        now = self._token
        return now.secret if now is not None and now.secret != seen else None

    def reveal(self) -> str:
        """The value last given, to take it out of texts; empty where there is none."""
        return self._token.secret.reveal() if self._token is not None else ""

    async def close(self) -> None:
        """Ends a question that is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _fetched(self) -> Token:
        task = self._start()
        try:
            # Shielded: who waits may leave, others wait for the same answer.
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise ModelNotReady("the deployment was closed before it had a token") from None
            raise

    def _start(self) -> asyncio.Task[Token]:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._renew())
            self._task.add_done_callback(self._ended)
        return self._task

    def _ended(self, task: asyncio.Task[Token]) -> None:
        self._task = None
        if not task.cancelled() and task.exception() is not None and self._token is not None:
            # Who waited is told; the old token serves on, and is replaced a little later.
            old = self._token
            age = asyncio.get_running_loop().time() - self._since
            self._token = Token(old.secret, age + _AGAIN, old.ends)

    async def _renew(self) -> Token:
        token = await self._fetch()
        self._token = token
        self._since = asyncio.get_running_loop().time()
        return token


def find_tokens(reference: str | None, environ: Mapping[str, str], seconds: float | None) -> Tokens:
    """The source that a reference names.

    ``env:NAME`` and ``file:PATH``; ``command:PROGRAM ARGUMENTS`` for a program that prints a
    token; None or ``adc`` for Google's application default credentials. ``seconds`` is how long
    a token without a known end is used (None: for good, and only ``env:`` and ``file:`` are
    known). Raises ConfigError, MissingCredentials, and MissingExtra.
    """
    if seconds is not None:
        if reference is None or reference == ADC:
            if not _has_google_auth():
                raise MissingExtra("vertex", "Vertex with Google's default credentials")
            return Tokens(_default_credentials())
        if reference.startswith(COMMAND):
            return Tokens(_command(reference.removeprefix(COMMAND), seconds))
        if not reference.startswith(("env:", "file:")):
            raise ConfigError(
                "credentials: expected 'adc', 'command:PROGRAM', 'file:PATH' or 'env:NAME', got a "
                f"text of {len(reference)} characters that is none of them"
            )
    assert reference is not None, "a key has a reference"
    first = read_secret(reference, environ)
    if seconds is None or not reference.startswith("file:"):
        return Tokens(_given(Token(first)), fixed=True)

    async def read() -> Token:
        return Token(read_secret(reference, environ), seconds)

    return Tokens(read)


def _given(token: Token) -> Fetch:
    async def give() -> Token:
        return token

    return give


def _command(line: str, seconds: float) -> Fetch:
    """Runs a program without a shell; its output is the token."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ConfigError(f"credentials: the command cannot be read: {error}") from None
    if not words:
        raise ConfigError(
            "credentials: expected a program after 'command:', for example "
            "'command:gcloud auth print-access-token'"
        )
    program = words[0]

    async def run() -> Token:
        try:
            process = await asyncio.create_subprocess_exec(
                *words, stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=PIPE
            )
        except OSError as error:
            raise UpstreamAuth(
                f"the credentials command {program!r} cannot be started: {error.strerror}"
            ) from error
        try:
            async with asyncio.timeout(_COMMAND_SECONDS):
                out, said = await process.communicate()
        except TimeoutError:
            late = UpstreamTimeout("credentials", _COMMAND_SECONDS)
            late.args = (f"the credentials command {program!r} took too long",)
            raise late from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        text = out.decode("latin-1").strip()
        if process.returncode != 0 or not text:
            why = redact(said.decode("utf-8", "replace").strip())[-300:]
            raise UpstreamAuth(
                f"the credentials command {program!r} ended with {process.returncode} and "
                f"{'no token' if not text else 'a text'}: {why}"
            )
        if any(ord(c) < 33 or ord(c) > 126 for c in text):
            raise UpstreamAuth(
                f"the credentials command {program!r} printed something else than one token"
            )
        return Token(Secret(text, COMMAND + program), seconds)

    return run


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
