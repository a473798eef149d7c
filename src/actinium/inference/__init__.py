"""From a request to tokens: deployments, runners, sessions."""

from .chunk import Burst, Chunk, Detail, Seam, TokenLogprob, ToolDelta, Usage
from .deployment import Deployment, Timeouts
from .limits.policy import (
    BreakerPolicy,
    Budget,
    Hedge,
    Price,
    PriceTier,
    RateLimits,
    RetryPolicy,
)
from .request import EmbedRequest, Message, Native, Request, Sampling, ToolCall
from .runner import Capabilities, Embedding, Health, ModelRunner, Progress
from .service import Inference, ModelInfo, Sessions

__all__ = [
    "BreakerPolicy",
    "Budget",
    "Burst",
    "Capabilities",
    "Chunk",
    "Deployment",
    "Detail",
    "EmbedRequest",
    "Embedding",
    "Health",
    "Hedge",
    "Inference",
    "Message",
    "ModelInfo",
    "ModelRunner",
    "Native",
    "Price",
    "PriceTier",
    "Progress",
    "RateLimits",
    "Request",
    "RetryPolicy",
    "Sampling",
    "Seam",
    "Sessions",
    "Timeouts",
    "TokenLogprob",
    "ToolCall",
    "ToolDelta",
    "Usage",
]
