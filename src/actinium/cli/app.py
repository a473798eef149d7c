"""The commands and their options. What they do is imported when they are called."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from actinium import __version__

from .failures import failures
from .logs import Level, set_up
from .screen import Screen

app = typer.Typer(
    name="actinium",
    help="One actor model for AI inference: serve language models behind one OpenAI-compatible "
    "address, and talk to them.",
    epilog="Start here:  actinium serve   |   actinium chat   |   actinium doctor",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

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
        show_default=False,
    ),
]
NoStore = Annotated[bool, typer.Option("--no-store", metavar="", help="Keep no sessions.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"actinium {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", help="Show the version.", callback=_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


def _store(path: str | None, none: bool) -> str | None:
    if none and path is not None:
        raise typer.BadParameter("--store and --no-store exclude each other", param_hint="--store")
    return "none" if none else path


@app.command(
    epilog="Examples:\n"
    "  actinium serve   (the small model of this package, on port 8080)\n"
    "  actinium serve --model gpt-4o-mini   (OpenAI's; the key is in OPENAI_API_KEY)\n"
    "  actinium serve --model llama3 --base-url http://localhost:11434/v1\n"
    "  actinium serve actinium.toml --port 9000   (what the file says, on another port)",
)
def serve(
    config: Annotated[
        Path | None,
        typer.Argument(metavar="FILE.toml", help="What to serve.", show_default=False),
    ] = None,
    config_option: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE.toml", help="The same as an option."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A model to serve; may be given several times. (default: embedded)",
            show_default=False,
        ),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The OpenAI-compatible server that has the model."),
    ] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option(metavar="VARIABLE", help="The variable that holds that server's key."),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="The address to listen on. (default: 127.0.0.1)",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="PORT",
            help="The port; 0: any free one. (default: 8080)",
            show_default=False,
        ),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="ACTINIUM_API_KEY",
            metavar="KEY",
            help="The key that clients must send. Better set by its variable: other users of this "
            "machine can read a command line.",
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", metavar="", help="Listen where other machines reach it, without a key."
        ),
    ] = False,
    store: StorePath = None,
    no_store: NoStore = False,
    drain: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="How long answers under way may take after Ctrl-C. (default: 30)",
            show_default=False,
        ),
    ] = None,
    log_level: LogLevel = Level.info,
    debug: Debug = False,
) -> None:
    """Serve models behind one OpenAI-compatible address.

    Ctrl-C (or SIGTERM) stops in order and reports; a second one stops at once.
    """
    screen = Screen()
    with failures(screen, debug):
        from .loop import new_runner
        from .serve.life import serve as run
        from .serve.options import ServeOptions, gateway_key, plan_from

        if config is not None and config_option is not None:
            raise typer.BadParameter("give the file once, not twice", param_hint="--config")
        set_up(screen, log_level)
        options = ServeOptions(
            config=config or config_option,
            models=tuple(model or ()),
            base_url=base_url,
            api_key_env=api_key_env,
            host=host,
            port=port,
            store=_store(store, no_store),
            drain=drain,
            insecure=insecure,
        )
        plan = plan_from(options, os.environ)
        key = gateway_key(api_key, plan, os.environ)
        with new_runner() as runner:
            runner.run(run(plan, key, screen))


@app.command(
    epilog="Examples:\n"
    "  actinium chat   (the small model of this package; no server is needed)\n"
    "  actinium chat --session anna   (goes on where this session was left)\n"
    "  actinium chat --url http://127.0.0.1:8080 --session anna   (a running gateway)\n"
    "  echo 'What is an actor?' | actinium chat   (one question, the answer on stdout)",
)
def chat(
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The model. (default: embedded, or the first one of the server)",
            show_default=False,
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Talk to the server at this address.")
    ] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option(
            metavar="VARIABLE",
            help="The variable that holds the server's key. (default: ACTINIUM_API_KEY, for "
            "servers on this machine)",
            show_default=False,
        ),
    ] = None,
    session: Annotated[
        str | None, typer.Option(metavar="NAME", help="Go on with this stored session.")
    ] = None,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Instructions for the model.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", metavar="", help="Allow plain http to another machine.")
    ] = False,
    store: StorePath = None,
    no_store: NoStore = False,
    log_level: LogLevel = Level.warning,
    debug: Debug = False,
) -> None:
    """Talk to a model in the terminal; /help there lists the commands."""
    screen = Screen()
    with failures(screen, debug):
        from .chat.command import ChatOptions
        from .chat.command import chat as run

        set_up(screen, log_level)
        options = ChatOptions(
            model=model,
            url=url,
            api_key_env=api_key_env,
            session=session,
            system=system,
            store=_store(store, no_store),
            insecure=insecure,
        )
        failed = run(options, screen)
        if failed and not screen.live:
            raise typer.Exit(1)


@app.command(epilog="Example:\n  actinium check actinium.toml && actinium serve actinium.toml")
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="The file to check.")],
    debug: Debug = False,
) -> None:
    """Check a configuration file and show the plan it makes; nothing is started."""
    screen = Screen()
    with failures(screen, debug):
        from .check import check as run

        run(file, screen)


@app.command()
def doctor(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to try.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="The port to try.")
    ] = 8080,
    store: StorePath = None,
    debug: Debug = False,
) -> None:
    """Look whether everything needed is there, and say how to mend what is not.

    Exit code 1 if something failed.
    """
    screen = Screen()
    with failures(screen, debug):
        from .doctor.command import doctor as run

        if not run(screen, host, port, store):
            raise typer.Exit(1)
