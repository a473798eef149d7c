"""``actinium chat``: a conversation in the terminal."""
