"""The names of what spans and lines of the log say, all in one place.

Those that begin with ``gen_ai`` follow OpenTelemetry's semantic conventions for generative AI,
which are still in development: a test compares them with the package
``opentelemetry-semantic-conventions``.
"""

from __future__ import annotations

from typing import Final

# A span of the gateway (kind server).
METHOD: Final = "http.request.method"
ROUTE: Final = "http.route"
STATUS: Final = "http.response.status_code"
ERROR: Final = "error.type"
REQUEST_ID: Final = "actinium.request.id"
TENANT: Final = "actinium.tenant"
DEPLOYMENT: Final = "actinium.deployment"

# A span of one attempt (kind client).
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
STREAM: Final = "gen_ai.request.stream"
MAX_TOKENS: Final = "gen_ai.request.max_tokens"
TEMPERATURE: Final = "gen_ai.request.temperature"
TOP_P: Final = "gen_ai.request.top_p"
SEED: Final = "gen_ai.request.seed"
CHOICES: Final = "gen_ai.request.choice.count"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHED_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
FIRST_TOKEN_SECONDS: Final = "gen_ai.response.time_to_first_chunk"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"

# Names of spans within a request, and of events.
ROUTE_SPAN: Final = "route"
LIMITER_SPAN: Final = "limiter.wait"
QUEUE_SPAN: Final = "queue.wait"
FIRST_TOKEN: Final = "first_token"
RETRY: Final = "retry"
FALLBACK: Final = "fallback"
REFUSED: Final = "refused"
