"""A small HTTP/1.1 client for model servers: keep-alive, streams with back-pressure, SSE."""

from __future__ import annotations

from .client import HttpClient
from .connection import Connection
from .endpoint import Endpoint, parse_endpoint
from .sse import SseDecoder

__all__ = ["Connection", "Endpoint", "HttpClient", "SseDecoder", "parse_endpoint"]
