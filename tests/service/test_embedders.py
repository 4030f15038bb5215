"""What every embedder does, and the one for an endpoint that speaks OpenAI's API."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

import langcache.service
from langcache import LangCache
from langcache.service import EmbedderError, LocalServer, MiniLMEmbedder, OpenAIEmbedder


def test_a_missing_numpy_is_said_with_the_command():
    code = "import sys; sys.modules['numpy'] = None; from langcache.service import LocalServer"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert "ImportError: langcache.service needs the package 'numpy'" in done.stderr
    assert "pip install '.[local]'" in done.stderr


@pytest.mark.parametrize(("missing", "expected"), [("numpy", ImportError), ("other", ModuleNotFoundError)])
def test_only_what_the_extra_brings_is_put_down_to_it(monkeypatch, missing, expected):
    def fail(*args):
        raise ModuleNotFoundError(name=missing)

    monkeypatch.setattr(langcache.service, "_load", fail)
    with pytest.raises(expected) as raised:
        langcache.service.LocalServer  # noqa: B018
    assert type(raised.value) is expected


def test_every_public_name_is_there():
    for name in langcache.service.__all__:
        assert getattr(langcache.service, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        langcache.service.nothing  # noqa: B018


class Endpoint:
    """Speaks OpenAI's embeddings API; ``reply`` is what it sends in place of the right answer."""

    def __init__(self) -> None:
        self.requests = []
        self.headers = []
        self.reply = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        self.headers.append(request.headers)
        if self.reply is not None:
            return await self.reply()
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": [3.0, 0.0, 4.0 if "different" in text else 0.0],
            }
            for index, text in enumerate(body["input"])
        ]
        return web.json_response({"object": "list", "data": data[::-1], "model": body["model"], "usage": {}})


@pytest.fixture
def endpoint():
    return Endpoint()


@pytest.fixture
async def url(endpoint):
    app = web.Application()
    app.router.add_post("/v1/embeddings", endpoint.answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/v1"))


@pytest.fixture
async def openai(url, endpoint):
    embedder = OpenAIEmbedder(url, "small", "the-key", timeout=60)
    await embedder.start()
    yield embedder
    await embedder.close()


async def test_openai_embeds_what_it_is_asked_for_in_order(openai, endpoint):
    vectors = await openai.embed(["same", "different"])
    assert np.allclose(vectors, [[1, 0, 0], [0.6, 0, 0.8]])
    assert (openai.name, openai.dimensions) == ("openai/small", 3)
    assert endpoint.requests[-1] == {
        "model": "small",
        "input": ["same", "different"],
        "encoding_format": "float",
    }
    assert endpoint.headers[-1]["Authorization"] == "Bearer the-key"


async def test_one_text_is_not_taken_for_its_letters(openai):
    minilm = MiniLMEmbedder()
    await minilm.start()
    for embedder in (openai, minilm):
        with pytest.raises(TypeError, match="texts: must be a list of texts, but is one str"):
            await embedder.embed("hello")


async def test_no_texts_are_no_vectors(openai, endpoint):
    minilm = MiniLMEmbedder()
    await minilm.start()
    endpoint.requests.clear()
    for embedder in (openai, minilm):
        assert (await embedder.embed([])).shape == (0, embedder.dimensions)
    assert endpoint.requests == []


async def test_openai_asks_for_no_more_texts_at_once_than_every_endpoint_takes(openai, endpoint):
    endpoint.requests.clear()
    texts = ["different" if number % 3 else "same" for number in range(100)]
    vectors = await openai.embed(texts)
    assert [row[2] > 0 for row in vectors] == [text == "different" for text in texts]
    assert [len(request["input"]) for request in endpoint.requests] == [32, 32, 32, 4]


async def test_openai_needs_no_key(url, endpoint):
    embedder = OpenAIEmbedder(url + "/", "small", timeout=60)
    await embedder.start()
    await embedder.close()
    await embedder.close()
    assert "Authorization" not in endpoint.headers[-1]


def answering(status=200, **reply):
    async def answer():
        return web.json_response(status=status, **reply)

    return answer


async def never():
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (answering(401, data={"error": "Incorrect API key: the-key"}), "answered 401 Unauthorized"),
        (answering(429), "answered 429 Too Many Requests"),
        (answering(401, reason="the-key is not known"), "answered 401 Unauthorized$"),
        (answering(499, reason="the-key"), "answered 499$"),
        (answering(text="x", headers={"Content-Encoding": "the-key"}), "sent no embeddings"),
        (answering(302, headers={"Location": "http://127.0.0.1:9/"}), "answered 302 Found"),
        (answering(text="<html>"), "sent no embeddings"),
        (answering(data={"data": [{"embedding": [1e39, 0.0, 0.0]}]}), "sent no embeddings"),
        (answering(data={"data": []}), "sent an array of"),
        (answering(data={"data": [{"embedding": [1.0]}]}), "sent an array of"),
        (answering(data={"data": [{"embedding": [1.0]}, {"embedding": [1.0, 2.0]}]}), "sent no embeddings"),
    ],
)
async def test_an_endpoint_that_fails_is_an_embedder_error_without_the_key(openai, endpoint, reply, message):
    endpoint.reply = reply
    with pytest.raises(EmbedderError, match=message) as raised:
        await openai.embed(["a"])
    assert "the-key" not in str(raised.value)


