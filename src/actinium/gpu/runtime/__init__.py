"""GPU actors in the tree of an actor system: launches, places, shepherds, refs."""
