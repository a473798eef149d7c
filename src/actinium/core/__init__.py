"""Actors in one process: messages, mailboxes, supervision, streams, an orderly end."""

from .actor import Actor
from .admission import Admission
from .breaker import Breaker, BreakerCall
from .budget import MemoryBudget, MemoryReport
from .cancellation import Cancellation
from .context import Context, ReplyToken
from .deadletters import DeadLetter, DeadLetters, Replayed
from .durable import Durable
from .entity import EntityRef
from .events.kinds import (
    ActorEvent,
    ActorFailedEvent,
    ActorRestartedEvent,
    ActorStartedEvent,
    ActorStoppedEvent,
    ActorStuckEvent,
    DeadLetterEvent,
    Event,
    Missed,
    PhaseEvent,
    PressureEvent,
)
from .events.stream import Events
from .events.subscription import Subscription
from .feed import Feed
from .handler import on
from .mailbox import Mailbox, Unbounded
from .memory import Block, MemoryUse, Payload, memory_use, trim_memory
from .message import Message, Unchecked
from .pressure import Pressure
from .put import Put
from .ref import LocalRef, Ref
from .registry.changes import (
    NameAdded,
    NameRemoved,
    NameReplaced,
    NameWatch,
    Registered,
    Resync,
)
from .registry.registry import Registry
from .remote import RemoteRef
from .shutdown import PhaseLimits, Report
from .signals import Exited, Idle, Restarted, Stop, Terminated
from .stream import Stream
from .supervision import AllForOne, CoolDown, OneForOne, RestForOne, SupervisorStrategy
from .system import Settings, System
from .threads import Blocking, blocking
from .watchdog import Stuck
from .workers import Workers

__all__ = [
    "Actor",
    "ActorEvent",
    "ActorFailedEvent",
    "ActorRestartedEvent",
    "ActorStartedEvent",
    "ActorStoppedEvent",
    "ActorStuckEvent",
    "Admission",
    "AllForOne",
    "Block",
    "Blocking",
    "Breaker",
    "BreakerCall",
    "Cancellation",
    "Context",
    "CoolDown",
    "DeadLetter",
    "DeadLetterEvent",
    "DeadLetters",
    "Durable",
    "EntityRef",
    "Event",
    "Events",
    "Exited",
    "Feed",
    "Idle",
    "LocalRef",
    "Mailbox",
    "MemoryBudget",
    "MemoryReport",
    "MemoryUse",
    "Message",
    "Missed",
    "NameAdded",
    "NameRemoved",
    "NameReplaced",
    "NameWatch",
    "OneForOne",
    "Payload",
    "PhaseEvent",
    "PhaseLimits",
    "Pressure",
    "PressureEvent",
    "Put",
    "Ref",
    "Registered",
    "Registry",
    "RemoteRef",
    "Replayed",
    "ReplyToken",
    "Report",
    "RestForOne",
    "Restarted",
    "Resync",
    "Settings",
    "Stop",
    "Stream",
    "Stuck",
    "Subscription",
    "SupervisorStrategy",
    "System",
    "Terminated",
    "Unbounded",
    "Unchecked",
    "Workers",
    "blocking",
    "memory_use",
    "on",
    "trim_memory",
]
for _name in __all__:  # what a user sees in a traceback or a repr is the public path
    globals()[_name].__module__ = __name__
del _name
