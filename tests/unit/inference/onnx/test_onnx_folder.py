"""A model folder is whole or refused with the file or key that is wrong."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from actinium.errors import ConfigError
from actinium.inference.deployment import Deployment
from actinium.inference.runners.onnx import ModelFolder, OnnxOptions, OnnxRunner
from actinium.inference.runners.onnx.folder import EMBEDDED


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EMBEDDED, tmp_path / "model"))


def _edit(path: Path, **changes: object) -> None:
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | changes))


def test_the_embedded_model_is_what_its_config_says() -> None:
    ModelFolder.of("embedded").verify()


@pytest.mark.parametrize(
    "name", ["model.onnx", "config.json", "tokenizer.json", "chat_template.jinja"]
)
def test_a_missing_file_is_named(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(ConfigError, match=f"has no {name}; it must hold config.json, model.onnx"):
        OnnxRunner(Deployment(name="x", model=str(copied)))


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'is not a folder; write "embedded" or the path'):
        ModelFolder.of(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n_layers": "4"}, r"Expected `int`, got `str` - at `\$.n_layers`"),
        ({"n_heads": 0}, "n_heads must be 1 or more, got 0"),
        ({"max_context": 1}, "max_context must be 2 or more, got 1"),
        ({"stop_ids": [99999]}, "token id 99999 is outside 0.."),
    ],
)
def test_a_wrong_key_of_the_config_is_named(
    copied: Path, changes: dict[str, object], said: str
) -> None:
    _edit(copied, **changes)
    with pytest.raises(ConfigError, match=said):
        ModelFolder(copied)


def test_a_config_that_is_not_json_is_refused(copied: Path) -> None:
    (copied / "config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"config\.json: Input data was truncated"):
        ModelFolder(copied)


def test_a_damaged_model_file_is_found(copied: Path) -> None:
    with (copied / "model.onnx").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(ConfigError, match="the file is damaged or belongs to another export"):
        ModelFolder(copied).verify()


def test_a_model_without_a_hash_is_not_checked(copied: Path) -> None:
    _edit(copied, sha256=None)
    ModelFolder(copied).verify()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"slot": 4}, "unknown field `slot`; the onnx runner knows slots, threads"),
        ({"slots": 0}, r"slots must be within 1..256, got 0"),
        ({"threads": 0}, r"threads must be within 1..256, got 0"),
        ({"prefill_chunk": 4}, r"prefill_chunk must be within 16..4096, got 4"),
        ({"context": 1}, r"context must be within 2..1048576, got 1"),
        ({"slots": "4"}, r"Expected `int`, got `str` - at `\$.slots`"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        OnnxOptions.of(options, "x")


def test_a_context_above_the_models_is_refused() -> None:
    with pytest.raises(ConfigError, match="context 1000000 is above the model's"):
        OnnxRunner(Deployment(name="x", options={"context": 1_000_000}))


def test_threads_default_to_half_of_the_cores() -> None:
    assert OnnxOptions(threads=3).thread_count() == 3
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert OnnxOptions().thread_count() == max(1, (cores or 1) // 2)
