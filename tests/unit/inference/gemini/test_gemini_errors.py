"""Google's error bodies -> typed errors."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actinium.errors import (
    BadRequest,
    ContextLengthExceeded,
    InferenceError,
    ModelNotFound,
    PayloadTooLarge,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    ServerError,
    UpstreamAuth,
    UpstreamOverloaded,
    UpstreamTimeout,
)
from actinium.inference.runners.gemini.errors import from_answer, from_event
from actinium.testkit.gemini import error

RETRY = {"@type": "RetryInfo", "retryDelay": "34.074824224s"}
MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
TOO_LONG = "The input token count (1500000) exceeds the maximum number of tokens allowed (1048576)."


def quota(name: str) -> dict[str, Any]:
    metric = "generativelanguage.googleapis.com/generate_content_free_tier_requests"
    violation = {"quotaMetric": metric, "quotaId": name, "quotaValue": "15"}
    return {"@type": "QuotaFailure", "violations": [violation]}


def info(reason: str) -> dict[str, Any]:
    return {"@type": "ErrorInfo", "reason": reason, "domain": "googleapis.com"}


@pytest.mark.parametrize(
    ("status", "raw", "kind"),
    [
        (400, error(400, "Invalid value at 'contents'"), BadRequest),
        (400, error(400, "API key not valid.", info("API_KEY_INVALID")), UpstreamAuth),
        (400, error(400, TOO_LONG), ContextLengthExceeded),
        (401, error(401, "no"), UpstreamAuth),
        (403, error(403, "no"), UpstreamAuth),
        (403, error(403, "no", info("BILLING_DISABLED")), QuotaExhausted),
        (404, error(404, "models/x is not found"), ModelNotFound),
        (408, b"", UpstreamTimeout),
        (409, b"", ServerError),
        (413, b"", PayloadTooLarge),
        (429, error(429, "slow", quota(MINUTE), RETRY), RateLimited),
        (429, error(429, "slow"), RateLimited),
        (429, error(429, "gone", quota(DAY), RETRY), QuotaExhausted),
        (499, b"", ServerError),
        (500, error(500, "An internal error has occurred."), ServerError),
        (502, b"<html>bad gateway</html>", ServerError),
        (503, error(503, "The model is overloaded."), UpstreamOverloaded),
        (504, error(504, "Deadline expired"), UpstreamTimeout),
        (302, b"", ProtocolError),
        (418, b"tea", ProtocolError),
        (400, b"[" + error(400, "as an array") + b"]", BadRequest),
        (400, b'{"error":"a text"}', BadRequest),
        (400, b'{"message":1}', BadRequest),
        (400, b"null", BadRequest),
    ],
)
def test_error_table(status: int, raw: bytes, kind: type[InferenceError]) -> None:
    found = from_answer(status, {}, raw)
    assert type(found) is kind, found
    assert str(found)


def test_the_name_of_the_status_is_finer_than_the_number() -> None:
    assert isinstance(from_event({"status": "UNAVAILABLE"}), ServerError)
    assert isinstance(from_event({"status": "RESOURCE_EXHAUSTED"}), RateLimited)
    assert isinstance(from_event({"code": 404}), ModelNotFound)
    assert isinstance(from_event("boom"), ServerError)


def test_context_numbers_are_read() -> None:
    found = from_answer(400, {}, error(400, TOO_LONG))
    assert isinstance(found, ContextLengthExceeded)
    assert (found.tokens, found.limit) == (1500000, 1048576)
    assert str(found) == TOO_LONG


def test_retry_info_goes_before_the_header() -> None:
    header = {b"retry-after": b"7"}
    assert from_answer(429, header, error(429, "x", RETRY)).retry_after == 34.074824224
    assert from_answer(503, header, error(503, "x")).retry_after == 7
    assert from_answer(429, {}, error(429, "x")).retry_after is None
    assert from_event(msgspec.json.decode(error(429, "x", RETRY))["error"]).retry_after
    broken = {"@type": "RetryInfo", "retryDelay": "soon"}
    assert from_answer(429, header, error(429, "x", broken)).retry_after == 7


def test_a_day_s_quota_does_not_say_come_back_in_half_a_minute() -> None:
    assert from_answer(429, {}, error(429, "x", quota(DAY), RETRY)).retry_after is None


def test_the_field_is_named() -> None:
    bad = {"@type": "BadRequest", "fieldViolations": [{"field": "generation_config.seed"}]}
    assert from_answer(400, {}, error(400, "x", bad)).param == "generation_config.seed"


def test_inf_SC_1_keys_are_taken_out_of_texts() -> None:
    key = "AIzaSyD-abcdefghijklmnopqrstuvwxyz01234"
    for text in (key, "ya29.a0AfH6SMBx-secret_value"):
        assert text[6:] not in str(from_answer(400, {}, error(400, f"bad key {text}")))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                    lambda v: st.lists(v, max_size=3) | st.dictionaries(
                        st.sampled_from(["error", "code", "status", "message", "details", "@type",
                                         "reason", "violations", "quotaId", "retryDelay",
                                         "fieldViolations", "field"]), v, max_size=4),
                    max_leaves=12))  # fmt: skip
def test_fuzzed_bodies_are_typed_errors(value: Any) -> None:
    raw = msgspec.json.encode(value)
    for status in (400, 401, 429, 500):
        assert isinstance(from_answer(status, {}, raw), InferenceError)
    assert isinstance(from_event(value), InferenceError)
