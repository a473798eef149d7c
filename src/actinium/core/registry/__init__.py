"""Names of actors that everybody may look up: by name, by pattern, by tag."""
