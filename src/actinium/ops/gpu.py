"""The figures of GPU actors as measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from actinium.base.measures import Reading, Registry

if TYPE_CHECKING:
    from actinium.gpu import Runtime

_FIGURES: Final[dict[str, tuple[str, str, Literal["counter", "gauge"]]]] = {
    "gpu_actors": ("actors", "Actors on devices.", "gauge"),
    "gpu_ring_depth": ("queued", "Messages in rings that the device has not taken.", "gauge"),
    "gpu_ring_full": ("full", "Messages that found their ring full and waited.", "counter"),
    "gpu_messages_handled": ("handled", "Messages that handlers on devices ended.", "counter"),
    "gpu_messages_bounced": ("bounced", "Messages that devices gave back.", "counter"),
    "gpu_messages_told": ("told", "Messages out of handlers on devices.", "counter"),
    "gpu_faults": ("faults", "Handlers on devices that stopped.", "counter"),
    "gpu_kernel_starts": ("starts", "Starts of resident kernels.", "counter"),
}


def watch_gpu(registry: Registry, runtime: Runtime) -> None:
    """Adds the measures of a runtime's launches; read when somebody looks, so they cost it nothing.

    Their labels are ``launch``, ``program`` and ``backend``. Raises UsageError for a registry that
    has them.
    """

    def view(name: str, figure: str, help: str, kind: Literal["counter", "gauge"]) -> None:
        def read() -> list[Reading]:
            return [
                ((info.name, info.program, info.backend), getattr(info, figure))
                for info in runtime.launches()
            ]

        registry.view(name, help, ("launch", "program", "backend"), read, kind)

    for name, (figure, help, kind) in _FIGURES.items():
        view(name, figure, help, kind)
