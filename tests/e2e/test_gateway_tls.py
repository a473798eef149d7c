"""The gateway over TLS, with certificates of an authority made here."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import openai
import pytest
import trustme
from cli_support import Server, serving

from actinium.base.tls import ServerTls, Tls
from actinium.errors import ConfigError
from actinium.inference import Deployment, Inference
from actinium.serve import Gateway, Limits
from actinium.testkit.provider import Provider
from actinium.testkit.rawhttp import chat, post


def issue(folder: Path, ca: trustme.CA, name: str = "server") -> Tls:
    """A certificate for loopback; two of the same name replace each other."""
    cert = ca.issue_cert("127.0.0.1", "localhost")
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_bytes(b"".join(blob.bytes() for blob in cert.cert_chain_pems))
    key.write_bytes(cert.private_key_pem.bytes())
    return Tls(cert=str(chain), key=str(key))


def trusting(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


@asynccontextmanager
async def secured(tls: Tls, limits: Limits | None = None) -> AsyncIterator[Gateway]:
    async with Provider() as upstream:
        deployment = Deployment(
            name="m", model="gpt-4o", runtime="openai", base_url=upstream.base_url
        )
        inference = Inference([deployment])
        await inference.start()
        try:
            async with Gateway(inference, port=0, tls=tls, limits=limits) as gateway:
                yield gateway
        finally:
            await inference.close(drain=0)


def test_the_official_client_over_https(tmp_path: Path) -> None:
    ca = trustme.CA()

    async def main() -> None:
        async with secured(issue(tmp_path, ca)) as gateway:
            assert gateway.url.startswith("https://127.0.0.1:")
            async with (
                httpx.AsyncClient(verify=trusting(ca)) as http,
                openai.AsyncOpenAI(
                    base_url=f"{gateway.url}/v1", api_key="none", http_client=http
                ) as client,
            ):
                hello = [{"role": "user", "content": "hi"}]
                whole = await client.chat.completions.create(model="m", messages=hello)  # type: ignore[arg-type]
                assert whole.choices[0].message.content == "Hello from the test."
                stream = await client.chat.completions.create(  # type: ignore[call-overload]
                    model="m", messages=hello, stream=True
                )
                text = "".join([c.choices[0].delta.content or "" async for c in stream])
                assert text == "Hello from the test."

    asyncio.run(main())


def test_who_does_not_trust_the_authority_gets_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with secured(issue(tmp_path, trustme.CA())) as gateway, httpx.AsyncClient() as http:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await http.get(f"{gateway.url}/healthz")

    asyncio.run(main())


@pytest.mark.parametrize(("minimum", "spoken"), [("1.2", "TLSv1.2"), ("1.3", None)])
def test_older_versions_than_the_least_are_refused(
    tmp_path: Path, minimum: str, spoken: str | None
) -> None:
    ca = trustme.CA()
    own = issue(tmp_path, ca)
    tls = Tls(cert=own.cert, key=own.key, minimum=minimum)  # type: ignore[arg-type]

    async def main() -> None:
        async with secured(tls) as gateway:
            context = trusting(ca)
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            port = int(gateway.url.rpartition(":")[2])
            if spoken is None:
                with pytest.raises((ssl.SSLError, ConnectionResetError)):
                    await asyncio.open_connection("127.0.0.1", port, ssl=context)
                return
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            assert writer.get_extra_info("ssl_object").version() == spoken
            writer.close()
            await writer.wait_closed()

    asyncio.run(main())


def test_clients_must_show_a_certificate_of_the_authority(tmp_path: Path) -> None:
    ca, others = trustme.CA(), trustme.CA()
    (tmp_path / "ca.pem").write_bytes(ca.cert_pem.bytes())
    own = issue(tmp_path, ca)
    tls = Tls(cert=own.cert, key=own.key, client_ca=str(tmp_path / "ca.pem"))

    async def status(gateway: Gateway, shown: trustme.LeafCert | None) -> int:
        context = trusting(ca)
        if shown is not None:
            shown.configure_cert(context)
        async with httpx.AsyncClient(verify=context) as http:
            return (await http.get(f"{gateway.url}/healthz")).status_code

    async def main() -> None:
        async with secured(tls) as gateway:
            assert await status(gateway, ca.issue_cert("client@example.org")) == 200
            for shown in (None, others.issue_cert("client@example.org")):
                with pytest.raises(httpx.TransportError):
                    await status(gateway, shown)

    asyncio.run(main())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_an_authority_that_was_taken_away_opens_no_session(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    ca, others = trustme.CA(), trustme.CA()
    (tmp_path / "ca.pem").write_bytes(ca.cert_pem.bytes())
    own = issue(tmp_path, ca)
    tls = Tls(cert=own.cert, key=own.key, client_ca=str(tmp_path / "ca.pem"))
    context = trusting(ca)
    context.minimum_version = context.maximum_version = version
    ca.issue_cert("client@example.org").configure_cert(context)

    def asked(port: int, session: ssl.SSLSession | None) -> tuple[bytes, ssl.SSLSession | None]:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as secure,
        ):
            secure.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            return secure.recv(100), secure.session

    async def main() -> None:
        async with secured(tls) as gateway:
            port = int(gateway.url.rpartition(":")[2])
            answer, session = await asyncio.to_thread(asked, port, None)
            assert answer.startswith(b"HTTP/1.1 200")
            (tmp_path / "ca.pem").write_bytes(others.cert_pem.bytes())
            gateway.reload()
            for known in (None, session):
                answer = b""
                with suppress(OSError):
                    answer, _ = await asyncio.to_thread(asked, port, known)
                assert answer == b""

    asyncio.run(main())


def test_a_renewed_certificate_is_shown_to_new_connections(tmp_path: Path) -> None:
    old, new = trustme.CA(), trustme.CA()
    issue(tmp_path, old)

    async def main() -> None:
        async with secured(issue(tmp_path, old)) as gateway:
            url = f"{gateway.url}/healthz"
            async with httpx.AsyncClient(verify=trusting(old)) as kept:
                assert (await kept.get(url)).status_code == 200
                issue(tmp_path, new)
                gateway.reload()
                assert (await kept.get(url)).status_code == 200, "an open connection goes on"
                async with httpx.AsyncClient(verify=trusting(new)) as http:
                    assert (await http.get(url)).status_code == 200
                async with httpx.AsyncClient(verify=trusting(old)) as http:
                    with pytest.raises(httpx.ConnectError):
                        await http.get(url)

    asyncio.run(main())


def test_files_that_cannot_be_used_are_told_and_the_old_ones_stay(tmp_path: Path) -> None:
    tls = issue(tmp_path, trustme.CA())
    server = ServerTls(tls)
    key = Path(tls.key).read_bytes()
    Path(tls.key).write_text("no key")
    with pytest.raises(ConfigError, match="expected two PEM files that belong together"):
        server.reload()
    Path(tls.key).write_bytes(key)
    with pytest.raises(ConfigError, match="No such file or directory"):
        Tls(cert=str(tmp_path / "none.pem"), key=tls.key).context()
    other = issue(tmp_path, trustme.CA(), "other")
    with pytest.raises(ConfigError, match="belong together"):
        Tls(cert=tls.cert, key=other.key).context()
    with pytest.raises(ConfigError, match=r"tls\.client_ca"):
        Tls(cert=tls.cert, key=tls.key, client_ca=tls.key).context()
    with pytest.raises(ConfigError, match=r"tls\.cert: expected the path"):
        Tls(cert="", key=tls.key)


@pytest.mark.parametrize("hello", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\xff\xff"])
def test_what_is_no_handshake_is_dropped(tmp_path: Path, hello: bytes) -> None:
    async def main() -> None:
        limits = Limits(head_seconds=0.2)
        async with secured(issue(tmp_path, trustme.CA()), limits) as gateway:
            port = int(gateway.url.rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(hello)
            with suppress(ConnectionError):
                assert b"HTTP" not in await reader.read()
            writer.close()

    asyncio.run(main())


def test_a_refused_request_gets_its_answer(tmp_path: Path) -> None:
    """What is thrown away after a refusal does not take the answer with it."""
    ca = trustme.CA()

    async def main() -> None:
        async with secured(issue(tmp_path, ca), Limits(body_bytes=64)) as gateway:
            port = int(gateway.url.rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting(ca))
            writer.write(post(chat("x" * 5000)))
            assert (await reader.readline()).split()[1] == b"413"
            writer.close()

    asyncio.run(main())


def test_sighup_reads_the_certificate_anew(tmp_path: Path) -> None:
    old, new = trustme.CA(), trustme.CA()
    issue(tmp_path, old)
    config = tmp_path / "actinium.toml"
    config.write_text('[gateway.tls]\ncert = "server.pem"\nkey = "server.key"\n')

    def works(server: Server, ca: trustme.CA) -> bool:
        try:
            return httpx.get(f"{server.url}/healthz", verify=trusting(ca)).status_code == 200
        except httpx.ConnectError:
            return False

    with serving(tmp_path, str(config), "--no-store") as server:
        assert server.url.startswith("https://")
        assert works(server, old)
        issue(tmp_path, new)
        assert works(server, old), "until it is told"
        server.signal(signal.SIGHUP)
        while not works(server, new):
            assert server.process.poll() is None
        (tmp_path / "server.key").write_text("broken")
        server.signal(signal.SIGHUP)
        assert works(server, new)
        server.signal()
        code, _, errors = server.end()
        assert code == 0 and "not reloaded" in errors and "belong together" in errors
