"""``actinium serve``: a plan becomes a running gateway, and ends in order."""
