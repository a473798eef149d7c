"""A language model whose tokens are chosen by an actor on a device: temperature, top-k, top-p.

The actor keeps the weights of one step in its state and finds the cut by halving the bits of a
weight: 31 rounds, whatever the distribution. The number between 0 and 1 that decides comes with the
message, from the generator that the request's seed started, so a seed gives the same text again.
"""

import asyncio
import math
from collections.abc import Sequence
from typing import Any, Literal

import actinium as ac
from actinium import gpu
from actinium.inference import Inference, Message, Request, Sampling
from actinium.inference.runners.onnx import OnnxRunner
from actinium.inference.runners.onnx.sampling import Row, adjusted

TOKENS, GROUP = 1536, 32  # of the embedded model's vocabulary, and of a running sum
GROUPS = TOKENS // GROUP


@gpu.message(kind=0x0130)
class Draw:
    heat: gpu.f32
    top_k: gpu.i32
    top_p: gpu.f32
    chance: gpu.f32
    logits: gpu.Array[gpu.f32, Literal[1536]]


@gpu.message(kind=0x0131)
class Count:
    start: gpu.i64 = 0  # what to count from


@gpu.actor(level="block")
class TokenSampler:
    drawn: gpu.i64
    weights: gpu.Array[gpu.f32, Literal[1536]]
    sums: gpu.Array[gpu.f32, Literal[48]]

    def heaviest(self, cut: gpu.f32) -> gpu.i32:
        """How many tokens weigh at least ``cut``."""
        n = gpu.i32(0)
        for i in gpu.prange(TOKENS):
            n += gpu.i32(self.weights[i] >= cut)
        return gpu.reduce_add(n)

    def mass(self, cut: gpu.f32) -> gpu.f32:
        """What they weigh together."""
        total = gpu.f32(0.0)
        for i in gpu.prange(TOKENS):
            total += self.weights[i] if self.weights[i] >= cut else 0.0
        return gpu.reduce_add(total)

    @ac.on
    def draw(self, m: Draw) -> gpu.i32:
        top = m.logits[0]
        for i in gpu.prange(TOKENS):
            top = max(top, m.logits[i])
        top = gpu.reduce_max(top)
        for i in gpu.prange(TOKENS):
            self.weights[i] = math.exp((m.logits[i] - top) / m.heat)

        # Weights are from 0 to 1, and floats from 0 up are ordered as their bits are.
        cut = gpu.u32(0)
        if m.top_k < TOKENS:
            for bit in range(30):
                tried = cut | (gpu.u32(1) << gpu.u32(29 - bit))
                if self.heaviest(gpu.f32_from_bits(tried)) >= m.top_k:
                    cut = tried
        if m.top_p < 1.0:
            wanted = m.top_p * self.mass(gpu.f32_from_bits(cut))
            inner = gpu.u32(0)
            for bit in range(30):
                tried = inner | (gpu.u32(1) << gpu.u32(29 - bit))
                if self.mass(gpu.f32_from_bits(max(tried, cut))) >= wanted:
                    inner = tried
            cut = max(inner, cut)
        least = gpu.f32_from_bits(cut)

        for g in gpu.prange(GROUPS):
            total = gpu.f32(0.0)
            for i in range(GROUP):
                weight = self.weights[g * GROUP + i]
                total += weight if weight >= least else 0.0
            self.sums[g] = total
        whole = gpu.f32(0.0)
        for g in range(GROUPS):
            whole += self.sums[g]
        target = m.chance * whole
        passed, group = gpu.f32(0.0), gpu.i64(0)
        for g in range(GROUPS):
            group = g
            if passed + self.sums[g] > target:
                break
            passed += self.sums[g]
        chosen = gpu.i64(-1)
        for i in range(GROUP):
            weight = self.weights[group * GROUP + i]
            if weight >= least and weight > 0.0:
                chosen = group * GROUP + i
                passed += weight
                if passed > target:
                    break
        assert chosen >= 0
        self.drawn += 1
        return gpu.i32(chosen)

    @ac.on
    def count(self, m: Count) -> gpu.i64:
        return self.drawn - m.start


class OnDevice:
    """Chooses the runner's tokens by asking the actor; the runner's thread calls it."""

    def __init__(self, ref: Any) -> None:
        self.ref = ref

    def __call__(self, logits: Any, rows: Sequence[Row]) -> list[int]:
        adjusted(logits, rows)
        tokens = []
        for values, row in zip(logits.tolist(), rows, strict=True):
            plan = row.plan
            message = Draw(row.heat, plan.top_k or TOKENS, plan.top_p, row.draw(), tuple(values))
            tokens.append(self.ref.ask_sync(message))
            row.took(tokens[-1])
        return tokens


async def say(inference: Inference, text: str) -> str:
    message = Message(role="user", content=text)
    request = Request(
        id="1",
        model="embedded",
        messages=(message,),
        sampling=Sampling(temperature=0.5, top_k=20, top_p=0.9, seed=11, max_tokens=16),
    )
    return "".join([c.text async for burst in inference.generate(request) for c in burst])


async def main() -> None:
    async with ac.System() as system:
        runtime = gpu.Runtime(system)
        (sampler,) = await runtime.launch(TokenSampler, inbox=16)
        inference = Inference(
            [ac.Deployment(name="embedded")],
            runner_factory=lambda deployment: OnnxRunner(deployment, OnDevice(sampler)),
        )
        await inference.start()
        first = await say(inference, "Hello! What is your name?")
        print("model:", first)
        print("the same again:", await say(inference, "Hello! What is your name?") == first)
        print("tokens chosen by the actor:", (await sampler.ask(Count(), timeout=5)) > 4)
        await inference.close()
        await runtime.close()


if __name__ == "__main__":
    asyncio.run(main())
