"""Keys and tokens: read once, or asked for again while calls go on.

A token is shared by all calls of its runner; one question for a new one is under way at most.
"""

from __future__ import annotations

import asyncio
import shlex
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from actinium.base.secret import Secret, read_secret
from actinium.errors import ConfigError, ModelNotReady, UpstreamAuth, UpstreamTimeout
from actinium.inference.deployment import Deployment

from .refusal import redact

COMMAND: Final = "command:"
TOKEN_SECONDS: Final = 300.0
"""How long a key of a file or a token of a command is used before it is asked for again."""
_COMMAND_SECONDS: Final = 30.0
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

    A token past its time of renewal is used on while the new one is fetched beside. ``fixed`` is
    the secret that never changes, else None.
    """

    def __init__(self, fetch: Fetch, *, fixed: Secret | None = None) -> None:
        self._fetch = fetch
        self.fixed = fixed
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
        if self.fixed is not None:
            return None
        if self._token is None or self._token.secret is seen:
            await self._fetched()
        now = self._token
        return now.secret if now is not None and now.secret != seen else None

    def reveal(self) -> str:
        """The value last given, to take it out of texts; empty where there is none."""
        if self.fixed is not None:
            return self.fixed.reveal()
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


def reference_of(deployment: Deployment) -> str | None:
    """The one reference of a deployment; several are those of a pool."""
    reference = deployment.credentials
    if isinstance(reference, tuple):
        raise ConfigError(
            f"deployment {deployment.name!r}: this runner takes one credential, got "
            f"{len(reference)}; make_runner() spreads the load over several"
        )
    return reference


def find_tokens(
    reference: str, environ: Mapping[str, str], seconds: float = TOKEN_SECONDS
) -> Tokens:
    """The source that a reference names.

    ``env:NAME`` is read once; ``file:PATH`` and ``command:PROGRAM ARGUMENTS`` (which prints a
    token) are asked again after ``seconds`` and where the server refused what they gave. Raises
    ConfigError and MissingCredentials.
    """
    if reference.startswith(COMMAND):
        return Tokens(_command(reference.removeprefix(COMMAND), seconds))
    if not reference.startswith(("env:", "file:")):
        raise ConfigError(
            "credentials: expected 'env:NAME', 'file:PATH' or 'command:PROGRAM ARGUMENTS' (for "
            f"Vertex also 'adc'), got a text of {len(reference)} characters that is none of them; "
            "write for example credentials = 'env:OPENAI_API_KEY'"
        )
    first = read_secret(reference, environ)
    if not reference.startswith("file:"):
        return Tokens(_given(Token(first)), fixed=first)

    async def read() -> Token:
        try:
            return Token(read_secret(reference, environ), seconds)
        except ConfigError as error:
            raise UpstreamAuth(str(error)) from None  # the file was there when this started

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
