"""The event loop of a command."""

from __future__ import annotations

import asyncio


def new_runner() -> asyncio.Runner:
    """A runner on uvloop where it is installed, else on asyncio's own loop."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)
