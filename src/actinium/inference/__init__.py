"""From a request to tokens: deployments, runners, sessions."""

from .chunk import Burst, Chunk, TokenLogprob, ToolDelta, Usage
from .deployment import Deployment, Timeouts
from .request import EmbedRequest, Message, Request, Sampling, ToolCall
from .runner import Capabilities, Embedding, Health, ModelRunner, Progress
from .service import Inference, ModelInfo, Sessions

__all__ = [
    "Burst",
    "Capabilities",
    "Chunk",
    "Deployment",
    "EmbedRequest",
    "Embedding",
    "Health",
    "Inference",
    "Message",
    "ModelInfo",
    "ModelRunner",
    "Progress",
    "Request",
    "Sampling",
    "Sessions",
    "Timeouts",
    "TokenLogprob",
    "ToolCall",
    "ToolDelta",
    "Usage",
]
