"""The runner: a model of a LiteLLM proxy, OpenAI's wire with the proxy's own headers.

Source: https://docs.litellm.ai/docs/proxy/request_headers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from actinium.errors import ConfigError
from actinium.inference.deployment import Deployment
from actinium.inference.request import Request

from ..openai import OpenAIRunner
from ..token import reference_of
from .options import read_proxy_options


class ProxyRunner(OpenAIRunner):
    """Serves a deployment through a proxy, which is told not to retry: one attempt is ours alone.

    The proxy is ``base_url``, else LITELLM_PROXY_API_BASE; its virtual key that of
    ``credentials``, else LITELLM_PROXY_API_KEY. Session, request id and the time that is left go
    with each call. Raises ConfigError and MissingCredentials.
    """

    def __init__(self, deployment: Deployment, environ: Mapping[str, str]) -> None:
        options = read_proxy_options(deployment.name, deployment.options)
        url = deployment.base_url or environ.get("LITELLM_PROXY_API_BASE")
        if not url:
            raise ConfigError(
                f"deployment {deployment.name!r}: the proxy's address is not set; set base_url or "
                "LITELLM_PROXY_API_BASE"
            )
        key = reference_of(deployment)
        if key is None and deployment.base_url is None and environ.get("LITELLM_PROXY_API_KEY"):
            key = "env:LITELLM_PROXY_API_KEY"
        url = url.rstrip("/")
        headers = {"x-litellm-num-retries": "0", **options.headers}
        if options.tags:
            headers["x-litellm-tags"] = ",".join(options.tags)
        plain = msgspec.structs.replace(
            deployment,
            base_url=url if url.endswith("/v1") else f"{url}/v1",
            credentials=key,
            options={
                "marks": True,
                "insecure": options.insecure,
                "ca_file": options.ca_file,
                "headers": headers,
            },
        )
        super().__init__(plain, environ)

    def _lines(self, request: Request) -> bytes:
        lines = f"x-litellm-trace-id: {request.id}\r\n"
        if request.session is not None:
            lines += f"x-litellm-session-id: {request.session}\r\n"
        left = self.deployment.timeouts.total
        if request.deadline is not None:
            left = min(left, request.deadline - asyncio.get_running_loop().time())
        return f"{lines}x-litellm-timeout: {max(left, 0.001):.3f}\r\n".encode("ascii")
