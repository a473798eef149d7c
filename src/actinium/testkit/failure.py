"""What the kit raises when an expectation is not met."""

from __future__ import annotations


class ExpectationFailed(AssertionError):
    """A test expected something that did not happen; the text shows what did, in order."""
