"""The life of a server process: bind, load, announce, serve, drain, report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from actinium.base.secret import Secret
from actinium.inference import ModelInfo
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


async def serve(plan: Plan, key: Secret | None, screen: Screen) -> None:
    """Serves until SIGINT or SIGTERM; a second one stops at once.

    Raises SystemFailed when a failure of an actor has ended the system, or another ActiniumError.
    """
    if plan.gateway.workers > 1:
        from .many import serve_many

        await serve_many(plan, key, screen)
        return
    began = time.monotonic()
    with StopSignals() as signals:
        async with hosting(plan, key) as host:
            signals.on_reload(host.reload)
            with loading(screen) as progress:
                loaded = await until(signals.stop, host.inference.start(progress))
            if loaded and host.system.phase is None:
                settle()
                seconds = time.monotonic() - began
                models = host.inference.models()
                announce(screen, plan, host.gateway.url, models, key is not None, seconds)
                await until(signals.stop, host.system.ended())
            if screen.live:
                screen.say()  # the terminal has just shown ^C
            await _end(screen, plan, host, signals.force)


async def _end(screen: Screen, plan: Plan, host: Host, force: asyncio.Event) -> None:
    began = time.monotonic()
    say_stopping(screen, plan, host.unfinished)
    cut_off, report = await host.end(plan.gateway.drain, force)
    answered, refused = answers(host.inference.registry)
    done = Served(
        answered=answered,
        refused=refused,
        turns=host.turns,
        cut_off=cut_off,
        forced=report.forced,
        lost=report.lost,
        seconds=time.monotonic() - began,
    )
    screen.say(done.line())


def say_stopping(screen: Screen, plan: Plan, unfinished: int) -> None:
    """Says why the end may take a while, if it may."""
    if unfinished:
        screen.say(
            f"stopping: {count(unfinished, 'answer')} under way may take "
            f"{plan.gateway.drain:g} s more; a second signal stops at once"
        )


def announce(
    screen: Screen, plan: Plan, url: str, models: Sequence[ModelInfo], keyed: bool, seconds: float
) -> None:
    """Prints where it serves; on a terminal with the lines to try."""
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
