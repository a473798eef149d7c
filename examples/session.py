"""A conversation that the runtime remembers, with the model of the package; no server."""

import asyncio
import sys

import actinium as ac
from actinium.inference import Inference, Message, Request, Sampling
from actinium.inference.session import SessionActors


async def say(inference: Inference, text: str) -> None:
    print("you:  ", text)
    print("model: ", end="")
    message = Message(role="user", content=text)
    request = Request(
        id="1",
        model="embedded",
        messages=(message,),
        session="anna",
        sampling=Sampling(temperature=0.0),
    )
    async for burst in inference.generate(request):
        for chunk in burst:
            print(chunk.text, end="", flush=True)
    print()


async def main(path: str) -> None:
    store = await ac.SqliteStore.open(path)
    async with ac.System(store=store) as system:
        sessions = SessionActors(system)
        inference = Inference([ac.Deployment(name="embedded")], sessions=sessions)
        await inference.start()
        await say(inference, "Hello! My name is Anna.")
        await say(inference, "What is my name?")
        print("stored messages:", len(await sessions.history("anna")))
        await inference.close()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "sessions.db"))
