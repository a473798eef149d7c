"""The life of a server process: bind, load, announce, serve, drain, report."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial

from actinium.base.secret import Secret
from actinium.errors import ConfigError
from actinium.serve import settle
from actinium.topology import Plan

from ..places import IN_MEMORY, NO_STORE, short, store_path
from ..screen import Screen
from ..wording import count
from .announce import curl_lines, python_lines, served
from .host import Host, hosting
from .loading import loading
from .report import Served, answers
from .signals import StopSignals, until

_log = logging.getLogger("actinium.cli.serve")


async def serve(plan: Plan, key: Secret | None, screen: Screen) -> None:
    """Serves until SIGINT or SIGTERM; a second one stops at once. Raises ActiniumError."""
    began = time.monotonic()
    with StopSignals() as signals:
        async with hosting(plan, key) as host:
            signals.on_reload(partial(_reload, host))
            with loading(screen) as progress:
                loaded = await until(signals.stop, host.inference.start(progress))
            if loaded:
                settle()
                announce(screen, plan, host, key is not None, time.monotonic() - began)
                await signals.stop.wait()
            if screen.live:
                screen.say()  # the terminal has just shown ^C
            await _end(screen, plan, host, signals.force)


def _reload(host: Host) -> None:
    """SIGHUP: a certificate that was renewed is used from now on."""
    try:
        host.gateway.reload()
    except ConfigError as error:
        _log.error("not reloaded, what was there before stays: %s", error)
    else:
        _log.info("reloaded")


async def _end(screen: Screen, plan: Plan, host: Host, force: asyncio.Event) -> None:
    began = time.monotonic()
    if host.unfinished:
        screen.say(
            f"stopping: {count(host.unfinished, 'answer')} under way may take "
            f"{plan.gateway.drain:g} s more; a second signal stops at once"
        )
    cut_off, report = await host.end(plan.gateway.drain, force)
    answered, refused = answers(host.inference.registry)
    done = Served(
        answered=answered,
        refused=refused,
        turns=host.sessions.turns if host.sessions is not None else None,
        cut_off=cut_off,
        forced=report.forced,
        lost=report.lost,
        seconds=time.monotonic() - began,
    )
    screen.say(done.line())


def announce(screen: Screen, plan: Plan, host: Host, keyed: bool, seconds: float) -> None:
    """Prints where it serves; on a terminal with the lines to try."""
    url = host.gateway.url
    models = host.inference.models()
    if not screen.live:
        names = ", ".join(model.id for model in models)
        screen.say(f"ready: {url} serves {names}")
        return
    model = models[0].id
    screen.say()
    screen.say_parts(
        ("  Actinium", "bold"), " is ready at ", (url, "bold cyan"), f"  ({seconds:.1f} s)"
    )
    screen.say()
    for index, line in enumerate(served(plan, models)):
        screen.say_parts(("  models    " if index == 0 else " " * 12, "dim"), line)
    screen.say_parts(("  sessions  ", "dim"), _sessions(plan))
    for title, lines in (
        ("Try it with curl:", curl_lines(url, model, keyed)),
        ("or with the official client (pip install openai):", python_lines(url, model, keyed)),
    ):
        screen.say()
        screen.say(f"  {title}", "bold")
        screen.say()
        for line in lines:
            screen.say(f"    {line}", "green")
    screen.say()
    screen.say("  Ctrl-C stops it: answers under way may end first.", "dim")
    screen.say()


def _sessions(plan: Plan) -> str:
    if plan.system.store == NO_STORE:
        return "not kept"
    if plan.system.store == IN_MEMORY:
        return "kept until this process ends"
    path = store_path(plan.system.store)
    return short(path) if path is not None else ""
