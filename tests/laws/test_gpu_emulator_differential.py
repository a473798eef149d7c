"""TR-1: oracle, CPU and the CUDA text of the resident kernel on fibers give the same bits."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import pytest
from gpu_programs import Maker, define, outcome, same

from actinium import gpu
from actinium.gpu.abi.words import Command, Flag
from actinium.gpu.codegen.cache import Cache
from actinium.gpu.executors.emulator import Emulation, Outcome

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "gpu"))

from gpu_host import Host, Slot
from test_levels_random import Maker as BlockMaker

ACTORS = 64


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(Path(tmp_path_factory.mktemp("differential")))


def asked(host: Host, kernel: Emulation, messages: list[tuple[int, int, Any]]) -> dict[int, Slot]:
    """Sends (actor, generation, message or command); the answers by the number of what was sent."""
    found: dict[int, Slot] = {}
    sent = 0
    for _ in range(200_000):
        while sent < len(messages):
            index, generation, message = messages[sent]
            if isinstance(message, Command):
                ok = host.command(message, index, generation, sent + 1)
            else:
                ok = host.send(index, message, sent + 1, generation)
            if not ok:
                break
            sent += 1
        host.beat()
        assert kernel.step(20_000) is Outcome.RUNS, kernel.dump()
        for slot in host.take_all():
            if not slot.flags & Flag.BOUNCED:  # after a fault: the message itself
                found[slot.corr] = slot
        if len(found) == len(messages):
            return found
    raise AssertionError(kernel.dump())


def answer(host: Host, slot: Slot) -> Any:
    if slot.flags & Flag.ERROR:
        fault, _, line = host.program.sites[slot.fault - 1]
        return ("fault", fault, line)
    return host.reply(slot)


def compare(seed: int, cache: Cache, handlers: int = 3) -> int:
    """64 threads, each an actor with a state and a message of its own; (messages compared)."""
    maker = Maker(seed, handlers)
    source = maker.source()
    scope = define(source)
    program = gpu.compile(scope["Made"])
    native, oracle = gpu.NativeActor(program, cache), gpu.OracleActor(program)
    host = Host(program, warps=2, actors=ACTORS, capacity=128)
    kernel = Emulation(program, host.region, host.geometry, seed=seed + 1, warps=2, cache=cache)
    record = program.spec.state  # type: ignore[union-attr]
    done = 0
    for turn in range(handlers):
        states = [maker.state() for _ in range(ACTORS)]
        given = maker.messages[turn]
        messages = [
            scope[f"M{turn}"](**{n: maker.value(t) for n, t in given.items()})
            for _ in range(ACTORS)
        ]
        for i, state in enumerate(states):
            at = host.geometry.init(i)
            host.region[at : at + record.size] = record.pack(state)
        begin = Command.RESET if turn else Command.SPAWN
        asked(host, kernel, [(i, turn, begin) for i in range(ACTORS)])
        found = asked(host, kernel, [(i, turn, messages[i]) for i in range(ACTORS)])
        for i in range(ACTORS):
            native.state = oracle.state = states[i]
            want = outcome(oracle, messages[i])
            where = f"seed {seed}, h{turn}, {messages[i]}, {states[i]}\n{source}"
            assert same(outcome(native, messages[i]), want), where
            got = answer(host, found[i + 1])
            assert same(got, want), f"emulator {got}, oracle {want}; {where}"
            after = record.unpack(kernel.state(i))
            assert same(after, oracle.state), f"emulator {after}, oracle {oracle.state}; {where}"
            done += 1
    kernel.close()
    return done


def compare_block(seed: int, cache: Cache) -> None:
    """64 threads that run one handler together, under several schedules."""
    source = BlockMaker(seed).source(4)
    scope = define(source)
    program = gpu.compile(scope["Made"])
    draw = random.Random(seed)
    messages = [
        scope[f"M{i % 4}"](draw.choice((0, 1, 7, 12)), draw.randint(-5, 50)) for i in range(12)
    ]
    oracle = gpu.OracleActor(program)
    want = [oracle.handle(message) for message in messages]
    for schedule in (0, 1, 2, 3):
        host = Host(program, warps=2, actors=1)
        kernel = Emulation(program, host.region, host.geometry, seed=schedule, warps=2, cache=cache)
        found = asked(host, kernel, [(0, 0, Command.SPAWN), *((0, 0, m) for m in messages)])
        got = [answer(host, found[i + 2]) for i in range(len(messages))]
        assert got == want, f"seed {seed}, schedule {schedule}:\n{source}"
        after = program.spec.state.unpack(kernel.state(0))  # type: ignore[union-attr]
        assert after == oracle.state, f"seed {seed}, schedule {schedule}:\n{source}"
        kernel.close()


def test_tr_1_sixty_four_threads_agree_with_oracle_and_cpu(cache: Cache) -> None:
    assert compare(1, cache, handlers=2) == 2 * ACTORS


def test_tr_1_a_block_of_64_threads_agrees_under_every_schedule(cache: Cache) -> None:
    compare_block(0, cache)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(2, 14))
def test_tr_1_many_programs_agree(cache: Cache, seed: int) -> None:
    compare(seed, cache, handlers=4)
    compare_block(seed, cache)
