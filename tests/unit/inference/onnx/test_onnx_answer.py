"""From tokens to chunks: text, stops, tool calls, log-probabilities, one finish."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx_support import Collected, folder, tokenizer, vocabulary

from actinium.inference.chunk import Chunk, TokenLogprob
from actinium.inference.request import Sampling
from actinium.inference.runners.onnx.answer import Answer
from actinium.inference.runners.onnx.plan import plan

CONFIG = folder().config
END = CONFIG.stop_ids[0]
CALL = CONFIG.call_id
PLAIN = st.integers(0, tokenizer().get_vocab_size() - 1).filter(lambda t: t not in (END, CALL))


def _ids(text: str) -> list[int]:
    return tokenizer().encode(text, add_special_tokens=False).ids


def _answer(
    tokens: list[int],
    *,
    stop: tuple[str, ...] = (),
    forced: str | None = None,
    one_call: bool = False,
    logprobs: bool = False,
) -> Collected:
    """Pushes tokens until the answer ends; ends it with "length" if it has not."""
    answer = Answer(
        0,
        plan(Sampling(stop=stop), CONFIG.vocab_size),
        vocabulary(),
        frozenset(CONFIG.stop_ids),
        CALL,
        forced_call=forced,
        one_call=one_call,
    )
    chunks: list[Chunk] = []
    for n, token in enumerate(tokens):
        entry = TokenLogprob(token=str(n), logprob=0.0) if logprobs else None
        chunk = answer.push(token, entry)
        if chunk is not None:
            chunks.append(chunk)
        if answer.finish is not None:
            break
    if answer.finish is None:
        chunks.append(answer.end("length"))
    assert chunks[-1].finish == answer.finish
    return Collected(chunks)


@given(st.lists(PLAIN, max_size=40), st.lists(st.text(min_size=1, max_size=3), max_size=3))
def test_inf_lr_3_text_is_the_decode_up_to_a_stop_string(
    tokens: list[int], stops: list[str]
) -> None:
    got = _answer(tokens, stop=tuple(stops))
    whole = tokenizer().decode(tokens, skip_special_tokens=True)
    assert whole.startswith(got.text())
    assert not any(stop in got.text() for stop in stops)
    if any(stop in whole for stop in stops):
        assert got.finish() == "stop"
    else:
        assert (got.text(), got.finish()) == (whole, "length")


@given(st.lists(PLAIN, max_size=40))
def test_every_token_has_its_logprob_in_order(tokens: list[int]) -> None:
    got = _answer([*tokens, END], logprobs=True)
    assert [entry.token for entry in got.logprobs()] == [str(n) for n in range(len(tokens))]


@given(st.lists(PLAIN, max_size=40))
def test_logprobs_come_with_the_text_of_their_tokens(tokens: list[int]) -> None:
    got = _answer([*tokens, END], logprobs=True)
    raw = b""
    shown = 0
    for chunk in got.chunks:
        for entry in chunk.logprobs:
            raw += vocabulary().pieces[tokens[int(entry.token)]]
        shown += len(chunk.text)
        # What has been entered so far, decoded, is never longer than what has been shown.
        assert len(raw.decode("utf-8", "ignore")) <= shown


def test_logprobs_of_a_cut_answer_end_with_the_text() -> None:
    tokens = _ids("one two three")
    got = _answer(tokens, stop=("thr",), logprobs=True)
    pieces = [vocabulary().text(tokens[int(entry.token)]) for entry in got.logprobs()]
    assert "".join(pieces).startswith(got.text())
    assert got.text() == "one two "


def test_the_end_token_ends_with_stop() -> None:
    got = _answer([*_ids("Hello there"), END, *_ids("never")])
    assert (got.text(), got.finish()) == ("Hello there", "stop")


def test_a_held_back_part_of_a_stop_string_comes_at_the_end() -> None:
    assert _answer([*_ids("the EN"), END], stop=("END",)).text() == "the EN"


def test_a_call_is_a_tool_delta() -> None:
    got = _answer([CALL, *_ids('{"name": "add", "arguments": {"a": 1, "b": [2]}}'), END])
    [call] = got.tools()
    assert (call.index, call.name) == (0, "add")
    assert json.loads(call.arguments) == {"a": 1, "b": [2]}
    assert call.id is not None and call.id.startswith("call_")
    assert (got.text(), got.finish()) == ("", "tool_calls")


def test_several_calls_behind_text() -> None:
    one, two = _ids('{"name": "a", "arguments": {}}'), _ids('{"name": "b", "arguments": {}}')
    got = _answer([*_ids("Look: "), CALL, *one, CALL, *two, END])
    assert [(c.index, c.name) for c in got.tools()] == [(0, "a"), (1, "b")]
    assert len({c.id for c in got.tools()}) == 2
    assert (got.text(), got.finish()) == ("Look: ", "tool_calls")


def test_a_single_call_where_parallel_calls_are_off() -> None:
    one = _ids('{"name": "a", "arguments": {}}')
    got = _answer([*_ids("an EN"), CALL, *one, CALL, *one, END], stop=("END",), one_call=True)
    assert len(got.tools()) == 1
    assert (got.text(), got.finish()) == ("an EN", "tool_calls")


def test_a_forced_call_goes_on_where_the_prompt_ended() -> None:
    got = _answer([*_ids(' {"x": 2}}'), END], forced='{"name": "f", "arguments":')
    [call] = got.tools()
    assert (call.name, json.loads(call.arguments)) == ("f", {"x": 2})


@pytest.mark.parametrize(
    "written",
    [
        '{"name": "a", "arguments": {}',
        '{"name": "a"}',
        '{"name": "a", "arguments": 3}',
        "no call at all",
    ],
)
def test_what_is_no_call_is_given_as_text(written: str) -> None:
    got = _answer([CALL, *_ids(written), END], logprobs=True)
    assert got.tools() == []
    assert (got.text(), got.finish()) == (written, "stop")
    assert len(got.logprobs()) == len(_ids(written))


def test_a_call_that_is_cut_off_is_given_as_text() -> None:
    got = _answer([CALL, *_ids('{"name": "a", "arg')])
    assert (got.text(), got.finish(), got.tools()) == ('{"name": "a", "arg', "length", [])


def test_stop_strings_do_not_cut_a_call_but_cut_a_broken_one() -> None:
    call = _ids('{"name": "STOP", "arguments": {}}')
    assert _answer([CALL, *call, END], stop=("STOP",)).tools()[0].name == "STOP"
    got = _answer([*_ids("x ST"), CALL, *_ids("OP y"), END], stop=("STOP",))
    assert (got.text(), got.finish()) == ("x ", "stop")


def test_logprobs_are_those_of_text_only() -> None:
    call = _ids('{"name": "a", "arguments": {}}')
    tokens = [*_ids("so "), CALL, *call, END]
    got = _answer(tokens, logprobs=True)
    assert [int(e.token) for e in got.logprobs()] == list(range(len(_ids("so "))))
