"""What upstreams say about limits: the documented forms, and anything else."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from actinium.inference.limits.headers import Told, read_limits

OPENAI = {
    b"x-ratelimit-limit-requests": b"60",
    b"x-ratelimit-limit-tokens": b"150000",
    b"x-ratelimit-remaining-requests": b"59",
    b"x-ratelimit-remaining-tokens": b"149984",
    b"x-ratelimit-reset-requests": b"1s",
    b"x-ratelimit-reset-tokens": b"6m0s",
}
ANTHROPIC = {
    b"anthropic-ratelimit-requests-limit": b"1000",
    b"anthropic-ratelimit-requests-remaining": b"0",
    b"anthropic-ratelimit-requests-reset": b"2026-03-01T10:00:05Z",
    b"anthropic-ratelimit-input-tokens-limit": b"50000",
    b"anthropic-ratelimit-input-tokens-remaining": b"49000",
    b"anthropic-ratelimit-output-tokens-limit": b"8000",
}


def test_the_documented_headers_of_openai() -> None:
    assert read_limits(OPENAI) == {"rpm": Told(60, 59, 1.0), "tpm": Told(150000, 149984, 360.0)}
    for text, seconds in ((b"12ms", 0.012), (b"1h2m3.5s", 3723.5), (b"17", 17.0), (b"1d", 86400)):
        told = read_limits({**OPENAI, b"x-ratelimit-reset-requests": text})
        assert told["rpm"].reset == seconds


def test_the_documented_headers_of_anthropic() -> None:
    at = datetime(2026, 3, 1, 10, 0, 0, tzinfo=UTC)
    assert read_limits(ANTHROPIC, at) == {
        "rpm": Told(1000, 0, 5.0),
        "input_tpm": Told(50000, 49000, None),
        "output_tpm": Told(8000, None, None),
    }


@given(st.dictionaries(st.sampled_from(sorted(OPENAI | ANTHROPIC)), st.binary(max_size=80)))
def test_whatever_else_they_hold_is_as_if_it_were_not_there(headers: dict[bytes, bytes]) -> None:
    for told in read_limits(headers).values():
        for value in (told.limit, told.remaining):
            assert value is None or 0 <= value < 10**16
        assert told.reset is None or told.reset >= 0
