"""From a request to tokens: deployments, runners, sessions."""

from .chunk import Burst, Chunk, TokenLogprob, ToolDelta, Usage
from .deployment import Deployment, Timeouts
from .limits.policy import (
    BreakerPolicy,
    Budget,
    Price,
    PriceTier,
    RateLimits,
    RetryPolicy,
)
from .request import EmbedRequest, Message, Request, Sampling, ToolCall
from .runner import Capabilities, Embedding, Health, ModelRunner, Progress
from .service import Inference, ModelInfo, Sessions

__all__ = [
    "BreakerPolicy",
    "Budget",
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
    "Price",
    "PriceTier",
    "Progress",
    "RateLimits",
    "Request",
    "RetryPolicy",
    "Sampling",
    "Sessions",
    "Timeouts",
    "TokenLogprob",
    "ToolCall",
    "ToolDelta",
    "Usage",
]
