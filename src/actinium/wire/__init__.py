"""Messages as bytes: what may leave a process, and how it looks outside.

Values are MessagePack (msgspec), types go by ``module:qualname``, frames carry many messages and
large buffers beside them. Nothing here knows a socket, and nothing is ever unpickled.
"""

from .codec import Codec, Packed
from .failure import Failure, pack_failure, unpack_failure
from .frame import Frame, FrameReader, frame
from .names import find_type, name_of

__all__ = [
    "Codec",
    "Failure",
    "Frame",
    "FrameReader",
    "Packed",
    "find_type",
    "frame",
    "name_of",
    "pack_failure",
    "unpack_failure",
]
