"""``actinium doctor``: looks whether everything that is needed is there."""
