"""The model that comes along, and the one behind an endpoint that speaks OpenAI's API."""

from __future__ import annotations

import asyncio
import logging
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from packaging.requirements import Requirement

import langcache.service
from langcache import LangCache
from langcache.cli import main
from langcache.service import EmbedderError, LocalServer, OpenAIEmbedder, WordLlamaEmbedder, embedders


@pytest.fixture
async def wordllama():
    embedder = WordLlamaEmbedder()
    await embedder.start()
    return embedder


async def test_wordllama_puts_alike_meanings_close(wordllama):
    vectors = await wordllama.embed(["How do I boil an egg?", "boiling an egg", "the tax office is closed"])
    assert vectors.shape == (3, wordllama.dimensions)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    similarities = (1 + vectors @ vectors[0]) / 2
    assert similarities[1] > 0.85 > 0.7 > similarities[2]
    await wordllama.close()


@pytest.mark.parametrize(
    "asked",
    [
        "where is the café in straßburg?",
        "WHERE IS THE CAFÉ IN STRASSBURG?",
        " Where  is the\tCafé\nin Straßburg? ",
        "Where is the Cafe\u0301 in Straßburg?",
    ],
)
async def test_wordllama_minds_neither_case_nor_spacing_nor_how_accents_are_encoded(wordllama, asked):
    saved, asked = await wordllama.embed(["Where is the Café in Straßburg?", asked])
    assert np.array_equal(saved, asked)


async def test_wordllama_knows_no_text_that_it_can_not_embed(wordllama):
    vectors = await wordllama.embed([" ", "\0", "😀", "漢字", "x" * 1024])
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize(
    "text",
    [
        "How do I reset my password?",
        "Hi",
        "p",
        "x = 1",
        "GPT-4?",
        "José Núñez, Dvořák, Ångström and Škoda",
        "Where is the naïve café in Zürich?",
        "straße",
        "Thanks a lot 😀",
        "Что это такое?",
        "Как сбросить мой пароль?",
        "你好",
        "如何重置我的密码?",
        "for i in range(10): total += prices[i]",
        "What does שלום mean?",
        "x" * 1024,
    ],
)
async def test_wordllama_can_read(wordllama, text):
    assert wordllama.can_read(text)


@pytest.mark.parametrize(
    "text",
    [
        "איך אני מאפס את הסיסמה שלי?",
        "ฉันจะรีเซ็ตรหัสผ่านได้อย่างไร",
        "Πώς επαναφέρω τον κωδικό μου;",
        "كيف أعيد تعيين كلمة المرور؟",
        "मैं अपना पासवर्ड कैसे रीसेट करूँ?",
        "비밀번호를 어떻게 재설정하나요?",
        "パスワードをリセットするにはどうすればいいですか?",
        "Tôi đặt lại mật khẩu của mình như thế nào?",
        "😀😀🎉",
        "12345",
        "<?> ???",
        "",
        " ",
        "\0",
        "Hi! נתראה מחר בבוקר ליד התחנה המרכזית",
    ],
)
async def test_wordllama_can_not_read(wordllama, text):
    assert not wordllama.can_read(text)


async def test_wordllama_reads_alike_what_it_embeds_alike(wordllama):
    for text in ("Straßburg", "STRASSBURG", "Cafe\u0301", "CAFÉ"):
        assert wordllama.can_read(text)


