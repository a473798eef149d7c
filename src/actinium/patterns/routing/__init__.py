"""One ref in front of many: who gets a message, and how the many come and go."""
