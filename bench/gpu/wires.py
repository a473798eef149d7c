"""Torn chunks between this host and a GPU, without a runtime: ``python -m bench.gpu.wires``.

Each block has a ring each way; both sides check every word of every slot. The argument is how many
messages each way (10**9). One line of JSON says how many were exchanged and how many were torn; the
exit status is 0 if none was torn or lost.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
import time
from typing import Any

from actinium.gpu.codegen.cache import Cache
from actinium.gpu.codegen.host import library
from actinium.gpu.codegen.nvrtc import cubin_of
from actinium.gpu.executors.native import loaded
from actinium.gpu.hardware.find import device
from actinium.gpu.selftest import HuntResult, device_hunt_text, host_hunt_text

PATIENCE = 10.0
"""Seconds without a message after which the rest counts as lost."""


def hunt(messages: int, blocks: int = 0, capacity: int = 1024) -> dict[str, Any]:
    """Exchanges ``messages`` each way over all blocks (0: one for each multiprocessor).

    Raises:
        GpuUnavailable: there is no GPU or driver.
    """
    found = device(0)
    driver, caps = found.driver, found.caps
    blocks = blocks or caps.sms
    each = -(-messages // blocks)
    host = loaded(library(host_hunt_text(), True, Cache(), ("-pthread",)))
    host.ac_hunt_bytes.restype = ctypes.c_uint64
    size = host.ac_hunt_bytes(blocks, capacity)
    driver.call("cuCtxSetCurrent", driver.call("cuDevicePrimaryCtxRetain", found.handle))
    made = cubin_of(device_hunt_text("cuda"), caps.architecture, True, None, "ac_resident")
    module = driver.call("cuModuleLoadData", made.data)
    function = driver.call("cuModuleGetFunction", module, b"ac_resident")
    region = int(driver.call("cuMemHostAlloc", size, 3))
    there = int(driver.call("cuMemHostGetDevicePointer", region, 0))
    ctypes.memset(region, 0, size)
    plan = (
        each.to_bytes(8, "little") + blocks.to_bytes(4, "little") + capacity.to_bytes(4, "little")
    )
    ctypes.memmove(region, plan, len(plan))
    stream = driver.call("cuStreamCreate", 1)
    given = (ctypes.c_uint64(there), ctypes.c_uint64(0))
    pointers = (ctypes.c_void_p * 2)(*map(ctypes.addressof, given))
    begun = time.perf_counter()
    driver.call(
        "cuLaunchKernel", function, blocks, 1, 1, 32, 1, 1, 0, stream, ctypes.addressof(pointers), 0
    )
    step = max(1, min(blocks, (os.cpu_count() or 2) - 1))
    results = [HuntResult() for _ in range(step)]
    threads = []
    for i, result in enumerate(results):
        end = (ctypes.c_double(PATIENCE), ctypes.byref(result))
        side = (ctypes.c_void_p(region), i, step, *end)
        threads.append(threading.Thread(target=host.ac_hunt_host, args=side))
        threads[-1].start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begun
    taken = sum(result.taken for result in results)
    lost = each * blocks - taken
    there_torn = 0
    if not lost:  # else the kernel waits for what never comes, and ends with this process
        driver.call("cuStreamSynchronize", stream)
        host.ac_hunt_torn.restype = ctypes.c_uint64
        there_torn = host.ac_hunt_torn(ctypes.c_void_p(region))
    return {
        "device": found.name, "messages": taken, "blocks": blocks, "capacity": capacity,
        "torn_on_device": there_torn, "torn_on_host": sum(result.torn for result in results),
        "lost": lost, "seconds": round(seconds, 3),
    }  # fmt: skip


if __name__ == "__main__":
    said = hunt(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000_000)
    print(json.dumps(said))
    sys.stdout.flush()
    os._exit(0 if said["torn_on_device"] == said["torn_on_host"] == said["lost"] == 0 else 1)
