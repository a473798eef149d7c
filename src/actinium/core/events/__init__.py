"""Publish and subscribe within one system: events of the runtime and of the program."""
