"""Checks and encodes what a spawn of a placed actor was given."""

from __future__ import annotations

import inspect
from typing import Any

from actinium.core import Actor
from actinium.core.names import check_name
from actinium.errors import SpawnError, UsageError
from actinium.wire import Codec, name_of

OPTIONS = ("name", "mailbox", "supervise")
"""Keywords of ``spawn`` that are the runtime's."""


def encode_spawn(
    codec: Codec, cls: type[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[str, bytes, str | None]:
    """Class name, encoded arguments and the actor's name.

    Raises UsageError for what is no actor class, SpawnError for arguments that do not fit the
    constructor, NotEncodable for arguments that cannot travel.
    """
    if not (isinstance(cls, type) and issubclass(cls, Actor)):
        raise UsageError(f"spawn() takes an actor class (a subclass of ac.Actor), got {cls!r}")
    options = {key: kwargs.pop(key) for key in list(kwargs) if key in OPTIONS}
    name = options.get("name")
    if name is not None:
        check_name(name)
    try:
        inspect.signature(cls).bind(*args, **kwargs)
    except TypeError as error:
        raise SpawnError(f"{cls.__qualname__} could not be made: {error}") from error
    except ValueError:  # a class without a readable signature
        pass
    packed = codec.pack((args, kwargs, {k: v for k, v in options.items() if v is not None}))
    if packed.buffers:
        raise UsageError(
            f"the arguments of {cls.__qualname__} hold buffers of more than 16 KiB; "
            "send them in a message once it runs"
        )
    return name_of(cls), packed.body, name
