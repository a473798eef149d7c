"""The life of a token, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from actinium.base.secret import Secret
from actinium.errors import UpstreamAuth
from actinium.inference.runners.token import Token, Tokens
from actinium.testkit import VirtualLoop


class Source:
    """Gives token after token, each a second after it was asked for."""

    def __init__(self, *, renew: float | None, ends: float | None) -> None:
        self.given = 0
        self.fails = False
        self._renew = renew
        self._ends = ends

    async def fetch(self) -> Token:
        await asyncio.sleep(1)
        if self.fails:
            raise UpstreamAuth("no token today")
        self.given += 1
        return Token(Secret(f"token-{self.given}"), self._renew, self._ends)


def run(
    body: Callable[[Tokens, Source], Awaitable[None]],
    *,
    renew: float | None = 10,
    ends: float | None = 20,
) -> None:
    source = Source(renew=renew, ends=ends)

    async def main() -> None:
        tokens = Tokens(source.fetch)
        await body(tokens, source)
        await tokens.close()

    loop = VirtualLoop()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


async def now(tokens: Tokens) -> str:
    return (await tokens.secret()).reveal()


def test_one_question_for_all_who_wait_and_one_may_leave() -> None:
    async def body(tokens: Tokens, source: Source) -> None:
        asked = [asyncio.ensure_future(now(tokens)) for _ in range(4)]
        await asyncio.sleep(0.5)
        asked[0].cancel()
        assert await asyncio.gather(*asked[1:]) == ["token-1"] * 3
        assert source.given == 1

    run(body)


def test_the_old_one_serves_while_the_new_one_is_fetched() -> None:
    async def body(tokens: Tokens, source: Source) -> None:
        await now(tokens)
        await asyncio.sleep(11)
        began = asyncio.get_running_loop().time()
        assert await now(tokens) == await now(tokens) == "token-1"
        assert asyncio.get_running_loop().time() == began, "nobody waits"
        await asyncio.sleep(1.5)
        assert await now(tokens) == "token-2" and source.given == 2

    run(body)


def test_one_that_has_ended_is_not_used() -> None:
    async def body(tokens: Tokens, source: Source) -> None:
        await now(tokens)
        await asyncio.sleep(21)
        assert await now(tokens) == "token-2"

    run(body)


def test_a_renewal_that_fails_is_tried_again_and_told_at_the_end() -> None:
    async def body(tokens: Tokens, source: Source) -> None:
        await now(tokens)
        source.fails = True
        await asyncio.sleep(10.5)
        assert await now(tokens) == "token-1"
        await asyncio.sleep(2)
        assert await now(tokens) == "token-1"
        await asyncio.sleep(10)
        with pytest.raises(UpstreamAuth, match="no token today"):
            await now(tokens)
        source.fails = False
        assert await now(tokens) == "token-2"

    run(body)


def test_without_an_end_it_is_used_until_it_is_refused() -> None:
    async def body(tokens: Tokens, source: Source) -> None:
        first = await tokens.secret()
        await asyncio.sleep(10_000)
        assert await tokens.secret() is first
        newer = await asyncio.gather(*(tokens.after_refusal(first) for _ in range(3)))
        assert [n and n.reveal() for n in newer] == ["token-2"] * 3 and source.given == 2
        assert await tokens.after_refusal(first) == newer[0], "it is there already"

    run(body, renew=None, ends=None)
