"""Benchmarks of inference and of the gateway."""
