"""Benchmarks: one harness, subjects that run the same workloads, results with their machine."""
