"""The door that speaks Anthropic's wire: bodies in, answers and errors out, without I/O."""
