"""Thinking that a provider wants back, as ``encrypted_content`` of reasoning items.

Clients send such items back unchanged; whose they are stands in front.
"""

from __future__ import annotations

import base64
from typing import Any, Final

import msgspec

from ..openai.read import check_depth

_OURS: Final = "actinium1."


def pack(blocks: list[dict[str, str]]) -> str:
    """Blocks as one text that says nothing to others."""
    return _OURS + base64.urlsafe_b64encode(msgspec.json.encode(blocks)).decode()


def unpack(item: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The blocks of a reasoning item; none where it holds nothing to keep, None where what it
    holds is not of this server."""
    given = item.get("encrypted_content")
    if given is None:
        return []
    if not isinstance(given, str) or not given.startswith(_OURS):
        return None
    try:
        raw = base64.urlsafe_b64decode(given.removeprefix(_OURS))
        found: list[dict[str, Any]] = msgspec.json.decode(raw, type=list[dict[str, Any]])
        check_depth(tuple(found))
        return found
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None
