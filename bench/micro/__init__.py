"""The actor core against a floor and against rivals: ``python -m bench.micro``."""
