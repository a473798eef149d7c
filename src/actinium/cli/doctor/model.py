"""Check of the model that the package ships."""

from __future__ import annotations

from actinium.errors import ConfigError
from actinium.inference.runners.onnx import ModelFolder

from .check import Check


def embedded() -> Check:
    """Its files are there and have the hash they should have."""
    name = "embedded model"
    try:
        folder = ModelFolder.of("embedded")
        folder.verify()
    except ConfigError as error:
        fix = "install again: pip install --force-reinstall actinium"
        return Check(name=name, status="fail", found=str(error), fix=fix)
    size = folder.file("model.onnx").stat().st_size / 1e6
    found = f"{folder.config.name}, {size:.1f} MB, {folder.config.max_context} tokens of context"
    if folder.config.sha256 is None:
        return Check(name=name, status="warn", found=f"{found}; its hash is not known")
    return Check(name=name, status="ok", found=f"{found}, hash right")
