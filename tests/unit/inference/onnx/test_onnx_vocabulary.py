"""inf_LR-3: streamed text is the decoding of all tokens at once; UTF-8 is never torn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx_support import folder, tokenizer, vocabulary
from tokenizers import Tokenizer, decoders, models

from actinium.errors import ConfigError
from actinium.inference.runners.onnx.vocabulary import Detokeniser, Vocabulary

TOKENS = st.lists(st.integers(0, tokenizer().get_vocab_size() - 1), max_size=60)
# Single bytes are what tears characters; random ids of a large vocabulary rarely do.
BYTES = st.lists(
    st.sampled_from([i for i, piece in enumerate(vocabulary().pieces) if len(piece) == 1]),
    max_size=60,
)


def _stream(tokens: list[int]) -> list[str]:
    detokeniser = Detokeniser(vocabulary())
    return [*(detokeniser.push(token) for token in tokens), detokeniser.finish()]


@given(st.one_of(TOKENS, BYTES))
def test_inf_lr_3_streamed_text_is_the_full_decode(tokens: list[int]) -> None:
    pieces = _stream(tokens)
    raw = b"".join(vocabulary().pieces[token] for token in tokens)
    assert "".join(pieces) == raw.decode("utf-8", "replace")
    assert "".join(pieces) == tokenizer().decode(tokens, skip_special_tokens=True)


@given(st.text())
def test_inf_lr_3_a_stream_of_real_text_has_no_torn_character(text: str) -> None:
    pieces = _stream(tokenizer().encode(text, add_special_tokens=False).ids)
    if "<|" not in text:
        assert "".join(pieces) == text
    assert "\ufffd" not in "".join(pieces) or "\ufffd" in text


def test_an_unfinished_character_is_held_back_and_replaced_at_the_end() -> None:
    by_piece = {piece: token for token, piece in enumerate(vocabulary().pieces)}
    euro = [by_piece[bytes([byte])] for byte in "€".encode()]
    assert _stream(euro) == ["", "", "€", ""]
    assert _stream(euro[:2]) == ["", "", "\ufffd"]


def test_special_tokens_are_no_text() -> None:
    config = folder().config
    assert all(vocabulary().pieces[token] == b"" for token in (config.bos_id, *config.stop_ids))


def test_another_kind_of_tokenizer_is_refused() -> None:
    other = Tokenizer(models.BPE(vocab={"a": 0}, merges=[]))
    other.decoder = decoders.Metaspace()
    with pytest.raises(ConfigError, match="t: expected a ByteLevel decoder, got Metaspace"):
        Vocabulary(other, 10, "t")


def test_a_vocabulary_larger_than_the_models_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"but config\.json says vocab_size 10"):
        Vocabulary(tokenizer(), 10, "t")
