"""The CUDA executor against a driver of a few numbers: its calls, in order, and what it undoes."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_driver import FakeApi

import actinium as ac
from actinium import gpu
from actinium.errors import (
    CapabilityMissing,
    DeviceLost,
    DoesNotFit,
    LayoutError,
    ToolchainMismatch,
    Unavailable,
    UsageError,
    WouldBlockResident,
)
from actinium.gpu.abi.geometry import Geometry
from actinium.gpu.abi.words import State, Stop
from actinium.gpu.codegen.cache import Cache
from actinium.gpu.executors import cuda
from actinium.gpu.executors.resident import executor_class
from actinium.gpu.hardware.driver import CallFailed, Driver

pytest.importorskip("cuda.bindings.nvrtc", reason="the extra gpu is not installed")
pytestmark = pytest.mark.gpu_compile


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


PROGRAM = gpu.compile(Counter)
BLOCKS = 3


def geometry(**changes: Any) -> Geometry:
    values: dict[str, Any] = {
        "program": 1, "blocks": BLOCKS, "actors": 1, "capacity": 16, "in_bytes": 16,
        "out_bytes": 16, "state_size": 8,
    }  # fmt: skip
    return Geometry(**{**values, **changes})


def _word(region: bytearray, at: int) -> ctypes.c_uint32:
    return ctypes.c_uint32.from_buffer(region, at)


class Api(FakeApi):
    """Whose kernel reports RUNNING in the region it was launched over, as far as ``begins``."""

    def __init__(self, **attributes: int) -> None:
        super().__init__(**attributes)
        self.region = bytearray()
        self.shape = geometry()
        self.begins = BLOCKS
        self.arguments: tuple[int, int] = (0, 0)

    def cuLaunchCooperativeKernel(self, *arguments: Any) -> Any:
        pointers = (ctypes.c_void_p * 2).from_address(arguments[-1])
        values = [ctypes.c_uint64.from_address(int(p)).value for p in pointers if p]
        self.arguments = (values[0], values[1])
        for block in range(self.begins):
            at = self.shape.dev_block(block) + cuda._STATE
            _word(self.region, at).value = State.RUNNING
        return super().cuLaunchCooperativeKernel(*arguments)

    def cuStreamQuery(self, stream: Any) -> Any:
        at = self.shape.offsets["host_line"] + cuda._STOP
        if self.region and _word(self.region, at).value == Stop.NOW:
            self.running = False
        return super().cuStreamQuery(stream)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(Path(tmp_path_factory.mktemp("cubin")))


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    yield api
    assert (not api.memory and not api.registered and not api.modules) or api.running


def made(api: Api, cache: Cache, shape: Geometry | None = None) -> cuda.CudaExecutor:
    shape = shape or geometry()
    api.shape = shape
    api.region = bytearray(shape.size)
    api.region[: len(shape.config)] = shape.config
    return cuda.CudaExecutor(PROGRAM, api.region, -1, shape, driver=Driver(api), cache=cache)


def stop(api: Api) -> None:
    _word(api.region, api.shape.offsets["host_line"] + cuda._STOP).value = Stop.NOW


def test_a_launch_is_prepared_then_made_then_given_back(api: Api, cache: Cache) -> None:
    executor = made(api, cache)
    executor.start()
    launch = api.calls.index("cuLaunchCooperativeKernel")
    before = api.calls[:launch]
    for call in ("cuModuleLoadData", "cuMemAlloc", "cuMemsetD8", "cuMemHostRegister",
                 "cuOccupancyMaxActiveBlocksPerMultiprocessor", "cuCtxSynchronize"):  # fmt: skip
        assert call in before
    (arguments,) = api.launched
    assert arguments[1:4] == (BLOCKS, 1, 1) and arguments[4] > 32
    assert arguments[8] == "stream"
    assert api.arguments[0] in api.registered and api.arguments[1] in api.memory
    assert not executor.ended(0)
    with pytest.raises(Unavailable, match="cannot be ended from outside"):
        executor.force()
    stop(api)
    assert executor.ended(1)
    executor.force()
    assert not api.memory and not api.registered and not api.modules
    del executor
    api.region.clear()  # nobody holds it


def test_gp_1_what_does_not_fit_is_refused_before_the_launch(api: Api, cache: Cache) -> None:
    api.attributes["MULTIPROCESSOR_COUNT"] = 2
    api.per_sm = 1
    executor = made(api, cache)
    with pytest.raises(DoesNotFit, match="a launch of 3 blocks does not fit: 2 can be resident"):
        executor.start()
    assert not api.launched and "cuMemAlloc" not in api.calls


def test_gp_5_nothing_that_waits_is_called_while_it_is_resident(api: Api, cache: Cache) -> None:
    first = made(api, cache)
    first.start()
    resident = len(api.calls)
    first.ended(0.001)
    assert set(api.calls[resident:]) <= {"cuCtxGetCurrent", "cuCtxSetCurrent", "cuStreamQuery"}
    shape = geometry()
    second = cuda.CudaExecutor(
        PROGRAM, bytearray(shape.size), -1, shape, driver=first._driver, cache=cache
    )
    with pytest.raises(WouldBlockResident, match="in another process"):
        second.start()
    stop(api)
    assert first.ended(1)


@pytest.mark.parametrize(
    "call", ["cuModuleLoadData", "cuMemAlloc", "cuMemsetD8", "cuMemHostRegister",
             "cuMemHostGetDevicePointer", "cuStreamCreate", "cuLaunchCooperativeKernel"],
)  # fmt: skip
def test_a_call_that_fails_leaves_nothing_behind(api: Api, cache: Cache, call: str) -> None:
    api.fail[call] = "CUDA_ERROR_OUT_OF_MEMORY"
    executor = made(api, cache)
    with pytest.raises(CallFailed, match=f"{call} answered CUDA_ERROR_OUT_OF_MEMORY"):
        executor.start()
    assert executor._driver.resident == 0
    assert "cuDevicePrimaryCtxRelease" in api.calls


def test_a_kernel_that_breaks_is_a_lost_device(api: Api, cache: Cache) -> None:
    executor = made(api, cache)
    executor.start()
    api.fail["cuStreamQuery"] = "CUDA_ERROR_ILLEGAL_ADDRESS"
    with pytest.raises(DeviceLost, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
        executor.ended(0)
    assert executor.ended(0), "it is over, and says so once"
    assert executor._driver.resident == 0


def test_a_kernel_of_which_a_block_never_begins(
    api: Api, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda, "_START_S", 0.002)
    api.begins = BLOCKS - 1
    executor = made(api, cache)
    with pytest.raises(Unavailable, match="not every block began"):
        executor.start()
    assert executor._driver.resident == 0, "it was told to stop, and did"


def test_a_second_start_is_refused(api: Api, cache: Cache) -> None:
    executor = made(api, cache)
    executor.start()
    with pytest.raises(UsageError, match="started before"):
        executor.start()
    stop(api)
    assert executor.ended(1)


def test_an_old_driver_and_a_small_device_are_refused_by_name(api: Api, cache: Cache) -> None:
    api.version = 12_040
    with pytest.raises(ToolchainMismatch, match=r"CUDA 12\.4"):
        made(api, cache)
    api.version = 13_000
    api.attributes["COOPERATIVE_LAUNCH"] = 0
    with pytest.raises(CapabilityMissing, match="cooperative launch yes, this one has no"):
        made(api, cache)


def test_slots_that_are_too_small_are_refused(api: Api, cache: Cache) -> None:
    @gpu.message(kind=0x0111)
    class Long:
        values: gpu.Array[gpu.i64, 16]

    @gpu.actor(level="block")
    class Keeper:
        total: gpu.i64

        @ac.on
        def keep(self, m: Long) -> None:
            self.total += m.values[0]

    shape = geometry()
    with pytest.raises(LayoutError, match="in_bytes of 136"):
        cuda.CudaExecutor(
            gpu.compile(Keeper), bytearray(shape.size), -1, shape, driver=Driver(api), cache=cache
        )


def test_the_seam_knows_it_and_says_why_it_cannot_run() -> None:
    assert executor_class("cuda") is cuda.CudaExecutor
    missing = cuda.CudaExecutor.missing()
    assert missing is None or all(isinstance(text, str) for text in missing)
