"""What is measured: scenarios, and what their rows say about themselves."""

from __future__ import annotations

import dataclasses

from bench.harness import Scenario


@dataclasses.dataclass(frozen=True)
class Measured:
    """A scenario with the subjects that belong to it, and the texts of its row."""

    id: str
    scenario: Scenario
    ours: str
    floor: str
    """A subject, or ``none: why``."""
    baselines: tuple[str, ...]
    in_timer: str
    does_not_show: str

    @property
    def about(self) -> dict[str, str]:
        return {
            "id": self.id,
            "in_timer": self.in_timer,
            "does_not_show": self.does_not_show,
            "floor": self.floor,
        }


_TRIP = "a message is written, its handler runs, its reply is read and compared; one at a time"
_SPEED = "the first message written to the last reply read and compared"
_FLOOD = "the first tell to the answer of the ask behind all of them"
_HOST_C = "what Python adds (B12)"


def _trip(name: str, n: int, *, cuda: bool, loaded: str = "") -> Measured:
    return Measured(
        "B1",
        Scenario(name, "round trip", n, metric="p50", unit="ns", divisor=1.0),
        "actinium",
        "word" if not cuda else "mapped_echo",
        ("queue",) if not cuda else ("launch_sync", "graph_sync", "launch_flag", "mapped_read"),
        _TRIP + loaded,
        _HOST_C,
    )


def _rate(name: str, n: int, baseline: str, in_timer: str, floor: str) -> Measured:
    return Measured(
        "B2", Scenario(name, "handled per second", n), "actinium", floor, (baseline,), in_timer,
        f"{_HOST_C}; a floor that is one thread's own loop",
    )  # fmt: skip


def _life(n: int, baseline: str, floor: str) -> Measured:
    return Measured(
        "B6",
        Scenario("lives", "stop and make", n, metric="p50", unit="ns", divisor=1.0),
        "actinium",
        floor,
        (baseline,),
        "an actor is stopped, and one with a fresh state made in its place; both acknowledged",
        "supervision on the host",
    )


def cpu() -> list[Measured]:
    """On this processor: two threads are enough for all of them."""
    return [
        _trip("trip@1", 100_000, cuda=False),
        *(
            _rate(f"window@1x{w}", 100_000 if w == 1 else 2_000_000, "queue", _SPEED, "loop")
            for w in (1, 8, 64, 512)
        ),
        _rate("tells@1", 10_000_000, "queue", _FLOOD, "loop"),
        _life(10_000, "thread", "word"),
    ]  # fmt: skip


def cuda(multiprocessors: int) -> list[Measured]:
    """On a GPU."""
    counts = [n for n in (1, 8, 32, 64, 132) if n <= multiprocessors]
    most = counts[-1]
    launches = "launches"
    found = [_trip(f"trip@{n}", 100_000, cuda=True) for n in counts]
    found += [
        _trip(f"loaded@{n}", 20_000, cuda=True, loaded="; the other blocks have 64 waiting")
        for n in (8, most)
    ]
    for blocks in sorted({1, most}):
        for window in (1, 8, 64, 512):
            n = 100_000 if window * blocks < 8 else 4_000_000
            found.append(_rate(f"window@{blocks}x{window}", n, launches, _SPEED, "loop"))
        found.append(
            _rate(
                f"tells@{blocks}", 20_000_000, launches,
                _FLOOD, "loop",
            )
        )  # fmt: skip
    found.append(_life(10_000, "relaunch", "mapped_echo"))
    for name in ("block@32", "block@256", "block@1024", "cluster@2", "cluster@4", "cluster@8",
                 "grid@8", f"grid@{most}"):  # fmt: skip
        found.append(
            Measured(
                "B5",
                Scenario(name, "one barrier", 20_000, metric="p50", unit="ns", divisor=1.0),
                "barrier",
                "empty",
                ("counter",),
                "one barrier for each round of a loop and nothing else, by the device's clock",
                "work between barriers; the loop itself, which is the floor",
            )
        )
    return found
