"""The commands. What they do is imported when they are called."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Annotated

import typer

from . import arguments as a
from .admin.app import add_to as add_admin
from .failures import failures
from .gpu.app import add_to as add_gpu
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

_SERVE_EXAMPLES = """Examples:
  actinium serve   (the small model of this package, on port 8080)
  actinium serve --model gpt-4o-mini   (OpenAI's; the key is in OPENAI_API_KEY)
  actinium serve --model llama3 --base-url http://localhost:11434/v1
  actinium serve actinium.toml --port 9000   (what the file says, on another port)"""

_CHAT_EXAMPLES = """Examples:
  actinium chat   (the small model of this package; no server is needed)
  actinium chat --session anna   (goes on where this session was left)
  actinium chat --url http://127.0.0.1:8080 --session anna   (a running gateway)
  echo 'What is an actor?' | actinium chat   (one question, the answer on stdout)"""

_CHECK_EXAMPLES = """Example:
  actinium check actinium.toml && actinium serve actinium.toml"""


def _show_version(wanted: bool) -> None:
    if wanted:
        # The root package is a door to every layer: taken by name, so that this stays the only
        # thing that comes through it.
        typer.echo(f"actinium {import_module('actinium').__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version", metavar="", help="Show the version.", callback=_show_version, is_eager=True
    ),
]


@app.callback()
def _root(version: Version = False) -> None:
    pass


@app.command(epilog=_SERVE_EXAMPLES)
def serve(
    config: a.Config = None,
    config_option: a.ConfigOption = None,
    model: a.Models = None,
    base_url: a.BaseUrl = None,
    api_key_env: a.UpstreamKey = None,
    host: a.Host = None,
    port: a.Port = None,
    api_key: a.ApiKey = None,
    insecure: a.Open = False,
    store: a.StorePath = None,
    no_store: a.NoStore = False,
    drain: a.Drain = None,
    workers: a.Workers = None,
    log_level: a.LogLevel = Level.info,
    debug: a.Debug = False,
) -> None:
    """Serve models behind one OpenAI-compatible address.

    Ctrl-C (or SIGTERM) stops in order and reports; a second one stops at once.
    """
    screen = Screen()
    with failures(screen, debug):
        from actinium.ops.logs import LogSettings

        from .logs import log_writer
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
            workers=workers,
            insecure=insecure,
        )
        plan = plan_from(options, os.environ)
        if plan.log != LogSettings():
            log_writer(plan.log)
        key = gateway_key(api_key, plan, os.environ)
        with new_runner() as runner:
            runner.run(run(plan, key, screen))


@app.command(epilog=_CHAT_EXAMPLES)
def chat(
    model: a.Model = None,
    url: a.Url = None,
    api_key_env: a.ServerKey = None,
    session: a.SessionName = None,
    system: a.Instructions = None,
    insecure: a.PlainHttp = False,
    store: a.StorePath = None,
    no_store: a.NoStore = False,
    log_level: a.LogLevel = Level.warning,
    debug: a.Debug = False,
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


@app.command(epilog=_CHECK_EXAMPLES)
def check(file: a.File, debug: a.Debug = False) -> None:
    """Check a configuration file and show the plan it makes; nothing is started."""
    screen = Screen()
    with failures(screen, debug):
        from .check import check as run

        run(file, screen)


@app.command()
def doctor(
    host: a.TriedHost = "127.0.0.1",
    port: a.TriedPort = 8080,
    store: a.StorePath = None,
    debug: a.Debug = False,
) -> None:
    """Look whether everything needed is there, and say how to mend what is not.

    Exit code 1 if something failed.
    """
    screen = Screen()
    with failures(screen, debug):
        from .doctor.command import doctor as run

        if not run(screen, host, port, store):
            raise typer.Exit(1)


def _store(path: str | None, none: bool) -> str | None:
    """The store setting that both options make."""
    if none and path is not None:
        raise typer.BadParameter("--store and --no-store exclude each other", param_hint="--store")
    return "none" if none else path


add_admin(app)
add_gpu(app)
