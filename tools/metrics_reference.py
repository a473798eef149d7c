"""Writes docs/reference/metrics.md from what the code registers: python tools/metrics_reference.py

A test compares the page with this.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from actinium import System
from actinium.base.measures import Measure, Registry
from actinium.inference import Budget, Deployment, Inference, Price, RateLimits
from actinium.ops import LogSettings, RequestLog, Tracing, TracingSettings, Writer, watch_system
from actinium.serve import Gateway

PAGE: Final = Path(__file__).parents[1] / "docs/reference/metrics.md"

_HEAD: Final = """\
# Reference: measures

`GET /metrics` in Prometheus' text format, or OpenMetrics where the scraper asks for it. Counters
end with `_total`; times are in seconds. Measures of the process (`process_...`) come along. This
page is written by `tools/metrics_reference.py` from what the code registers.

Those of limits, money and fallback (`attempts`, `limiter_...`, `budget_...`, `cost_...`,
`upstream_breaker_...`, `retries`, `fallbacks`) are there once a deployment has any of these;
`traces` and `spans_dropped` with `[tracing]`, `log_records_dropped` with `[log] requests`.

| name | kind | labels | meaning |
|---|---|---|---|
"""

_TAIL: Final = """
Outcomes are `ok`, `cancelled` (the client left), `client` (its fault), `overload`, `timeout`,
`upstream`, `interrupted` (broke off after content) and `internal`; an attempt ends `ok`, `slow`,
`failed`, `cut`, `stalled` or `neutral`. Tokens are counted by `kind`: `input` (with `cached`) and
`output` (with `reasoning`). The deployment `none` stands for requests that name none there is.

## The label budget

A measure has at most 200 series (`Registry(series=...)`). Beyond that, label values nobody has
seen yet become `other`, up to a quarter more; and then everything new is counted as `other`
alone. Sums stay exact, and `actinium_series_folded_total` says of which measure something was
folded. Of gauges that are read from state, the 200 largest are shown.
"""


class _Nowhere:
    dropped = 0

    def put(self, trace: object, spans: object) -> None: ...

    def close(self) -> None: ...

    def write(self, data: bytes) -> None: ...

    def flush(self) -> None: ...


@asynccontextmanager
async def everything() -> AsyncIterator[Registry]:
    """A registry with every measure there is."""
    deployment = Deployment(
        name="m", model="x", runtime="openai", base_url="http://127.0.0.1:9/v1",
        limits=RateLimits(rpm=60), budget=Budget(per_day=1.0), price=Price(input=1.0),
    )  # fmt: skip
    inference = Inference([deployment])
    settings = LogSettings(requests=True)
    writer = Writer(_Nowhere(), lambda number: b"")
    writer.watch(inference.registry)
    tracing = Tracing(TracingSettings(), exporter=_Nowhere())
    Gateway(inference, tracing=tracing, request_log=RequestLog(writer, settings))
    async with System("reference") as system:
        watch_system(inference.registry, system)
        yield inference.registry
    writer.close()


def _row(measure: Measure) -> str:
    name = f"actinium_{measure.name}" + ("_total" if measure.kind == "counter" else "")
    labels = ", ".join(measure.label_names)
    return f"| `{name}` | {measure.kind} | {labels} | {measure.help} |\n"


async def page() -> str:
    """The whole page."""
    async with everything() as registry:
        rows = sorted(_row(measure) for measure in registry)
    return _HEAD + "".join(rows) + _TAIL


if __name__ == "__main__":
    PAGE.write_text(asyncio.run(page()))
    print(f"wrote {PAGE}")
