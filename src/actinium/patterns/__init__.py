"""Well-known shapes made of actors: state machines, fan-out calls with retries, routers."""

from .fanout import Err, Ok, gather
from .fsm import FSM, StateTimeout, Transition
from .retry import Retry
from .routing.choose import Hash, LeastLoaded, Random, RoundRobin
from .routing.members import Group
from .routing.pool import Pool
from .routing.router import Router
from .routing.spread import Broadcast, ScatterFirst, TailChop
from .routing.strategy import Strategy

__all__ = [
    "FSM",
    "Broadcast",
    "Err",
    "Group",
    "Hash",
    "LeastLoaded",
    "Ok",
    "Pool",
    "Random",
    "Retry",
    "RoundRobin",
    "Router",
    "ScatterFirst",
    "StateTimeout",
    "Strategy",
    "TailChop",
    "Transition",
    "gather",
]
for _name in __all__:  # what a user sees in a traceback or a repr is the public path
    globals()[_name].__module__ = __name__
del _name
