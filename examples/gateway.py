"""A gateway inside your own program, asked by the official client (pip install openai)."""

import asyncio

from openai import AsyncOpenAI

import actinium as ac
from actinium.inference import Inference


async def main() -> None:
    inference = Inference([ac.Deployment(name="embedded", aliases=("gpt-4o-mini",))])
    async with ac.Gateway(inference, port=0) as gateway:
        await inference.start()
        async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="none") as client:
            stream = await client.chat.completions.create(
                model="gpt-4o-mini",  # an alias: programs that ask for it need no change
                messages=[{"role": "user", "content": "What is an actor?"}],
                stream=True,
            )
            async for chunk in stream:
                print(chunk.choices[0].delta.content or "", end="", flush=True)
            print()
        await inference.close()


if __name__ == "__main__":
    asyncio.run(main())
