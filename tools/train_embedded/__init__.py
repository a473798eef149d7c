"""Trains, exports and evaluates the small language model that ships inside Actinium."""
