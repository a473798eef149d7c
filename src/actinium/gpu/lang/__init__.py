"""The language: which Python is compiled, what it means, and what is said where it is not taken."""
