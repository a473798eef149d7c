"""Runs a decoder model on this machine's CPU with ONNX Runtime.

``OnnxRunner(deployment)`` serves ``model="embedded"`` (the small model inside this package) or
a folder of the same layout: ``model.onnx``, ``config.json``, ``tokenizer.json`` and
``chat_template.jinja``. Requests join and leave one running batch; keys and values stay in
one buffer that the graph reads and writes in place.

Importing this package loads neither onnxruntime nor numpy; :meth:`OnnxRunner.load` does,
and raises :class:`actinium.errors.MissingExtra` where they are not installed.
"""

from __future__ import annotations

from .folder import ModelConfig, ModelFolder
from .options import OnnxOptions
from .runner import OnnxRunner

__all__ = ["ModelConfig", "ModelFolder", "OnnxOptions", "OnnxRunner"]
