"""What a device can do, and every gate, against a driver of a few numbers."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from fake_driver import FakeApi

from actinium.errors import (
    CapabilityMissing,
    DeviceLost,
    DoesNotFit,
    GpuUnavailable,
    ToolchainMismatch,
    UsageError,
    WouldBlockResident,
)
from actinium.gpu.hardware import caps
from actinium.gpu.hardware.driver import RETURNS, CallFailed, Driver
from actinium.gpu.hardware.find import Device, device
from actinium.gpu.hardware.occupancy import check_fits, limiting, most_blocks


def fake(**attributes: int) -> tuple[Device, FakeApi]:
    api = FakeApi(**attributes)
    return device(0, Driver(api)), api


def test_the_facts_are_the_drivers() -> None:
    found, _ = fake()
    assert found.name == "Test device" and found.cuda == (13, 0)
    assert found.caps.capability == (9, 0) and found.caps.sms == 132
    assert found.caps.memory_bytes == 141 << 30
    assert found.caps.cooperative_launch and not found.caps.time_limit


@pytest.mark.parametrize(
    ("capability", "architecture"),
    [((8, 0), "sm_80"), ((8, 9), "sm_89"), ((9, 0), "sm_90a"), ((10, 0), "sm_100a")],
)
def test_the_architecture_follows_from_the_capability(
    capability: tuple[int, int], architecture: str
) -> None:
    major, minor = capability
    found, _ = fake(COMPUTE_CAPABILITY_MAJOR=major, COMPUTE_CAPABILITY_MINOR=minor)
    assert found.caps.architecture == architecture


def _cases() -> list[tuple[str, str, dict[str, int], dict[str, int]]]:
    """(feature, fact, attributes just below, attributes at the limit)."""
    cases = []
    for feature, needs in caps.NEEDS.items():
        for fact, least in needs.items():
            if fact == "capability":
                below = {"COMPUTE_CAPABILITY_MAJOR": least[0] - 1, "COMPUTE_CAPABILITY_MINOR": 9}
                at = {"COMPUTE_CAPABILITY_MAJOR": least[0], "COMPUTE_CAPABILITY_MINOR": least[1]}
            else:
                below, at = (
                    {caps._ATTRIBUTES[fact]: int(not least)},
                    {caps._ATTRIBUTES[fact]: int(least)},
                )
            cases.append((feature, fact, below, at))
    return cases


@pytest.mark.parametrize(("feature", "fact", "below", "at"), _cases())
def test_a_gate_refuses_below_its_limit_and_passes_at_it(
    feature: str, fact: str, below: dict[str, int], at: dict[str, int]
) -> None:
    fake(**at)[0].caps.require(feature)
    with pytest.raises(CapabilityMissing) as refused:
        fake(**below)[0].caps.require(feature)
    assert refused.value.feature == feature and refused.value.fact == fact.replace("_", " ")


def test_a_gate_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="feature must be one of resident actors, "):
        fake()[0].caps.require("telepathy")


def test_no_gate_looks_at_a_name() -> None:
    assert all("name" not in needs for needs in caps.NEEDS.values())


def test_a_newer_nvrtc_than_the_driver_is_refused() -> None:
    found, api = fake()
    found.check_toolchain((13, 0))
    found.check_toolchain((12, 9))
    api.version = 12_080
    with pytest.raises(
        ToolchainMismatch,
        match=r"CUDA 13\.0, and its code may not load with a driver of CUDA 12\.8",
    ):
        device(0, Driver(api)).check_toolchain((13, 0))


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(GpuUnavailable, match="there is no GPU 1, the driver sees 1"):
        device(1, Driver(FakeApi()))


@pytest.mark.parametrize(
    ("code", "error", "text"),
    [
        ("CUDA_ERROR_NO_DEVICE", GpuUnavailable, "the driver sees no GPU; look at CUDA_VISIBLE"),
        ("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", GpuUnavailable, "two versions; restart"),
        ("CUDA_ERROR_DEVICES_UNAVAILABLE", GpuUnavailable, "another process holds the GPU"),
        ("CUDA_ERROR_ILLEGAL_ADDRESS", DeviceLost, "context and all state on the device are gone"),
        ("CUDA_ERROR_ECC_UNCORRECTABLE", DeviceLost, "cuInit answered CUDA_ERROR_ECC"),
        ("CUDA_ERROR_INVALID_VALUE", CallFailed, "cuInit answered CUDA_ERROR_INVALID_VALUE"),
    ],
)
def test_errors_of_the_driver_have_a_class_and_a_reason(
    code: str, error: type[Exception], text: str
) -> None:
    api = FakeApi()
    api.fail["cuInit"] = code
    with pytest.raises(error, match=text):
        Driver(api).call("cuInit", 0)


def test_a_missing_library_is_said() -> None:
    class Nothing:
        def cuInit(self, flags: int) -> Any:
            raise RuntimeError("Failed to dlopen libcuda.so.1")

    with pytest.raises(GpuUnavailable, match=r"libcuda\.so\.1; install or update the NVIDIA"):
        Driver(Nothing()).call("cuInit", 0)


FORBIDDEN = (
    "cuMemAlloc", "cuMemFree", "cuMemHostAlloc", "cuMemFreeHost", "cuMemHostRegister",
    "cuMemHostUnregister", "cuCtxSynchronize", "cuStreamSynchronize", "cuEventSynchronize",
    "cuModuleLoadData", "cuModuleUnload", "cuMemcpyHtoD", "cuMemcpyDtoH", "cuMemsetD8",
    "cuStreamDestroy", "cuDevicePrimaryCtxRelease", "cuLaunchKernel", "cuModuleGetFunction",
)  # fmt: skip


@pytest.mark.parametrize("name", FORBIDDEN)
def test_gp_5_a_call_that_may_wait_is_refused_while_a_kernel_is_resident(name: str) -> None:
    api = FakeApi()
    driver = Driver(api)
    driver.enters()
    with pytest.raises(WouldBlockResident, match=f"{name} may wait"):
        driver.call(name)
    assert api.calls == []
    driver.leaves()
    assert driver.resident == 0


def test_gp_5_what_only_looks_is_let_through() -> None:
    found, _ = fake()
    found.driver.enters()
    assert device(0, found.driver).caps == found.caps
    with found.driver.in_context("context"):
        assert most_blocks(found, "f", 256, 0) == 528
    assert not RETURNS & set(FORBIDDEN)


def test_gp_1_one_block_more_than_fits_is_refused() -> None:
    found, api = fake()
    check_fits(found, "f", 528, 256, 0)
    with pytest.raises(DoesNotFit) as refused:
        check_fits(found, "f", 529, 256, 0)
    assert (refused.value.requested, refused.value.most) == (529, 528)
    assert not api.launched


@pytest.mark.parametrize(
    ("registers", "static", "shared", "threads", "what"),
    [
        (255, 0, 0, 256, "registers (255 for each of 256 threads)"),
        (16, 1024, 100_000, 32, "shared memory (102,048 bytes for each block)"),
        (16, 0, 0, 1024, "threads (1024 for each block)"),
        (16, 0, 0, 32, "blocks for each multiprocessor (32)"),
    ],
)
def test_what_limits_is_named(
    registers: int, static: int, shared: int, threads: int, what: str
) -> None:
    found, api = fake()
    api.registers, api.static_shared = registers, static
    assert limiting(found, "f", threads, shared) == what


def test_nothing_of_cuda_is_imported_before_a_device_is_asked_for() -> None:
    text = (
        "import sys\nfrom actinium import gpu\nimport actinium.gpu.hardware.find\n"
        "print(any(name.split('.')[0] == 'cuda' for name in sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