@pytest.mark.wordllama
def test_wordllama_is_loaded_once_however_many_ask(monkeypatch):
    monkeypatch.setattr(embedders, "_wordllama_model", None)
    models = []
    threads = [threading.Thread(target=lambda: models.append(embedders._wordllama())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(models) == 4
    assert len(set(map(id, models))) == 1


@pytest.mark.wordllama
def test_wordllama_needs_no_network_and_leaves_logging_alone():
    code = """
import asyncio, logging, socket
from langcache.service import WordLlamaEmbedder

def refuse(*args, **kwargs):
    raise AssertionError("it went to the network")

socket.socket.connect = socket.getaddrinfo = refuse
embedder = WordLlamaEmbedder()
asyncio.run(embedder.start())
assert asyncio.run(embedder.embed(["hello"])).any()
assert logging.getLogger().handlers == []
assert logging.getLogger().level == logging.WARNING
"""
    subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=120, env={"HOME": "/nonexistent", **_path()}
    )


def _path():
    import os

    return {name: os.environ[name] for name in ("PYTHONPATH", "PATH") if name in os.environ}


def test_quiet_import_undoes_what_an_import_does_to_logging(tmp_path, monkeypatch):
    (tmp_path / "a_loud_package.py").write_text("import logging\nlogging.basicConfig(level=1, force=True)\n")
    monkeypatch.syspath_prepend(tmp_path)
    root = logging.getLogger()
    level = root.level
    embedders._import_quietly("a_loud_package")
    assert root.level == level
    assert all(type(handler) is not logging.StreamHandler for handler in root.handlers)


async def test_a_missing_package_is_said_with_the_command(monkeypatch):
    monkeypatch.setattr(embedders, "_wordllama_model", None)
    monkeypatch.setitem(sys.modules, "wordllama", None)
    monkeypatch.setattr(embedders, "_python_without_wheels", lambda: None)
    with pytest.raises(ImportError, match=r"'wordllama'; install it with: pip install '\.\[local\]'"):
        await WordLlamaEmbedder().start()


@pytest.mark.parametrize(
    ("version", "implementation", "free_threaded", "named"),
    [
        ((3, 10, 1), "CPython", None, None),
        ((3, 13, 0), "CPython", 0, None),
        ((3, 13, 0), "CPython", 1, "CPython 3.13 free-threaded"),
        ((3, 14, 0), "CPython", 0, "CPython 3.14"),
        ((3, 14, 0), "CPython", 1, "CPython 3.14 free-threaded"),
        ((3, 11, 0), "PyPy", None, "PyPy 3.11"),
    ],
)
def test_a_python_without_wheels_of_wordllama_is_known(
    monkeypatch, version, implementation, free_threaded, named
):
    monkeypatch.setattr("sys.version_info", version)
    monkeypatch.setattr("platform.python_implementation", lambda: implementation)
    monkeypatch.setattr("sysconfig.get_config_var", {"Py_GIL_DISABLED": free_threaded}.get)
    assert embedders._python_without_wheels() == named


@pytest.fixture
def _no_wheels(monkeypatch):
    """A Python that WordLlama has no wheels for, and no WordLlama."""
    monkeypatch.setattr(embedders, "_wordllama_model", None)
    monkeypatch.setitem(sys.modules, "wordllama", None)
    monkeypatch.setattr(embedders, "_python_without_wheels", lambda: "CPython 3.14")


NO_WHEELS = (
    r"'wordllama', which has no wheels for CPython 3\.14; use Python 3\.13, or an embeddings endpoint .*"
    r"--embedder openai:URL --embedder-model MODEL.*LocalServer\(embedder=OpenAIEmbedder\(url, model\)\)"
)


@pytest.mark.usefixtures("_no_wheels")
def test_a_server_without_wheels_of_wordllama_says_what_to_do():
    with pytest.raises(ImportError, match=NO_WHEELS), LocalServer():
        pytest.fail("it must not start")


@pytest.mark.usefixtures("_no_wheels")
@pytest.mark.parametrize("command", [["demo"], ["serve", "--port", "0"]])
def test_the_command_line_without_wheels_of_wordllama_says_what_to_do(capsys, command):
    assert main(command) == 1
    errors = capsys.readouterr().err
    assert re.search(NO_WHEELS, errors)
    assert errors.startswith("langcache: ")
    assert errors.count("\n") == 1


@pytest.mark.usefixtures("_no_wheels")
def test_the_pytest_fixture_without_wheels_of_wordllama_says_what_to_do(pytester, plugin_options):
    pytester.makepyfile("def test_it(langcache_server): pass")
    result = pytester.runpytest(*plugin_options)
    result.assert_outcomes(errors=1)
    assert re.search(NO_WHEELS, result.stdout.str())


async def test_an_import_that_fails_for_another_reason_is_not_put_down_to_the_extra(tmp_path, monkeypatch):
    (tmp_path / "a_broken_package.py").write_text("raise ImportError('a library is missing')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(embedders, "_python_without_wheels", lambda: None)
    with pytest.raises(ImportError, match="a library is missing"):
        embedders._import_quietly("a_broken_package")


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


async def test_one_text_is_not_taken_for_its_letters(openai, wordllama):
    for embedder in (openai, wordllama):
        with pytest.raises(TypeError, match="texts: must be a list of texts, but is one str"):
            await embedder.embed("hello")


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
        with pytest.raises(EmbedderError, match="no reply that can be read") as raised:
            await embedder.start()
        assert "the-key" not in f"{raised.value} {raised.value.__cause__} {raised.value.__context__}"
        await embedder.close()


async def test_the_service_works_on_an_endpoint_and_passes_its_failure_on(url, endpoint):
    async with LocalServer(embedder=OpenAIEmbedder(url, "small", timeout=60)) as server:
        client = LangCache(server.url, server.api_key, server.cache_id)
        async with client:
            await client.set_async(prompt="a different thing", response="r")
            assert (await client.search_async(prompt="something different")).response == "r"
            endpoint.reply = answering(503)
            with pytest.raises(langcache.errors.FailedDependencyError, match="can't be embedded"):
                await client.search_async(prompt="a")


@pytest.mark.parametrize(
    ("version", "implementation", "asked_for"),
    [
        ("3.10", "CPython", True),
        ("3.13", "CPython", True),
        ("3.14", "CPython", False),
        ("3.11", "PyPy", False),
    ],
)
def test_the_extra_asks_for_wordllama_only_where_it_has_wheels(version, implementation, asked_for):
    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    requirement = Requirement(re.search(r'"(wordllama>=[^"]+)"', pyproject)[1])
    environment = {"python_version": version, "platform_python_implementation": implementation}
    assert requirement.marker.evaluate(environment) == asked_for
