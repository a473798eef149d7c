"""The replicas of one deployment."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ..limits.affinity import Chooser, blocks_of
from ..replica import Replica
from ..request import EmbedRequest, Request


class Pool:
    """One or several replicas that answer alike.

    Chats go where their beginning is known already, unless that replica is too busy (RO-2: what
    was just sent to a replica counts as its load).
    """

    def __init__(self, replicas: Sequence[Replica], rng: random.Random | None = None) -> None:
        self.replicas = tuple(replicas)
        self.first = self.replicas[0]  # the one to ask for what is equal for all
        self.only = self.first if len(self.replicas) == 1 else None
        self._chooser = Chooser(len(self.replicas), rng)

    @property
    def ready(self) -> bool:
        """Whether one of them serves."""
        return self.first.state == "ready" or any(r.state == "ready" for r in self.replicas)

    @property
    def state(self) -> str:
        """``ready`` when one is, else the first one's."""
        return "ready" if self.ready else self.first.state

    def choose(self, request: Request | EmbedRequest, avoid: Replica | None = None) -> Replica:
        """The replica for a request; ``avoid`` the one that just failed it, where others are."""
        if self.only is not None:
            return self.only
        replicas = self.replicas
        ready = [i for i, r in enumerate(replicas) if r.state == "ready" and r is not avoid]
        if not ready:
            return avoid if avoid is not None else self.first
        blocks: tuple[int, ...] = ()
        if isinstance(request, Request):
            blocks = blocks_of(request.tenant or "", request.messages, request.prompt)
        return replicas[self._chooser.choose(blocks, [r.inflight for r in replicas], ready)]
