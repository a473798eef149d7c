"""The intermediate form: typed, structured, single assignment; and the passes over it."""
