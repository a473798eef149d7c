"""The tokenizer: byte-level BPE learnt from the dialogue grammar.

Words that begin with a capital letter and digits never carry a leading space. So a name
is the same tokens after a space, a quote or a line start, and copying it into JSON or into
another sentence is copying tokens.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from .render import SPECIAL

_WORDS = (
    r"'(?:s|t|re|ve|m|ll|d)(?!\p{L})"
    r"| I(?!\p{L})"
    r"|\p{Lu}\p{Ll}*"
    r"| ?[\p{Ll}\p{Lo}\p{Lt}\p{Lm}\p{M}]+"
    r"|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+"
    r"|\s+"
)


def train(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Learn merges from texts that contain no special tokens."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[AddedToken(t, special=True, normalized=False) for t in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=3,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
