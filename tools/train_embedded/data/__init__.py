"""Seeded grammar of short dialogues: the whole training text of the embedded model."""
