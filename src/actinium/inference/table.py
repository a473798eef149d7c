"""What stands behind each public name, for one list of deployments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from actinium.errors import ConfigError

from .answering import Answering
from .deployment import Deployment, wants_chain, wrong_fallback
from .replica import Replica

if TYPE_CHECKING:
    from .guard import Chain, Chains

_SERVES = ("new", "loading", "ready")


class Table:
    """Replicas by label (``chat``, ``chat#2``), pools by deployment, and what answers by public
    name. A deployment that ``before`` has just so, and that still serves, keeps its replicas.

    Raises ConfigError where two deployments or aliases share a name, for fallbacks that cannot be,
    and for a continuation that nobody could do.
    """

    def __init__(
        self, deployments: Sequence[Deployment], make: Callable[[Deployment], Replica],
        before: Table | None = None,
    ) -> None:  # fmt: skip
        self.deployments = tuple(deployments)
        self.pools: dict[str, list[Replica]] = {}
        self.names: dict[str, Answering] = {}
        self.chains: Mapping[str, Chain] = {}
        _check_names(deployments)
        wrong = wrong_fallback(deployments)
        if wrong is not None:
            raise ConfigError(wrong[1])
        for deployment in deployments:
            pool = before.kept(deployment) if before is not None else None
            if pool is None:
                pool = [make(one) for one in _each(deployment)]
            self.pools[deployment.name] = pool
            for name in (deployment.name, *deployment.aliases):
                self.names[name] = pool[0]
        for deployment in deployments:
            if deployment.continuation:
                self._check_continuation(deployment)

    def _check_continuation(self, deployment: Deployment) -> None:
        """Refuses a continuation that no chat would ever get."""
        others = [self.names[name] for name in deployment.fallback]
        if deployment.replicas:
            others.insert(0, self.names[deployment.name])
        if any(one.capabilities.prefill for one in others):
            return
        names = ", ".join(repr(one.deployment.name) for one in others)
        raise ConfigError(
            f"deployment {deployment.name!r}: continuation: nobody who would go on ({names}) can "
            "be told the beginning of an answer. Name a deployment of anthropic or onnx as a "
            "fallback; for a server of OpenAI's wire that can be told, write at its deployment "
            'options = { prefill = "continue_final_message" } (vLLM, SGLang) or '
            '{ prefill = "prefix" } '
            "(DeepSeek, Mistral); OpenAI's own API and Gemini cannot: leave continuation out"
        )

    def kept(self, deployment: Deployment) -> list[Replica] | None:
        """The replicas of a deployment that is here already, and serves."""
        pool = self.pools.get(deployment.name)
        if pool is None or deployment not in self.deployments:
            return None
        return pool if all(replica.state in _SERVES for replica in pool) else None

    @property
    def replicas(self) -> dict[str, Replica]:
        """All replicas by their labels."""
        return {
            name if at == 1 else f"{name}#{at}": replica
            for name, pool in self.pools.items()
            for at, replica in enumerate(pool, 1)
        }

    def guard(self, make: Callable[[], Chains], *, always: bool) -> None:
        """Puts chains where deployments have limits or a fallback, or before all of them; where
        none is wanted, nothing of it is loaded."""
        if not always and not any(map(wants_chain, self.deployments)):
            return
        self.chains = make().build(self.deployments, self.pools)
        for name, replica in self.names.items():
            self.names[name] = self.chains.get(replica.deployment.name, replica)


def _check_names(deployments: Iterable[Deployment]) -> None:
    owners: dict[str, str] = {}
    for deployment in deployments:
        for name in (deployment.name, *deployment.aliases):
            if name in owners:
                raise ConfigError(
                    f"deployment {deployment.name!r}: the name {name!r} belongs to "
                    f"deployment {owners[name]!r} already; each name and alias must be unique"
                )
            owners[name] = deployment.name


def _each(deployment: Deployment) -> list[Deployment]:
    """The deployment once for each of its servers."""
    further = [msgspec.structs.replace(deployment, base_url=url) for url in deployment.replicas]
    return [deployment, *further]
