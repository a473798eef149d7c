"""Actors in one process: messages, mailboxes, supervision, streams, an orderly end."""

from .actor import Actor
from .context import Context, ReplyToken
from .deadletters import DeadLetter, DeadLetters, Replayed
from .durable import Durable
from .entity import EntityRef
from .handler import on
from .mailbox import Mailbox, Unbounded
from .message import Message, Unchecked
from .put import Put
from .ref import LocalRef, Ref
from .signals import Idle, Stop, Terminated
from .stream import Stream
from .supervision import OneForOne
from .system import Report, Settings, System
from .threads import Blocking, blocking

__all__ = [
    "Actor",
    "Blocking",
    "Context",
    "DeadLetter",
    "DeadLetters",
    "Durable",
    "EntityRef",
    "Idle",
    "LocalRef",
    "Mailbox",
    "Message",
    "OneForOne",
    "Put",
    "Ref",
    "Replayed",
    "ReplyToken",
    "Report",
    "Settings",
    "Stop",
    "Stream",
    "System",
    "Terminated",
    "Unbounded",
    "Unchecked",
    "blocking",
    "on",
]
for _name in __all__:  # what a user sees in a traceback or a repr is the public path
    globals()[_name].__module__ = __name__
del _name
