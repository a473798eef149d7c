"""Spawning with options, and the error of a spawn that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actinium import _native
from actinium.errors import NameTaken, SpawnError, UsageError

from .extra import extra_of
from .names import Names, check_name
from .priority import rank_of
from .ref import LocalRef
from .shardcore import shard_core

if TYPE_CHECKING:
    from .actor import Actor

Cell = LocalRef[Any]


class Spawner:
    """The hook for a spawn with more than class and arguments."""

    def __init__(self, core: _native.Core, names: Names) -> None:
        self.core = core
        self.names = names

    def spawn(
        self,
        parent: Cell,
        cls: type[Actor],
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
        failure: BaseException | None,
        reserved: Cell | None = None,
    ) -> Cell:
        """Makes an actor, or the one whose ref is out already (``reserved``)."""
        options = dict(kwargs or {})
        name = options.pop("name", None)
        mailbox = options.pop("mailbox", None)
        supervise = options.pop("supervise", None)
        priority = options.pop("priority", None)
        rank = rank_of(priority) if priority is not None else None
        if failure is not None:
            raise _spawn_error(cls, args, options, failure) from failure
        if name is not None:
            check_name(name)
            if self.names.get(parent, name) is not None:
                raise NameTaken(f"{parent.path} has a child named {name!r} already")
        try:
            cell: Cell
            if reserved is None:
                cell = self.core.spawn_plain(parent, cls, args, options or None)
            else:
                cell = reserved
                shard_core(self.core).settle(cell, args, options or None)
        except Exception as e:
            raise _spawn_error(cls, args, options, e) from e
        if mailbox is not None:
            cell.set_mailbox(mailbox.limits())
        if rank is not None:
            cell.set_rank(rank)
        if name is not None or supervise is not None:
            extra = extra_of(cell)
            extra.supervise = supervise
            extra.name = name
            if name is not None:
                self.names.add(parent, name, cell)
        return cell


def _spawn_error(
    cls: type[Any], args: tuple[Any, ...], kwargs: dict[str, Any], failure: BaseException
) -> BaseException:
    if isinstance(failure, (SpawnError, NameTaken)) or not isinstance(failure, Exception):
        return failure
    if not (isinstance(cls, type) and issubclass(cls, _native.ActorBase)):
        return UsageError(f"spawn() takes an actor class (a subclass of ac.Actor), got {cls!r}")
    shown = [repr(a) for a in args] + [f"{k}={v!r}" for k, v in kwargs.items()]
    return SpawnError(
        f"{cls.__qualname__}({', '.join(shown)}) could not be made: "
        f"{type(failure).__name__}: {failure}"
    )
