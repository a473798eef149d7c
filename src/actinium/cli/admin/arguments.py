"""The options of the commands that talk to a running gateway."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

TOKEN_VARIABLE = "ACTINIUM_ADMIN_TOKEN"


class PriorityName(StrEnum):
    """Shares 1:2:4:8:16 of what waits."""

    background = "background"
    low = "low"
    normal = "normal"
    high = "high"
    critical = "critical"


Url = Annotated[
    str,
    typer.Option(
        metavar="URL", envvar="ACTINIUM_ADMIN_URL", help="The gateway, or its admin address."
    ),
]
TokenEnv = Annotated[
    str, typer.Option(metavar="VARIABLE", help="The variable that holds the admin API's token.")
]
CaFile = Annotated[
    str | None,
    typer.Option(metavar="FILE.pem", help="An authority to trust beside the usual ones."),
]
PlainHttp = Annotated[
    bool, typer.Option("--insecure", metavar="", help="Allow plain http to another machine.")
]
AsJson = Annotated[bool, typer.Option("--json", metavar="", help="JSON instead of a table.")]

KeyName = Annotated[str, typer.Argument(metavar="NAME", help="What people call it.")]
KeyId = Annotated[str, typer.Argument(metavar="ID", help="The first column of: keys list")]
Tenant = Annotated[str, typer.Option(metavar="NAME", help="Whose key it is.")]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model", metavar="PATTERN", help="A model it may use, as chat or 'fast-*'; repeat it for "
        "more. (default: all of the tenant's)",
    ),
]  # fmt: skip
Rpm = Annotated[int | None, typer.Option(min=1, metavar="N", help="Requests a minute.")]
Tpm = Annotated[int | None, typer.Option(min=1, metavar="N", help="Tokens a minute.")]
Concurrent = Annotated[int | None, typer.Option(min=1, metavar="N", help="Requests at once.")]
PerHour = Annotated[float | None, typer.Option(metavar="USD", help="Money in an hour.")]
PerDay = Annotated[float | None, typer.Option(metavar="USD", help="Money in a day.")]
PerMonth = Annotated[float | None, typer.Option(metavar="USD", help="Money in a month.")]
Priority = Annotated[
    PriorityName, typer.Option(metavar="SHARE", help="background, low, normal, high or critical.")
]
Expires = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="90d, 24h, 2027-12-31 ... (default: never)"),
]
Overlap = Annotated[
    str, typer.Option(metavar="TIME", help="How long the old secret works on; 0: not at all.")
]
Enable = Annotated[bool, typer.Option("--undo", metavar="", help="Let it in again.")]

DeploymentName = Annotated[str, typer.Argument(metavar="NAME", help="A deployment.")]
PlanFile = Annotated[
    Path, typer.Argument(metavar="FILE.toml", help="Its [[deployment]] tables are served.")
]
Wait = Annotated[
    str, typer.Option(metavar="TIME", help="How long answers under way may take: 30s, 5m ...")
]

By = Annotated[
    str, typer.Option(metavar="FIELDS", help="Some of day,tenant,key,deployment, with commas.")
]
Since = Annotated[str | None, typer.Option(metavar="DAY", help="The first day: 2027-01-31")]
Until = Annotated[str | None, typer.Option(metavar="DAY", help="The last day.")]
OfTenant = Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Of one tenant.")]
OfKey = Annotated[str | None, typer.Option("--key", metavar="ID", help="Of one key.")]
OfDeployment = Annotated[
    str | None, typer.Option("--deployment", metavar="NAME", help="Of one deployment.")
]
