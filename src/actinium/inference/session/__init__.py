"""Conversations that remember: a session is an actor, its history a log in the store."""

from .sessions import SessionActors

__all__ = ["SessionActors"]
SessionActors.__module__ = __name__
