"""What a line typed into a chat means."""

from __future__ import annotations

import pytest

from actinium.cli.chat.slash import COMMANDS, Command, Say, check_session, help_lines, parse
from actinium.errors import UsageError


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("", None),
        ("  \n", None),
        (" Hello! \n", Say("Hello!")),
        ("//etc is a folder", Say("/etc is a folder")),
        ("/help", Command("/help")),
        ("/session  anna ", Command("/session", "anna")),
        ("/system Be short.", Command("/system", "Be short.")),
    ],
)
def test_the_meaning_of_a_line(line: str, meaning: object) -> None:
    assert parse(line) == meaning


def test_a_command_that_does_not_exist() -> None:
    with pytest.raises(UsageError, match=r"no command '/sesion'; did you mean /session\?"):
        parse("/sesion x")
    with pytest.raises(UsageError, match="/help lists what there is"):
        parse("/zzz")


def test_a_command_that_takes_nothing() -> None:
    with pytest.raises(UsageError, match=r"/new takes nothing after it, got 'x'"):
        parse("/new x")


@pytest.mark.parametrize("name", ["", "é", "a\tb", "x" * 129])
def test_names_no_session_can_have(name: str) -> None:
    with pytest.raises(UsageError, match="1 to 128 printable ASCII"):
        check_session(name)


def test_help_names_every_command() -> None:
    text = "\n".join(help_lines())
    assert all(name in text for name in COMMANDS)
