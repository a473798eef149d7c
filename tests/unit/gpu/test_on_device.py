"""On a GPU, where there is one: what a driver of a few numbers cannot show."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator

import pytest

import actinium as ac
from actinium import gpu
from actinium.errors import ActiniumError, DoesNotFit, WouldBlockResident
from actinium.gpu.abi.geometry import Geometry
from actinium.gpu.abi.region import Region
from actinium.gpu.abi.words import State, Stop
from actinium.gpu.executors.cuda import CudaExecutor

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(CudaExecutor.missing() is not None, reason=str(CudaExecutor.missing())),
]


@gpu.message(kind=0x0110)
class Add:
    amount: gpu.i64


@gpu.actor(level="block")
class Counter:
    total: gpu.i64

    @ac.on
    def add(self, m: Add) -> gpu.i64:
        self.total += m.amount
        return self.total


def shape(blocks: int, **changes: int) -> Geometry:
    values = {"program": 1, "blocks": blocks, "actors": 1, "capacity": 64, "in_bytes": 16,
              "out_bytes": 32, "state_size": 8}  # fmt: skip
    return Geometry(**{**values, **changes})


@pytest.fixture
def launched() -> Iterator[tuple[Region, CudaExecutor]]:
    region = Region.make(shape(2))
    executor = CudaExecutor(gpu.compile(Counter), region.map, region.fd, region.geometry)
    executor.start()
    yield region, executor
    region.host["stop"] = Stop.NOW
    assert executor.ended(10)


def test_cuda_blocks_run_and_end(launched: tuple[Region, CudaExecutor]) -> None:
    region, executor = launched
    assert [block["state"] for block in region.dev_blocks] == [State.RUNNING] * 2
    assert not executor.ended(0)
    region.host["stop"] = Stop.NOW
    assert executor.ended(5)
    assert [block["state"] for block in region.dev_blocks] == [State.ENDED] * 2


def test_cuda_gp_1_one_block_more_than_fits_is_refused() -> None:
    geometry = shape(1)
    fd = os.memfd_create("test")
    os.ftruncate(fd, geometry.size)
    executor = CudaExecutor(gpu.compile(Counter), mmap.mmap(fd, geometry.size), fd, geometry)
    most = executor.device.caps.sms * executor.device.caps.blocks_per_sm
    large = Region.make(shape(most + 1, capacity=16))
    with pytest.raises(DoesNotFit):
        CudaExecutor(gpu.compile(Counter), large.map, large.fd, large.geometry).start()


def test_cuda_gp_3_a_kernel_without_a_host_ends_within_its_lease() -> None:
    region = Region.make(shape(1, orphan_ns=200_000_000))
    executor = CudaExecutor(gpu.compile(Counter), region.map, region.fd, region.geometry)
    executor.start()  # nobody beats
    assert executor.ended(3)
    assert region.dev_blocks[0]["state"] == State.ORPHANED


def test_cuda_gp_5_a_second_launch_of_the_process_is_refused(
    launched: tuple[Region, CudaExecutor],
) -> None:
    other = Region.make(shape(1))
    second = CudaExecutor(gpu.compile(Counter), other.map, other.fd, other.geometry)
    with pytest.raises(WouldBlockResident):
        second.start()


def test_cuda_restarts_leave_nothing_behind() -> None:
    for _ in range(20):
        region = Region.make(shape(1))
        executor = CudaExecutor(gpu.compile(Counter), region.map, region.fd, region.geometry)
        executor.start()
        region.host["stop"] = Stop.NOW
        assert executor.ended(5)
    with pytest.raises(ActiniumError, match="started before"):
        executor.start()
