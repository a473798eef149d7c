"""A model on disk: four files of fixed names, checked before anything is loaded."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from actinium.errors import ConfigError

EMBEDDED = Path(__file__).parent / "embedded"
MODEL = "model.onnx"
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
TEMPLATE = "chat_template.jinja"
_FILES = (CONFIG, MODEL, TOKENIZER, TEMPLATE)


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What ``config.json`` says about the graph; further keys are notes and not read.

    ``stop_ids`` end an answer; ``call_id`` opens a tool call (None: the model has none);
    ``sha256`` is that of ``model.onnx`` in hex (None: not checked).
    """

    name: str
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    vocab_size: int
    max_context: int
    bos_id: int
    stop_ids: tuple[int, ...]
    call_id: int | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        for field in ("n_layers", "n_heads", "n_kv_heads", "head_dim", "vocab_size"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be 1 or more, got {getattr(self, field)}")
        if self.max_context < 2:
            raise ValueError(f"max_context must be 2 or more, got {self.max_context}")
        special = (self.bos_id, *self.stop_ids, *(() if self.call_id is None else (self.call_id,)))
        for token in special:
            if not 0 <= token < self.vocab_size:
                raise ValueError(f"token id {token} is outside 0..{self.vocab_size - 1}")


class ModelFolder:
    """The files of one model.

    ``ModelFolder.of(model)`` takes ``"embedded"`` or a path. Raises ConfigError naming the
    missing file, or the key of ``config.json`` that is wrong.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_dir():
            raise ConfigError(
                f'model {str(path)!r} is not a folder; write "embedded" or the path of a folder '
                f"with {', '.join(_FILES)}"
            )
        for name in _FILES:
            if not (path / name).is_file():
                raise ConfigError(
                    f"model folder {str(path)!r} has no {name}; it must hold {', '.join(_FILES)}"
                )
        self.config = self._read_config()

    @classmethod
    def of(cls, model: str) -> ModelFolder:
        """The folder that a deployment's ``model`` names."""
        return cls(EMBEDDED if model == "embedded" else Path(model).expanduser())

    def file(self, name: str) -> Path:
        """The path of one of the folder's files."""
        return self.path / name

    def verify(self) -> None:
        """Compares ``model.onnx`` with the hash in ``config.json``; raises ConfigError."""
        expected = self.config.sha256
        if expected is None:
            return
        with self.file(MODEL).open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != expected:
            raise ConfigError(
                f"{self.file(MODEL)}: its SHA-256 is {found}, {CONFIG} says {expected}; "
                "the file is damaged or belongs to another export: restore both files"
            )

    def _read_config(self) -> ModelConfig:
        path = self.file(CONFIG)
        try:
            return msgspec.json.decode(path.read_bytes(), type=ModelConfig)
        except msgspec.DecodeError as error:
            raise ConfigError(f"{path}: {error}") from error
