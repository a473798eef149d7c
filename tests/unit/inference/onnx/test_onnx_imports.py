"""inf_LR-1: naming the runner loads no engine module."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("jinja2", "numpy", "onnxruntime", "tokenizers")


def _python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_inf_lr_1_the_import_loads_no_heavy_module() -> None:
    loaded = _python(
        "import sys, actinium.inference.runners.onnx as o\n"
        "from actinium.inference.deployment import Deployment\n"
        "o.OnnxRunner(Deployment(name='x')).capabilities()\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    assert loaded == "[]"


@pytest.mark.parametrize("missing", HEAVY)
def test_a_missing_dependency_names_the_extra(missing: str) -> None:
    said = _python(
        "import sys, asyncio\n"
        f"sys.modules[{missing!r}] = None\n"
        "from actinium.errors import MissingExtra\n"
        "from actinium.inference.deployment import Deployment\n"
        "from actinium.inference.runners.onnx import OnnxRunner\n"
        "try:\n"
        "    asyncio.run(OnnxRunner(Deployment(name='x')).load())\n"
        "except MissingExtra as error:\n"
        "    print(error)\n"
    )
    assert said == 'the onnx runner needs an extra: pip install "actinium[embedded]"'
