"""What the kit raises."""

from __future__ import annotations


class ExpectationFailed(AssertionError):
    """A test expected something that did not happen; the text shows what did, in order."""


class InjectedFault(Exception):
    """Something went wrong because a test wanted it to: see ``Faults``."""
