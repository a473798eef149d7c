"""Chats by the Responses API: its bodies and its events, without I/O."""
