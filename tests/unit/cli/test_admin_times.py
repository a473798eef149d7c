"""Times as people write them on the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from actinium.cli.admin.keys import end_of, span
from actinium.cli.failures import USAGE, CommandFailed

NOW = datetime(2027, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90s", 90), ("15m", 900), ("24h", 86_400), ("30d", 2_592_000), ("2w", 1_209_600)],
)
def test_spans(text: str, seconds: float) -> None:
    assert span(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "1y", "-1d", "1.5h", "one day"])
def test_what_is_no_span_is_told(text: str) -> None:
    with pytest.raises(CommandFailed, match="expected a time such as 24h or 30d") as caught:
        span(text)
    assert caught.value.code == USAGE


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("1d", datetime(2027, 2, 1, 12, tzinfo=UTC)),
        ("2027-12-31", datetime(2027, 12, 31, tzinfo=UTC)),
        ("2027-12-31T10:00:00Z", datetime(2027, 12, 31, 10, tzinfo=UTC)),
        ("2027-12-31T10:00:00+02:00",
         datetime(2027, 12, 31, 10, tzinfo=timezone(timedelta(hours=2)))),
    ],
)  # fmt: skip
def test_ends(text: str, end: datetime) -> None:
    assert end_of(text, NOW) == end
