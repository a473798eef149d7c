"""Other processes and threads of one system: the same refs, placement, supervision."""

from .place import ByKey
from .shards import ShardState, ShardThreads
from .workers import WorkerProcesses, WorkerState

__all__ = ["ByKey", "ShardState", "ShardThreads", "WorkerProcesses", "WorkerState"]
for _name in __all__:  # what a user sees in a traceback or a repr is the public path
    globals()[_name].__module__ = __name__
del _name
