"""Token ids to bytes and text, for byte-level BPE tokenizers.

Such a tokenizer writes each byte as one printable character (the alphabet of GPT-2,
https://github.com/openai/gpt-2/blob/master/src/encoder.py), so that a token is a known string
of bytes and text can be decoded token by token.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from actinium.errors import ConfigError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def _alphabet() -> dict[str, int]:
    """Character of the byte-level alphabet to its byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    table.update({chr(256 + n): byte for n, byte in enumerate(others)})
    return table


class Vocabulary:
    """``pieces[id]`` is the bytes of a token: empty for special tokens, which are no text.

    ``whole[id]`` is its text where the bytes are complete UTF-8 on their own, else None.
    Raises ConfigError where the tokenizer is not byte-level.
    """

    def __init__(self, tokenizer: Tokenizer, size: int, source: str) -> None:
        described = json.loads(tokenizer.to_str())
        kind = (described.get("decoder") or {}).get("type")
        if kind != "ByteLevel":
            raise ConfigError(f"{source}: expected a ByteLevel decoder, got {kind}")
        if tokenizer.get_vocab_size() > size:
            raise ConfigError(
                f"{source}: {tokenizer.get_vocab_size()} tokens, but config.json says "
                f"vocab_size {size}"
            )
        self.pieces: list[bytes] = [b""] * size
        added = {token["id"]: token for token in described.get("added_tokens", ())}
        alphabet = _alphabet()
        for text, token in tokenizer.get_vocab().items():
            if token in added:
                literal = "" if added[token]["special"] else text
                self.pieces[token] = literal.encode()
            else:
                self.pieces[token] = bytes(alphabet[char] for char in text)
        self.whole: list[str | None] = [_text_of(piece) for piece in self.pieces]
        self._starting: dict[int, list[int]] = {}
        for token, piece in enumerate(self.pieces):
            if piece:
                self._starting.setdefault(piece[0], []).append(token)
        self.longest = max(1, *(len(text.encode()) for text in tokenizer.get_vocab()))

    def starting(self, byte: int) -> Sequence[int]:
        """The tokens whose bytes begin with this one."""
        return self._starting.get(byte, ())

    def text(self, token: int) -> str:
        """A token alone as text; incomplete UTF-8 becomes U+FFFD."""
        return self.pieces[token].decode("utf-8", "replace")


def _text_of(piece: bytes) -> str | None:
    try:
        return piece.decode("utf-8")
    except UnicodeDecodeError:
        return None


class Detokeniser:
    """Text of a growing list of tokens, in constant time per token.

    Bytes of an unfinished character are held back; :meth:`finish` turns what is left into
    U+FFFD. The pieces joined equal the decoding of all tokens at once (inf_LR-3).
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.pending = False

    def push(self, token: int) -> str:
        """The text that this token completes."""
        if not self.pending:
            text = self._vocabulary.whole[token]
            if text is not None:
                return text
        text = self._decoder.decode(self._vocabulary.pieces[token])
        self.pending = self._decoder.getstate()[0] != b""
        return text

    def finish(self) -> str:
        """The rest, after the last token."""
        self.pending = False
        return self._decoder.decode(b"", True)
