"""What runs a compiled program: the oracle in CPython, and the CPU."""
