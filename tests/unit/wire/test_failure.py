"""An exception crosses as the same class, with text, fields and cause."""

from __future__ import annotations

import pytest
from wire_types import Broken

from actinium import errors
from actinium.wire import Codec, pack_failure, unpack_failure


def crossed(error: BaseException, where: str = "worker 1") -> BaseException:
    return unpack_failure(Codec(), pack_failure(Codec(), error), where)


@pytest.mark.parametrize(
    "error",
    [
        errors.WorkerDied("gone", 3, None, "SIGKILL", ("a", "b")),
        errors.MessageTooLarge("big", 5, 4),
        errors.ContextLengthExceeded(10, 5),
        errors.UpstreamTimeout("connect", 2.5),
        errors.MailboxFull("full"),
        KeyError("k"),
        FileNotFoundError(2, "No such file", "x"),
        ValueError("a", 1, None),
        Broken(7, "why"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_the_same_class_comes_out(error: BaseException) -> None:
    found = crossed(error)
    assert type(found) is type(error)
    assert (str(found), found.args) == (str(error), error.args)
    assert vars(found) == vars(error)


def test_every_error_of_the_tree_survives() -> None:
    for cls in vars(errors).values():
        if isinstance(cls, type) and issubclass(cls, errors.ActiniumError):
            error = cls.__new__(cls, "text")
            error.args = ("text",)
            assert type(crossed(error)) is cls


def test_the_cause_and_the_traceback_come_along() -> None:
    try:
        try:
            raise Broken(1, "inner")
        except Broken as inner:
            raise errors.HandlerError("outer", inner) from inner
    except errors.HandlerError as error:
        found = crossed(error)
    assert isinstance(found, errors.HandlerError)
    assert isinstance(found.cause, Broken) and found.__cause__ is found.cause
    assert found.cause.why == "inner"
    assert "worker 1:" in found.__notes__[0] and "test_failure.py" in found.__notes__[0]


def test_what_cannot_be_named_or_encoded_is_still_told() -> None:
    class Local(Exception):
        pass

    found = crossed(Local("x"))
    assert isinstance(found, errors.HandlerError) and "Local: x" in str(found)
    odd = ValueError(object())
    odd.extra = object()  # type: ignore[attr-defined]
    assert isinstance(crossed(odd), ValueError)
