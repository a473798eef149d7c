"""A real server of Gemini's wire on loopback that fails the way it is told.

    async with GeminiProvider() as provider:
        deployment = Deployment(
            name="m", model="gemini/gemini-2.5-flash", base_url=provider.base_url,
        )

It is a :class:`~actinium.testkit.provider.Provider` in everything else: faults, counters, and
what it has seen. Both doors are answered, AI Studio's paths and Vertex's.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .answers import Told
from .provider import Fault, Provider, Seen, Writer

encode: Final = msgspec.json.encode
_STATUS: Final = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
_TYPE: Final = "type.googleapis.com/google.rpc."


def error(status: int, message: str, *details: dict[str, Any]) -> bytes:
    """Google's error body. Each of ``details`` has its kind (``RetryInfo``) in ``@type``."""
    said: dict[str, Any] = {
        "code": status, "message": message, "status": _STATUS.get(status, "UNKNOWN")
    }  # fmt: skip
    if details:
        said["details"] = [{**d, "@type": _TYPE + d["@type"]} for d in details]
    return encode({"error": said})


class GeminiProvider(Provider):
    """See the module. ``signature`` goes with every call of a function."""

    signature: str | None = None

    @property
    def base_url(self) -> str:
        """For ``Deployment.base_url``: the host alone, the API's version follows it."""
        return super().base_url.removesuffix("/v1")

    async def _answer(self, seen: Seen, writer: Writer) -> None:
        fault = self._fault(seen.body)
        await self._before(fault)
        key = seen.headers.get("x-goog-api-key") or seen.headers.get("authorization", "")
        if self.key is not None and key.removeprefix("Bearer ") != self.key:
            text = f"Request had invalid authentication credentials: {key}"
            await self._send(writer, 401, error(401, text), fault)
        elif fault.status != 200:
            body = fault.body or error(fault.status, "made to fail")
            await self._send(writer, fault.status, body, fault)
        elif ":" not in seen.path:
            await self._send(writer, 200, encode({"name": seen.path}), fault)
        else:
            await self._succeed(seen, writer, fault)

    async def _succeed(self, seen: Seen, writer: Writer, fault: Fault) -> None:
        body, method = seen.body, seen.path.rpartition(":")[2]
        try:
            if method == "batchEmbedContents":
                texts = [call["content"]["parts"][0]["text"] for call in body["requests"]]
                whole = encode({"embeddings": [{"values": v} for v in _vectors(texts)]})
            elif method == "predict":
                texts = [instance["content"] for instance in body["instances"]]
                whole = encode({"predictions": _predictions(texts)})
            elif method == "streamGenerateContent?alt=sse":
                await self._stream(writer, self._events(body, usage=fault.usage), fault)
                return
            else:
                whole = self._whole(body, usage=fault.usage)
        except (LookupError, TypeError, AttributeError) as wrong:
            text = f"the body has not the right shape: {wrong!r}"
            await self._send(writer, 400, error(400, text), fault)
            return
        await self._send(writer, 200, fault.body or whole, fault)

    def _events(self, body: dict[str, Any], *, usage: Told) -> list[bytes]:
        """The data of a stream's events; the last one has the finish and the usage."""
        words, finish = self._spoken(body)
        made: list[dict[str, Any]] = []
        for n, word in enumerate(words):
            for index in range(_count(body)):
                found: dict[str, Any] = {"content": _content({"text": word}), "index": index}
                if _config(body).get("responseLogprobs"):
                    found["logprobsResult"] = _logprobs((word,), body)
                event: dict[str, Any] = {"candidates": [found]}
                if usage:
                    event["usageMetadata"] = _usage(body, n + 1, usage)
                made.append(event)
        made += [
            {"candidates": [{"content": _content(part), "index": 0}]} for part in self._calls(body)
        ]
        for index in range(_count(body)):
            last = {"content": _content({"text": ""}), "finishReason": finish, "index": index}
            made.append({"candidates": [last]})
        if usage:
            made[-1]["usageMetadata"] = _usage(body, len(words), usage)
        frame = {"modelVersion": "gemini-test", "responseId": "provider"}
        return [encode({**event, **frame}) for event in made]

    def _whole(self, body: dict[str, Any], *, usage: Told) -> bytes:
        words, finish = self._spoken(body)
        candidates = []
        for index in range(_count(body)):
            parts = self._calls(body) or [{"text": "".join(words)}]
            found = {"content": _content(*parts), "finishReason": finish, "index": index}
            if _config(body).get("responseLogprobs"):
                found["logprobsResult"] = _logprobs(words, body)
            candidates.append(found)
        answer: dict[str, Any] = {"candidates": candidates, "modelVersion": "gemini-test"}
        if usage:
            answer["usageMetadata"] = _usage(body, len(words), usage)
        return encode(answer)

    def _spoken(self, body: dict[str, Any]) -> tuple[tuple[str, ...], str]:
        """The words of the answer and its finish; none where a function is called instead."""
        if body["contents"][-1]["role"] not in ("user", "model"):
            raise LookupError("role")
        most = _config(body).get("maxOutputTokens")
        if body.get("tools"):
            return (), "STOP"
        if most is not None and most < len(self.words):
            return self.words[:most], "MAX_TOKENS"
        return self.words, "STOP"

    def _calls(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        if not body.get("tools"):
            return []
        name = body["tools"][0]["functionDeclarations"][0]["name"]
        part: dict[str, Any] = {"functionCall": {"name": name, "args": {"city": "Paris"}}}
        if self.signature is not None:
            part["thoughtSignature"] = self.signature
        return [part]

    def _done(self) -> bytes | None:
        return None

    def _is_content(self, event: bytes) -> bool:
        return b'"finishReason"' not in event

    def _fell_over(self) -> bytes:
        return error(500, "the model fell over")


def _content(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def _config(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = body.get("generationConfig", {})
    return found


def _count(body: dict[str, Any]) -> int:
    return int(_config(body).get("candidateCount", 1))


def _usage(body: dict[str, Any], words: int, usage: Told) -> dict[str, Any]:
    """A word is a token here; a thousand, where the usage is to be wrong."""
    scale = 1000 if usage == "wrong" else 1
    texts = [p.get("text", "") for c in body["contents"] for p in c["parts"]]
    given = sum(len(text.split()) for text in texts) or 1
    given, made = given * scale, max(1, words) * _count(body) * scale
    return {
        "promptTokenCount": given, "candidatesTokenCount": made, "totalTokenCount": given + made
    }  # fmt: skip


def _logprobs(words: tuple[str, ...], body: dict[str, Any]) -> dict[str, Any]:
    top = int(_config(body).get("logprobs", 0))
    chosen = [{"token": word, "tokenId": 1, "logProbability": -0.5} for word in words]
    best = [
        {"candidates": [{"token": f"{w}{n}", "logProbability": -1.0 - n} for n in range(top)]}
        for w in words
    ]
    return {"chosenCandidates": chosen, "topCandidates": best}


def _vectors(texts: list[str]) -> list[list[float]]:
    """Three numbers each: the text's length, its place, and a half."""
    return [[float(len(text)), float(at), 0.5] for at, text in enumerate(texts)]


def _predictions(texts: list[str]) -> list[dict[str, Any]]:
    return [
        {"embeddings": {"values": vector, "statistics": {"token_count": len(text.split())}}}
        for text, vector in zip(texts, _vectors(texts), strict=True)
    ]
