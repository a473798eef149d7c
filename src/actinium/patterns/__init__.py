"""Well-known shapes made of actors: state machines, fan-out calls with retries."""

from .fanout import Err, Ok, gather
from .fsm import FSM, StateTimeout, Transition
from .retry import Retry

__all__ = ["FSM", "Err", "Ok", "Retry", "StateTimeout", "Transition", "gather"]
for _name in __all__:  # what a user sees in a traceback or a repr is the public path
    globals()[_name].__module__ = __name__
del _name
