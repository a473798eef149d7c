"""Benchmarks of resident actors; ``python -m bench.gpu``."""
