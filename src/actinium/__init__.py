"""Actinium: one actor model for AI inference.

The layers, lowest first; an import only goes down:

    errors, _native      the exception tree; the compiled core
    base                 ids, clock, secrets, measures
    store                bytes that outlive the process
    core                 actors in one process
    wire                 message <-> bytes
    cluster, gpu         other processes: the same refs, supervised; compiled handlers
    patterns             state machines, fan-out calls, routers
    inference, ops       deployments, runners, sessions; metrics
    topology             configuration file -> a checked plan
    serve                the HTTP gateway
    cli, testkit         people; tests

This module is a door: names are imported from their layer when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from actinium.base import plugs

plugs.fill("workers", "actinium.cluster:WorkerProcesses")
plugs.fill("shards", "actinium.cluster:ShardThreads")

__version__ = "0.1.0"

_HOMES = {
    "actinium.core": (
        "AllForOne", "CoolDown", "Exited", "PhaseLimits", "RestForOne", "Restarted",
        "Stuck", "SupervisorStrategy",
        "Actor", "ActorEvent", "ActorFailedEvent", "ActorRestartedEvent", "ActorStartedEvent",
        "ActorStoppedEvent", "ActorStuckEvent", "Admission", "Block", "Breaker", "Cancellation",
        "Context",
        "DeadLetter", "DeadLetterEvent", "Durable", "EntityRef", "Event", "Idle", "LocalRef",
        "Mailbox", "MemoryBudget", "MemoryUse", "Message", "Missed", "NameAdded", "NameRemoved",
        "NameReplaced", "OneForOne", "Payload", "PhaseEvent", "Pressure", "PressureEvent", "Put",
        "Ref", "Registered", "RemoteRef", "Report", "Resync", "Settings", "Stop", "Stream",
        "System", "Terminated", "Unbounded", "Unchecked", "Workers", "blocking", "memory_use", "on",
        "trim_memory",
    ),
    "actinium.patterns": (
        "Broadcast", "Err", "FSM", "Group", "Hash", "LeastLoaded", "Ok", "Pool", "Random", "Retry",
        "RoundRobin", "Router", "ScatterFirst", "StateTimeout", "TailChop", "Transition", "gather",
    ),
    "actinium.cluster": ("ByKey",),
    "actinium.store": ("MemoryStore", "SqliteStore", "Store"),
    "actinium.errors": ("ActiniumError",),
    "actinium.inference": ("Deployment",),
    "actinium.serve": ("Gateway",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

if TYPE_CHECKING:
    from actinium.cluster import ByKey
    from actinium.core import (
        Actor,
        ActorEvent,
        ActorFailedEvent,
        ActorRestartedEvent,
        ActorStartedEvent,
        ActorStoppedEvent,
        ActorStuckEvent,
        Admission,
        AllForOne,
        Block,
        Breaker,
        Cancellation,
        Context,
        CoolDown,
        DeadLetter,
        DeadLetterEvent,
        Durable,
        EntityRef,
        Event,
        Exited,
        Idle,
        LocalRef,
        Mailbox,
        MemoryBudget,
        MemoryUse,
        Message,
        Missed,
        NameAdded,
        NameRemoved,
        NameReplaced,
        OneForOne,
        Payload,
        PhaseEvent,
        PhaseLimits,
        Pressure,
        PressureEvent,
        Put,
        Ref,
        Registered,
        RemoteRef,
        Report,
        Restarted,
        RestForOne,
        Resync,
        Settings,
        Stop,
        Stream,
        Stuck,
        SupervisorStrategy,
        System,
        Terminated,
        Unbounded,
        Unchecked,
        Workers,
        blocking,
        memory_use,
        on,
        trim_memory,
    )
    from actinium.errors import ActiniumError
    from actinium.inference import Deployment
    from actinium.patterns import (
        FSM,
        Broadcast,
        Err,
        Group,
        Hash,
        LeastLoaded,
        Ok,
        Pool,
        Random,
        Retry,
        RoundRobin,
        Router,
        ScatterFirst,
        StateTimeout,
        TailChop,
        Transition,
        gather,
    )
    from actinium.serve import Gateway
    from actinium.store import MemoryStore, SqliteStore, Store

__all__ = [
    "FSM",
    "ActiniumError",
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
    "Breaker",
    "Broadcast",
    "ByKey",
    "Cancellation",
    "Context",
    "CoolDown",
    "DeadLetter",
    "DeadLetterEvent",
    "Deployment",
    "Durable",
    "EntityRef",
    "Err",
    "Event",
    "Exited",
    "Gateway",
    "Group",
    "Hash",
    "Idle",
    "LeastLoaded",
    "LocalRef",
    "Mailbox",
    "MemoryBudget",
    "MemoryStore",
    "MemoryUse",
    "Message",
    "Missed",
    "NameAdded",
    "NameRemoved",
    "NameReplaced",
    "Ok",
    "OneForOne",
    "Payload",
    "PhaseEvent",
    "PhaseLimits",
    "Pool",
    "Pressure",
    "PressureEvent",
    "Put",
    "Random",
    "Ref",
    "Registered",
    "RemoteRef",
    "Report",
    "RestForOne",
    "Restarted",
    "Resync",
    "Retry",
    "RoundRobin",
    "Router",
    "ScatterFirst",
    "Settings",
    "SqliteStore",
    "StateTimeout",
    "Stop",
    "Store",
    "Stream",
    "Stuck",
    "SupervisorStrategy",
    "System",
    "TailChop",
    "Terminated",
    "Transition",
    "Unbounded",
    "Unchecked",
    "Workers",
    "__version__",
    "blocking",
    "gather",
    "memory_use",
    "on",
    "trim_memory",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'actinium' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
