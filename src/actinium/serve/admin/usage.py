"""What was used, summed up as somebody asks for it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Annotated, Final
from urllib.parse import parse_qsl

import msgspec
from msgspec import UNSET, Meta

from actinium.errors import BadRequest
from actinium.inference.limits.accounts import DAY, Line, Totals
from actinium.inference.limits.prices import NANO

from ..openai.errors import bad_body
from .shapes import UsageRow

FIELDS: Final = ("day", "tenant", "key", "deployment")
_BY: Final = r"^(day|tenant|key|deployment)(,(day|tenant|key|deployment)){0,3}$"
_EPOCH: Final = date(1970, 1, 1)


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By which fields to sum, of which days (first and last, both included), tenant, key and
    deployment."""

    by: Annotated[str, Meta(pattern=_BY)] = "tenant,key,deployment"
    since: date | None = None
    until: date | None = None
    tenant: str | None = None
    key: str | None = None
    deployment: str | None = None


def question(query: bytes) -> Question:
    """From ``by=tenant,day&since=2027-01-31``. Raises BadRequest for what is not there."""
    told: dict[str, str] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name in told:
            raise BadRequest(f"{name[:32]} is given twice", name[:32])
        told[name] = value
    try:
        asked = msgspec.convert(told, Question)
    except msgspec.ValidationError as error:
        raise bad_body(error) from None
    fields = asked.by.split(",")
    if len(set(fields)) < len(fields):
        raise BadRequest("by: each field once", "by")
    return asked


def answer(lines: Iterable[tuple[Line, Totals]], asked: Question) -> tuple[UsageRow, ...]:
    """The sums in the order of their fields."""
    by = tuple(asked.by.split(","))
    since, until = _day(asked.since), _day(asked.until)
    sums: dict[tuple[int | str, ...], Totals] = {}
    for line, totals in lines:
        if (since is not None and line.day < since) or (until is not None and line.day > until):
            continue
        if any(
            (want := getattr(asked, name)) is not None and getattr(line, name) != want
            for name in FIELDS[1:]
        ):
            continue
        at = tuple(getattr(line, name) for name in by)
        sums.setdefault(at, Totals()).add(totals)
    return tuple(_row(by, at, totals) for at, totals in sorted(sums.items()))


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


def _day(day: date | None) -> int | None:
    return (day - _EPOCH).days if day is not None else None
