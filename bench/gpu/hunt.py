"""A hunt for torn, lost and doubled messages through the rings of a resident kernel.

``python -m bench.gpu.hunt``: every word of every message and of every reply follows from the
message's number; the actor checks the one, the host the other.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
import time
from typing import Literal

import actinium as ac
from actinium import gpu
from actinium.gpu.abi.geometry import Geometry
from bench.gpu.launch import launched

WORDS, BACK = 24, 12


@gpu.function
def word(n: gpu.u32, k: gpu.u32) -> gpu.u32:
    """The word that stands at place ``k`` of message ``n``."""
    x = n * 0x9E3779B1 + k * 0x85EBCA77
    x = (x ^ (x >> 15)) * 0x2C1B3C6D
    return x ^ (x >> 12)


@gpu.message(kind=0x0111)
class Seen:
    """Three lines of a slot."""

    number: gpu.u32
    words: gpu.Array[gpu.u32, Literal[24]]


@gpu.state
class Back:
    """Two lines of a slot. ``wrong`` counts words of the message that were not as they should."""

    number: gpu.u32
    wrong: gpu.u32
    w0: gpu.u32
    w1: gpu.u32
    w2: gpu.u32
    w3: gpu.u32
    w4: gpu.u32
    w5: gpu.u32
    w6: gpu.u32
    w7: gpu.u32
    w8: gpu.u32
    w9: gpu.u32
    w10: gpu.u32
    w11: gpu.u32


@gpu.actor(level="block")
class Hunter:
    """Looks at each word."""

    last: gpu.u32

    @ac.on
    def seen(self, m: Seen) -> Back:
        wrong = gpu.u32(0)
        for i in gpu.prange(WORDS):
            k = gpu.u32(i)
            wrong += gpu.u32(m.words[i] != word(m.number, k + 1))
        bad = gpu.reduce_add(wrong)
        bad += gpu.u32(m.number != self.last + 1)
        self.last = m.number
        n = m.number
        return Back(
            n, bad, word(n, 100), word(n, 101), word(n, 102), word(n, 103), word(n, 104),
            word(n, 105), word(n, 106), word(n, 107), word(n, 108), word(n, 109), word(n, 110),
            word(n, 111),
        )  # fmt: skip


def hunt(backend: str, messages: int, blocks: int) -> dict[str, float]:
    """How many messages were answered, how many were wrong, and the seconds that it took."""
    program = gpu.compile(Hunter)
    shape = Geometry(
        program=1, blocks=blocks, actors=1, capacity=1024, in_bytes=4 * (WORDS + 1) + 8,
        out_bytes=4 * (WORDS + 1) + 8, state_size=4, budget=program.max_steps,
    )  # fmt: skip
    wrong = ctypes.c_uint64(0)
    start = time.monotonic()
    with launched(backend, blocks, shape, Hunter) as (code, host):
        answered = code.bench_hunt(host, ctypes.c_uint64(messages), ctypes.byref(wrong))
    return {
        "messages": messages,
        "answered": answered,
        "wrong": wrong.value,
        "blocks": blocks,
        "seconds": round(time.monotonic() - start, 1),
    }


def main() -> int:
    """0 if every message was answered once, whole and in order."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu.hunt", description=__doc__)
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--messages", type=int, default=1_000_000_000)
    parser.add_argument("--blocks", type=int, default=8)
    given = parser.parse_args()
    found = hunt(given.backend, given.messages, given.blocks)
    sys.stdout.write(json.dumps(found) + "\n")
    return 0 if found["answered"] == found["messages"] and found["wrong"] == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
