"""What must not be written down is taken out of texts."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actinium.base.secret import Secret, hidden
from actinium.ops import Redactor

CANARY = "c4n4ry-0123456789-zzz"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {CANARY}",
        f"authorization: {CANARY}",
        f"{{'Authorization': 'Bearer {CANARY}'}}",
        f'{{"api_key": "{CANARY}"}}',
        f'"{{\\"api_key\\": \\"{CANARY}\\"}}"',
        f"https://host/v1?api_key={CANARY}&x=1",
        f"x-api-key: {CANARY}",
        f"headers={{b'x-api-key': b'{CANARY}'}}",
        f"password = {CANARY}",
        f"set-cookie: {CANARY}; path=/",
        f"token={CANARY}",
        f"sent with basic {CANARY}==",
        f"Incorrect key provided: sk-{CANARY}",
        f"the key ac_{CANARY} is wrong",
        f"AIza{CANARY}",
    ],
)
def test_secrets_by_their_place_or_form(text: str) -> None:
    shown = Redactor()(text)
    assert CANARY not in shown and "***" in shown


def test_the_rest_stays() -> None:
    text = "request chatcmpl-0123456789abcdef took 3 tokens: 5 in, 7 out at http://10.0.0.1:80/v1"
    assert Redactor()(text) == text


def test_values_of_living_secrets_wherever_they_stand() -> None:
    secret = Secret("blue.elephant/7")
    assert Redactor()("so blue.elephant/7 it is") == "so *** it is"
    del secret
    assert hidden("so blue.elephant/7 it is") == "so blue.elephant/7 it is"


def test_equal_secrets_hide_as_long_as_one_lives() -> None:
    first, second = Secret("equal-value"), Secret("equal-value")
    del first
    assert hidden("equal-value") == "***"
    del second


def test_patterns_of_ones_own() -> None:
    assert Redactor([r"\d{4}-\d{4}"])("card 1234-5678") == "card ***"
    with pytest.raises(re.error):
        Redactor(["("])


@given(
    st.text(max_size=40),
    st.text(max_size=40),
    st.sampled_from(["api_key=", "token: ", "password="]),
)
def test_a_named_secret_is_hidden_in_any_text(before: str, after: str, name: str) -> None:
    shown = Redactor()(f"{before} {name}{CANARY} {after}")
    assert CANARY not in shown


def test_a_secret_that_begins_with_another_is_hidden_whole() -> None:
    short, long = Secret("elephant-1"), Secret("elephant-1-and-more")
    assert hidden(f"{long.reveal()} {short.reveal()}") == "*** ***"
