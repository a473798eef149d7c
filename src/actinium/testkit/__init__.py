"""Tools for tests of programs made of actors: virtual time, schedules by seed, probes.

>>> from actinium import testkit
>>> async def test(t: testkit.TestSystem) -> None:
...     counter, probe = t.spawn(Counter), t.probe()
...     counter.tell(Add(2), sender=probe.ref)
...     await probe.expect(Total, where=lambda m: m.n == 2)
>>> testkit.run(test)
"""

from .events import Events
from .failure import ExpectationFailed
from .loop import VirtualLoop
from .probe import Probe
from .runner import explore, run
from .system import TestSystem

__all__ = [
    "Events",
    "ExpectationFailed",
    "Probe",
    "TestSystem",
    "VirtualLoop",
    "explore",
    "run",
]
for _name in __all__:  # what a user sees in a traceback or a repr is the public path
    globals()[_name].__module__ = __name__
del _name
