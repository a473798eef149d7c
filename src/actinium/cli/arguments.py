"""The options of the commands: names, types and help, one alias each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .logs import Level

Debug = Annotated[bool, typer.Option("--debug", metavar="", help="Show the traceback of an error.")]
LogLevel = Annotated[
    Level,
    typer.Option(
        metavar="LEVEL",
        help="debug, info, warning or error: log lines (on stderr) from this level on.",
    ),
]
StorePath = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PATH",
        help='The file that keeps sessions; "memory": until the process ends. '
        "(default: sessions.db below ~/.local/state/actinium)",
    ),
]
NoStore = Annotated[bool, typer.Option("--no-store", metavar="", help="Keep no sessions.")]

# -- serve

Config = Annotated[Path | None, typer.Argument(metavar="FILE.toml", help="What to serve.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE.toml", help="The same as an option.")
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="A model to serve; may be given several times. (default: embedded)",
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The OpenAI-compatible server that has the model."),
]
UpstreamKey = Annotated[
    str | None,
    typer.Option(
        "--api-key-env", metavar="VARIABLE", help="The variable that holds that server's key."
    ),
]
Host = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="The address to listen on. (default: 127.0.0.1)"),
]
Port = Annotated[
    int | None,
    typer.Option(
        min=0, max=65535, metavar="PORT", help="The port; 0: any free one. (default: 8080)"
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        envvar="ACTINIUM_API_KEY",
        metavar="KEY",
        help="The key that clients must send. Better set by its variable: other users of this "
        "machine can read a command line.",
    ),
]
Open = Annotated[
    bool,
    typer.Option(
        "--insecure", metavar="", help="Listen where other machines reach it, without a key."
    ),
]
Drain = Annotated[
    float | None,
    typer.Option(
        min=0,
        metavar="SECONDS",
        help="How long answers under way may take after Ctrl-C. (default: 30)",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, max=256, metavar="N", help="Processes that serve behind the port. (default: 1)"
    ),
]

# -- chat

Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The model. (default: embedded, or the first one of the server)",
    ),
]
Url = Annotated[str | None, typer.Option(metavar="URL", help="Talk to the server at this address.")]
ServerKey = Annotated[
    str | None,
    typer.Option(
        "--api-key-env",
        metavar="VARIABLE",
        help="The variable that holds the server's key. (default: ACTINIUM_API_KEY, for servers "
        "on this machine)",
    ),
]
SessionName = Annotated[
    str | None, typer.Option(metavar="NAME", help="Go on with this stored session.")
]
Instructions = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Instructions for the model.")
]
PlainHttp = Annotated[
    bool, typer.Option("--insecure", metavar="", help="Allow plain http to another machine.")
]

# -- check and doctor

File = Annotated[Path, typer.Argument(metavar="FILE.toml", help="The file to check.")]
TriedHost = Annotated[str, typer.Option(metavar="ADDRESS", help="The address to try.")]
TriedPort = Annotated[int, typer.Option(min=0, max=65535, metavar="PORT", help="The port to try.")]
