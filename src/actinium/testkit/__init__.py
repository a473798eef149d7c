"""Tools for tests: actors in virtual time, schedules by seed, probes, faults, fake providers.

>>> from actinium import testkit
>>> async def test(t: testkit.TestSystem) -> None:
...     counter, probe = t.spawn(Counter), t.probe()
...     counter.tell(Add(2), sender=probe.ref)
...     await probe.expect(Total, where=lambda m: m.n == 2)
>>> testkit.run(test)

This module is a door: names are imported when first used, so that the pytest plugin, which
pytest loads wherever the package is installed, costs other projects nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .anthropic import AnthropicProvider
    from .events import Events
    from .failure import ExpectationFailed, InjectedFault
    from .faults import Faults
    from .gemini import GeminiProvider
    from .live import inject
    from .loop import VirtualLoop
    from .probe import Probe
    from .provider import Fault, Provider, Seen
    from .runner import run
    from .search import Failure, explore, find_failure
    from .system import TestSystem
    from .threaded import in_thread

_HOMES = {
    "AnthropicProvider": "anthropic",
    "Events": "events",
    "ExpectationFailed": "failure",
    "Failure": "search",
    "Fault": "provider",
    "Faults": "faults",
    "GeminiProvider": "gemini",
    "InjectedFault": "failure",
    "Probe": "probe",
    "Provider": "provider",
    "Seen": "provider",
    "TestSystem": "system",
    "VirtualLoop": "loop",
    "explore": "search",
    "find_failure": "search",
    "in_thread": "threaded",
    "inject": "live",
    "run": "runner",
}

__all__ = [
    "AnthropicProvider",
    "Events",
    "ExpectationFailed",
    "Failure",
    "Fault",
    "Faults",
    "GeminiProvider",
    "InjectedFault",
    "Probe",
    "Provider",
    "Seen",
    "TestSystem",
    "VirtualLoop",
    "explore",
    "find_failure",
    "in_thread",
    "inject",
    "run",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'actinium.testkit' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{home}", __name__), name)
    value.__module__ = __name__  # what a user sees in a traceback or a repr is the public path
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
