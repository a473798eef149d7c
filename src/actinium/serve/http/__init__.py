"""An HTTP/1.1 server on raw asyncio protocols; it knows nothing of models."""
