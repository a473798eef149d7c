"""Rivals of the actor core: one small program each, all with the same workloads."""