async def test_an_endpoint_that_never_answers_ends_in_time(url, endpoint):
    embedder = OpenAIEmbedder(url, "small", timeout=0.05)
    endpoint.reply = never
    with pytest.raises(EmbedderError, match=r"no answer in 0\.05 seconds"):
        await embedder.start()
    await embedder.close()


async def test_an_endpoint_that_is_not_there_is_said():
    embedder = OpenAIEmbedder("http://127.0.0.1:9/v1", "small")
    with pytest.raises(EmbedderError, match="not started"):
        await embedder.embed(["a"])
    with pytest.raises(EmbedderError, match="can't be reached"):
        await embedder.start()
    await embedder.close()


@pytest.mark.parametrize(("url", "model"), [("localhost/v1", "m"), ("ftp://x", "m"), ("http://x", "")])
def test_an_endpoint_that_can_not_be_is_refused(url, model):
    with pytest.raises(ValueError, match=r"url: must begin|model: is empty"):
        OpenAIEmbedder(url, model)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://user:PASSWORD@host/",
        "user:PASSWORD@host/v1",
        "http://user:PASSW#ORD@127.0.0.1:9/v1",
        "http://user:PASSW?ORD@127.0.0.1:9/v1",
        "http://user:PASSW/ORD@127.0.0.1:9/v1",
        "http://user:PASSWORD@bad host:99999/",
        "http://user:PASSWORD@host:port/",
        "http://user:PASSWORD@[::1/",
        "http://127.0.0.1:9/v1?key=PASSWORD",
        "http:///PASSWORD",
    ],
)
async def test_no_message_has_the_password_of_an_url(url):
    with pytest.raises(ValueError, match=r"^url: ") as raised:
        OpenAIEmbedder(url, "m")
    assert "PASSW" not in str(raised.value) + repr(raised.value.__context__) + repr(raised.value.__cause__)


@pytest.mark.parametrize("key", ["sk-SECRET\n", " sk-SECRET", "sk-SE\x00CRET", "sk-SÉCRET", "sk SECRET"])
async def test_a_key_that_can_be_none_is_refused_without_being_shown(key):
    with pytest.raises(ValueError, match=r"^api_key: has a character") as raised:
        OpenAIEmbedder("http://127.0.0.1:9/v1", "m", key)
    assert key.strip() not in repr(raised.value)


async def test_a_key_and_a_user_in_the_url_are_one_too_many():
    with pytest.raises(ValueError, match=r"^api_key: can't be given along"):
        OpenAIEmbedder("http://:PASSWORD@127.0.0.1:9/v1", "m", "the-key")


async def test_a_reply_that_is_not_http_is_not_quoted():
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 the-key\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        embedder = OpenAIEmbedder(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "m", "the-key")
        try:
            with pytest.raises(EmbedderError, match="no reply that can be read") as raised:
                await embedder.start()
        finally:
            await embedder.close()
        assert "the-key" not in f"{raised.value} {raised.value.__cause__} {raised.value.__context__}"


async def test_the_service_works_on_an_endpoint_and_passes_its_failure_on(url, endpoint):
    async with LocalServer(embedder=OpenAIEmbedder(url, "small", timeout=60)) as server:
        client = LangCache(server.url, server.api_key, server.cache_id)
        async with client:
            await client.set_async(prompt="a different thing", response="r")
            assert (await client.search_async(prompt="something different")).response == "r"
            endpoint.reply = answering(503)
            with pytest.raises(langcache.errors.FailedDependencyError, match="can't be embedded"):
                await client.search_async(prompt="a")
