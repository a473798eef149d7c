"""The figures of an actor system as measures."""

from __future__ import annotations

from typing import Final, Literal

from actinium.base.measures import Reading, Registry
from actinium.core import System
from actinium.errors import ActiniumError

_FIGURES: Final[dict[str, tuple[str, str, Literal["counter", "gauge"]]]] = {
    "messages_accepted": ("accepted", "Messages that mailboxes took.", "counter"),
    "messages_handled": ("handled", "Messages whose handler ended.", "counter"),
    "messages_withdrawn": ("withdrawn", "Asks given up before they were handled.", "counter"),
    "late_replies": ("late_replies", "Answers to asks that nobody waited for.", "counter"),
    "slices": ("slices", "Turns of the event loop that ran actors.", "counter"),
    "restarts": ("restarts", "Actors that were restarted after a failure.", "counter"),
    "actors_live": ("actors", "Actors that exist.", "gauge"),
    "handlers_running": ("running", "Handlers that await something.", "gauge"),
    "ready_depth": ("ready", "Actors that have messages and wait for their turn.", "gauge"),
    "timers_pending": ("timers", "Timers that are set.", "gauge"),
}
_REGIONS: Final = ("cells", "mailboxes", "inbox", "payload")


def watch_system(registry: Registry, system: System) -> None:
    """Adds the measures of a running system; read when somebody looks, so they cost it nothing.

    A system that is not running shows none. Raises UsageError for a registry that has them.
    """

    def view(name: str, figure: str, help: str, kind: Literal["counter", "gauge"]) -> None:
        def read() -> list[Reading]:
            found = _statistics(system)
            return [((), found[figure])] if found else []

        registry.view(name, help, (), read, kind)

    for name, (figure, help, kind) in _FIGURES.items():
        view(name, figure, help, kind)

    def memory() -> list[Reading]:
        found = _statistics(system)
        return [((region,), found[f"{region}_bytes"]) for region in _REGIONS if found]

    def letters() -> list[Reading]:
        return [((reason,), number) for reason, number in system.dead_letters.counts.items()]

    registry.view("slab_bytes", "Memory of the native core, in bytes.", ("region",), memory)
    registry.view(
        "dead_letters", "Messages that could not be delivered.", ("reason",), letters, "counter"
    )


def _statistics(system: System) -> dict[str, int]:
    try:
        return system.statistics()
    except ActiniumError:
        return {}
