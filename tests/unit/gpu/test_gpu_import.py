"""What importing the package brings along."""

from __future__ import annotations

import json
import subprocess
import sys


def test_nothing_of_cuda_is_imported() -> None:
    code = "import json, sys, actinium.gpu\nprint(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", code]))
    assert not [
        n for n in loaded if n.split(".")[0] in {"cuda", "numpy", "torch", "cupy", "ctypes"}
    ]


def test_the_intrinsics_are_attributes_and_listed() -> None:
    from actinium import gpu
    from actinium.gpu.intrinsics.table import TABLE

    assert set(TABLE) <= set(dir(gpu)) and len(TABLE) >= 160
    assert all(getattr(gpu, name) is row for name, row in TABLE.items())
