"""What was used, summed up as somebody asks for it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from msgspec import UNSET

from actinium.errors import BadRequest
from actinium.inference.limits.accounts import DAY, Line, Totals
from actinium.inference.limits.prices import NANO

from .shapes import UsageRow

FIELDS: Final = ("day", "tenant", "key", "deployment")
_USUAL: Final[tuple[str, ...]] = ("tenant", "key", "deployment")
_EPOCH: Final = date(1970, 1, 1)


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """By which fields to sum, of which days (first and last, both included), tenant, key and
    deployment."""

    by: tuple[str, ...] = _USUAL
    since: int | None = None
    until: int | None = None
    tenant: str | None = None
    key: str | None = None
    deployment: str | None = None


def question(query: bytes) -> Question:
    """From ``by=tenant,day&since=2027-01-31``. Raises BadRequest for what is not there."""
    told: dict[str, str] = {}
    text = query.decode("latin-1")
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=None):
        if name not in Question.__struct_fields__:
            known = ", ".join(Question.__struct_fields__)
            raise BadRequest(f"there is no {name[:32]!r} here; there are: {known}", name[:32])
        if name in told:
            raise BadRequest(f"{name} is given twice", name)
        told[name] = value
    by = _USUAL
    if "by" in told:
        by = tuple(told["by"].split(","))
        if not set(by) <= set(FIELDS) or len(set(by)) < len(by):
            raise BadRequest(
                f"by: expected some of {', '.join(FIELDS)} with commas, got {told['by'][:64]!r}",
                "by",
            )
    return Question(
        by=by, since=_day(told, "since"), until=_day(told, "until"), tenant=told.get("tenant"),
        key=told.get("key"), deployment=told.get("deployment"),
    )  # fmt: skip


def answer(lines: Iterable[tuple[Line, Totals]], asked: Question) -> tuple[UsageRow, ...]:
    """The sums in the order of their fields."""
    sums: dict[tuple[int | str, ...], Totals] = {}
    for line, totals in lines:
        if not _wanted(line, asked):
            continue
        at = tuple(getattr(line, name) for name in asked.by)
        sums.setdefault(at, Totals()).add(totals)
    return tuple(_row(asked.by, at, totals) for at, totals in sorted(sums.items()))


def _wanted(line: Line, asked: Question) -> bool:
    return (
        (asked.since is None or line.day >= asked.since)
        and (asked.until is None or line.day <= asked.until)
        and all(
            (want := getattr(asked, name)) is None or getattr(line, name) == want
            for name in ("tenant", "key", "deployment")
        )
    )


def _row(by: tuple[str, ...], at: tuple[int | str, ...], totals: Totals) -> UsageRow:
    named = dict(zip(by, at, strict=True))
    day = named.get("day")
    return UsageRow(
        day=datetime.fromtimestamp(int(day) * DAY, UTC).date().isoformat()
        if day is not None
        else UNSET,
        **{name: str(named[name]) if name in named else UNSET for name in FIELDS[1:]},
        requests=totals.requests, input=totals.input, cached=totals.cached, output=totals.output,
        cost_usd=totals.cost / NANO, estimated=totals.estimated,
    )  # fmt: skip


def _day(told: dict[str, str], name: str) -> int | None:
    if name not in told:
        return None
    try:
        return (date.fromisoformat(told[name]) - _EPOCH).days
    except ValueError:
        raise BadRequest(
            f"{name}: expected a day such as 2027-01-31, got {told[name][:32]!r}", name
        ) from None
