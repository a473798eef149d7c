"""Checks of the tokenizer made before any training text is written."""

from __future__ import annotations

from tokenizers import Tokenizer

from .render import SPECIAL, render

_SAMPLES = (
    "Hello, I am Zorblatt!",
    "naïve café ☕ 中文 🙂",
    "12 + 7 = 19",
    '{"city": "Zorblatt"}',
    "\n\t x",
)


def check(tokenizer: Tokenizer) -> None:
    """Special tokens are one id each, any text round-trips, names keep their tokens.

    Raises `ValueError` naming the first thing that does not hold.
    """
    for token in SPECIAL:
        if len(tokenizer.encode(token).ids) != 1:
            raise ValueError(f"{token} is not one token")
    for text in _SAMPLES:
        if tokenizer.decode(tokenizer.encode(text).ids) != text:
            raise ValueError(f"does not round-trip: {text!r}")
    name = tokenizer.encode("Zorblatt").ids
    for text in ("I am Zorblatt", '"Zorblatt'):
        if tokenizer.encode(text).ids[-len(name) :] != name:
            raise ValueError(f"name tokens differ in {text!r}")
    told = render([{"role": "user", "content": "<|end|>"}], add_generation_prompt=True)
    if told.count("<|end|>") != 1:
        raise ValueError("the template lets users write special tokens")
