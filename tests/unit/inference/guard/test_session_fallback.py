"""A turn of a session whose deployment fails is answered, and stored once."""

from __future__ import annotations

import asyncio

from guard_support import END, Told, request

import actinium as ac
from actinium.errors import ServerError
from actinium.inference import Deployment, Inference
from actinium.inference.session import SessionActors


def test_inf_se_2_a_turn_falls_back_and_is_stored_once() -> None:
    async def main() -> None:
        runners = {"a": Told([ServerError("down")]), "b": Told(["b!", END])}
        async with ac.System(store=ac.MemoryStore()) as system:
            sessions = SessionActors(system)
            deployments = [
                Deployment(name="a", model="gpt-4o", fallback=("b",)),
                Deployment(name="b", model="gpt-4o"),
            ]
            inference = Inference(
                deployments, runner_factory=lambda d: runners[d.name], sessions=sessions
            )
            await inference.start()
            for text in ("one", "two"):
                burst = await inference.complete(request("a", text, session="s"))
                assert burst[0].text == "b!"
            history = [message.text() for message in await sessions.history("s")]
            assert history == ["one", "b!", "two", "b!"]
            assert len(runners["b"].asked[1].messages) == 3
            await inference.close()

    asyncio.run(main())
