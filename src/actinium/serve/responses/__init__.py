"""The door of OpenAI's Responses API: bodies in, answers out, without I/O."""
