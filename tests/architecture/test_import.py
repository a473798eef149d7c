"""What importing the package costs, and what a use of one part may bring along."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "aiohttp",
    "fastapi",
    "google",
    "grpc",
    "httptools",
    "httpx",
    "jinja2",
    "litellm",
    "numpy",
    "onnxruntime",
    "openai",
    "prometheus_client",
    "pydantic",
    "rich",
    "tokenizers",
    "torch",
    "transformers",
    "typer",
    "uvloop",
}


def _loaded_by(statement: str) -> list[str]:
    code = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    return list(json.loads(subprocess.check_output([sys.executable, "-c", code])))


def test_import_actinium_loads_fewer_than_10_of_its_modules() -> None:
    own = [name for name in _loaded_by("import actinium") if name.split(".")[0] == "actinium"]
    assert len(own) < 10, own


@pytest.mark.parametrize(
    "statement",
    [
        "import actinium",
        "import actinium; [getattr(actinium, name) for name in actinium.__all__]",
        "import actinium.store",
        "import actinium.inference.request, actinium.inference.runner",
    ],
)
def test_no_heavy_module_is_imported_before_its_use(statement: str) -> None:
    loaded = {name.split(".")[0] for name in _loaded_by(statement)}
    assert loaded & HEAVY == set()
