"""Responses that are kept: had again, listed and erased with the official ``openai`` package."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import openai
import pytest

from actinium.core import System
from actinium.errors import StoreError
from actinium.inference import Deployment, Inference
from actinium.inference.limits import Accounts
from actinium.inference.session import SessionActors
from actinium.inference.tenants import Keyring, KeySpec
from actinium.serve import Gateway
from actinium.store import MemoryStore
from actinium.testkit.gateway import Served, served
from actinium.testkit.provider import Provider

TEXT = "Hello from the test."
TOOL: Any = {
    "type": "function", "name": "weather", "description": "The weather.", "strict": False,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}  # fmt: skip
Body = Callable[[Served, openai.AsyncOpenAI, MemoryStore], Awaitable[None]]


def client_of(url: str, key: str = "sk-client") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)


def run(body: Body, *, keeps: bool = True) -> None:
    async def main() -> None:
        store = MemoryStore()
        async with System("t", store=store) as system:
            sessions = SessionActors(system) if keeps else None
            async with served(sessions=sessions) as s, client_of(s.gateway.url) as client:
                await body(s, client, store)

    asyncio.run(main())


def test_what_was_answered_is_had_again() -> None:
    async def body(s: Served, client: openai.AsyncOpenAI, store: MemoryStore) -> None:
        wish: dict[str, Any] = {
            "model": "m", "instructions": "Be short.", "input": "hello there", "temperature": 0.5,
            "metadata": {"for": "test"}, "max_output_tokens": 50,
        }  # fmt: skip
        one = await client.responses.create(**wish)
        stream = await client.responses.create(**wish, stream=True)
        two = [event async for event in stream][-1].response  # type: ignore[union-attr]
        calling = await client.responses.create(model="m", input="weather?", tools=[TOOL])
        for made in (one, two, calling):
            again = await client.responses.retrieve(made.id)
            assert again.model_dump() == made.model_dump()
        assert calling.output[0].type == "function_call"

    run(body)


def test_input_items_are_what_it_was_asked_with() -> None:
    async def body(s: Served, client: openai.AsyncOpenAI, store: MemoryStore) -> None:
        image = "data:image/png;base64,AAAA"
        one = await client.responses.create(
            model="m", instructions="Be short.", input=[{"role": "user", "content": [
                {"type": "input_text", "text": "look"},
                {"type": "input_image", "image_url": image, "detail": "auto"},
            ]}],
        )  # fmt: skip
        two = await client.responses.create(model="m", input="and?", previous_response_id=one.id)
        first = [i async for i in client.responses.input_items.list(one.id)]
        assert [(i.type, i.role) for i in first] == [("message", "user")]  # type: ignore[union-attr]
        assert first[0].content[1].image_url == image  # type: ignore[union-attr]
        items = client.responses.input_items.list(two.id, order="asc", limit=1)
        texts = [i.content[0].text async for i in items]  # type: ignore[union-attr]
        assert texts == ["look", TEXT, "and?"]
        backwards = await client.responses.input_items.list(two.id, limit=2)
        assert [i.content[0].text for i in backwards.data] == ["and?", TEXT]  # type: ignore[union-attr]
        assert backwards.has_more
        for wrong in ({"limit": 0}, {"limit": 101}, {"order": "up"}, {"after": "msg_none"}):
            with pytest.raises(openai.BadRequestError):
                await client.responses.input_items.list(two.id, **wrong)  # type: ignore[arg-type]

    run(body)


def test_an_erased_response_is_gone_and_the_last_takes_everything() -> None:
    async def body(s: Served, client: openai.AsyncOpenAI, store: MemoryStore) -> None:
        one = await client.responses.create(model="m", input="my name is Ada")
        two = await client.responses.create(model="m", input="so?", previous_response_id=one.id)
        await client.responses.delete(one.id)
        for gone in (client.responses.retrieve, client.responses.delete):
            with pytest.raises(openai.NotFoundError):
                await gone(one.id)
        assert (await client.responses.retrieve(two.id)).output_text == TEXT
        items = [i async for i in client.responses.input_items.list(two.id)]
        assert [i.content[0].text for i in items] == ["so?"]  # type: ignore[union-attr]
        three = await client.responses.create(model="m", input="?", previous_response_id=two.id)
        sent = s.provider.seen[-1].body["messages"]
        assert [m["content"] for m in sent] == ["my name is Ada", TEXT, "so?", TEXT, "?"]
        await client.responses.delete(three.id)
        with pytest.raises(openai.BadRequestError) as caught:
            await client.responses.create(model="m", input="x", previous_response_id=three.id)
        assert caught.value.code == "previous_response_not_found"
        assert await store.keys()
        await client.responses.delete(two.id)
        assert await store.keys() == []

    run(body)


def test_what_is_no_kept_response_is_404() -> None:
    async def body(s: Served, client: openai.AsyncOpenAI, store: MemoryStore) -> None:
        other = await client.responses.create(model="m", input="x", store=False)
        named = "resp_0123456789abcdef"  # a session of the chat door, with a name like a response
        await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hi"}],
            extra_headers={"x-session-id": named},
        )  # fmt: skip
        for id in (other.id, named, "nonsense", f"{named}-2", f"{named}-0", f"{named}/more"):
            for door in (client.responses.retrieve, client.responses.delete):
                with pytest.raises(openai.NotFoundError):
                    await door(id)
            with pytest.raises(openai.NotFoundError):
                await client.responses.input_items.list(id)
        assert await store.keys() == [f"session/{named}"]
        made = await client.responses.create(model="m", input="x")
        with pytest.raises(openai.BadRequestError) as caught:
            await client.responses.retrieve(made.id, stream=True)
        assert caught.value.param == "stream"

    run(body)


def test_without_a_store_it_says_so() -> None:
    async def body(s: Served, client: openai.AsyncOpenAI, store: MemoryStore) -> None:
        made = await client.responses.create(model="m", input="x")
        for door in (client.responses.retrieve, client.responses.delete):
            with pytest.raises(openai.BadRequestError, match="start it with a store"):
                await door(made.id)

    run(body, keeps=False)


def test_a_store_that_fails_is_503_and_erases_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(s: Served, client: openai.AsyncOpenAI, store: MemoryStore) -> None:
        one = await client.responses.create(model="m", input="x")
        await client.responses.create(model="m", input="y", previous_response_id=one.id)

        async def broken(*given: Any) -> Any:
            raise StoreError("the disk is full")

        with monkeypatch.context() as m:
            m.setattr(store, "save", broken)
            with pytest.raises(openai.InternalServerError, match="could not be erased") as caught:
                await client.responses.delete(one.id)
            assert caught.value.status_code == 503
            m.setattr(store, "read", broken)
            with pytest.raises(openai.InternalServerError, match="could not be read"):
                await client.responses.retrieve(one.id)
        assert (await client.responses.retrieve(one.id)).id == one.id

    run(body)


def test_inf_GW_1_a_response_is_its_tenants() -> None:
    """Another tenant's key, and the operator's, get the same 404 as for one that never was."""

    async def main() -> None:
        store = MemoryStore()
        async with Provider() as upstream, System("t", store=store) as system:
            deployment = Deployment(
                name="m", model="x", runtime="openai", base_url=upstream.base_url, price="free"
            )
            inference = Inference([deployment], sessions=SessionActors(system), accounts=Accounts())
            await inference.start()
            keys = Keyring(inference, store=MemoryStore())
            async with Gateway(inference, port=0, keys=keys, api_key="sk-operator") as gateway:
                secrets = [
                    (await keys.create(KeySpec(name="k", tenant=name))).secret.reveal()
                    for name in ("acme", "other")
                ]
                async with (
                    client_of(gateway.url, secrets[0]) as own,
                    client_of(gateway.url, secrets[1]) as foreign,
                    client_of(gateway.url, "sk-operator") as operator,
                ):
                    made = await own.responses.create(model="m", input="secret")
                    for client in (foreign, operator):
                        for door in (client.responses.retrieve, client.responses.delete):
                            with pytest.raises(openai.NotFoundError):
                                await door(made.id)
                        with pytest.raises(openai.NotFoundError):
                            await client.responses.input_items.list(made.id)
                    assert (await own.responses.retrieve(made.id)).output_text == TEXT
                    await own.responses.delete(made.id)
                    assert await store.keys() == []
            await inference.close(drain=0)

    asyncio.run(main())
