"""``actinium chat``: finds the partner and talks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from actinium.base.address import is_loopback
from actinium.errors import ConfigError, UsageError

from ..loop import new_runner
from ..places import state_folder
from ..screen import Screen
from ..serve.loading import loading
from ..serve.options import deployments
from .conversation import Conversation
from .local import LocalPartner
from .partner import Partner
from .remote import RemotePartner
from .talk import Talk, remembered_text
from .terminal import Terminal


class ChatOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What was said on the command line."""

    model: str | None = None
    url: str | None = None
    api_key_env: str | None = None
    session: str | None = None
    system: str | None = None
    store: str | None = None
    insecure: bool = False


def chat(options: ChatOptions, screen: Screen) -> int:
    """Talks until the input ends; how many lines failed. Raises ActiniumError."""
    terminal = Terminal(screen, state_folder() / "chat_history")
    with new_runner() as runner:
        partner = runner.run(_partner(options, screen))
        try:
            model = _model(options, runner.run(partner.models()))
            conversation = Conversation(model, system=options.system)
            talk = Talk(partner, conversation, terminal, runner)
            remembered = None if options.session is None else talk.open_session(options.session)
            _greet(terminal, options, model, remembered)
            terminal.begin()
            try:
                talk.run()
            finally:
                terminal.end()
            return talk.failed
        finally:
            runner.run(partner.close())


async def _partner(options: ChatOptions, screen: Screen) -> Partner:
    if options.url is not None:
        if options.store is not None:
            raise UsageError(
                "--store and --no-store are for a model in this process; the server at --url "
                "has its own store"
            )
        key = _key(options, os.environ)
        return await RemotePartner.open(options.url, key, os.environ, insecure=options.insecure)
    if options.insecure:
        raise UsageError("--insecure is about the way to a server; it needs --url")
    deployment = deployments([options.model or "embedded"], None, options.api_key_env)[0]
    with loading(screen) as progress:
        return await LocalPartner.open(deployment, options.store, progress)


def _key(options: ChatOptions, environ: Mapping[str, str]) -> str | None:
    """The reference of the key for ``--url``.

    ACTINIUM_API_KEY goes by itself only to servers on this machine; to others only where it is
    named, so that no key reaches a host it was not meant for (SC-1).
    """
    if options.api_key_env is not None:
        return f"env:{options.api_key_env}"
    try:
        host = urlsplit(options.url or "").hostname or ""
    except ValueError as error:
        raise ConfigError(f"--url: not a URL ({error}); write http://host:port") from None
    return "env:ACTINIUM_API_KEY" if is_loopback(host) and environ.get("ACTINIUM_API_KEY") else None


def _model(options: ChatOptions, models: list[str]) -> str:
    if options.url is None or options.model is None:
        if not models:
            raise UsageError(f"the server at {options.url} lists no models; name one with --model")
        return models[0]
    return options.model


def _greet(terminal: Terminal, options: ChatOptions, model: str, remembered: int | None) -> None:
    if not terminal.live:
        return
    parts = [f"chat with {model}"]
    if options.url is not None:
        parts[0] += f" at {options.url}"
    if options.session is not None:
        parts.append(f"session {options.session}{remembered_text(remembered)}")
    terminal.note(" · ".join((*parts, "/help for commands, Ctrl-D to leave")))
    terminal.screen.say()
