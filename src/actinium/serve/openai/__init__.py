"""The door that speaks OpenAI's wire: bodies in, answers and errors out, without I/O."""
