"""A service with an embedder whose similarities can be worked out by hand, and a bare HTTP client for it."""

from __future__ import annotations

import io
import json
import re
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from angle_embedder import AngleEmbedder
from redis_servers import Server, shared_server

from langcache.service import LocalServer
from langcache.service.quality import questions


class Api:
    """Calls a server over HTTP and gives back status and decoded body, if there is one."""

    def __init__(self, server: LocalServer, session: aiohttp.ClientSession) -> None:
        self._server = server
        self._session = session

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: bytes | None = None,
        cache_id: str | None = None,
        authorization: str | None = None,
    ) -> tuple[int, Any]:
        url = f"{self._server.url}/v1/caches/{cache_id or self._server.cache_id}/{path}"
        headers = {
            "Authorization": f"Bearer {self._server.api_key}" if authorization is None else authorization
        }
        if content is None and body is not None:
            content = json.dumps(body).encode()
        data = None if content is None else io.BytesIO(content)  # aiohttp warns of large bytes
        async with self._session.request(method, url, data=data, headers=headers) as reply:
            text = await reply.text()
            if reply.status != 204:
                assert reply.content_type == "application/json"
            return reply.status, json.loads(text) if text else None

    async def set(self, prompt: str, response: str = "answer", **fields: Any) -> str:
        status, body = await self("POST", "entries", {"prompt": prompt, "response": response, **fields})
        assert status == 201, body
        return body["entryId"]

    async def search(self, prompt: str, **fields: Any) -> list[dict[str, Any]]:
        status, body = await self("POST", "entries/search", {"prompt": prompt, **fields})
        assert status == 200, body
        return body["data"]


@pytest.fixture
def embedder() -> AngleEmbedder:
    return AngleEmbedder()


@pytest.fixture
def kept() -> dict[str, Any]:
    """Where the server of `server` keeps its entries: arguments of `LocalServer`."""
    return {}


@pytest.fixture
def server(embedder: AngleEmbedder, kept: dict[str, Any]) -> Iterator[LocalServer]:
    with LocalServer(attributes=("topic", "tenant"), embedder=embedder, **kept) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Server:
    """A Redis for all tests of this process, each of which has a prefix of its own: see `redis_at`."""
    return shared_server()


@pytest.fixture
def redis_at(request: pytest.FixtureRequest) -> str:
    """The URL of a Redis in which a test finds nothing, whatever other tests have left there."""
    server = request.getfixturevalue("redis_server")
    server.do("FLUSHALL")
    return f"{server.url}?prefix={uuid.uuid4().hex}"


@pytest.fixture
def kept_in(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """Arguments of `LocalServer` by the name of a store."""

    def kept_in(name: str) -> dict[str, Any]:
        if name == "redis":
            return {"store": request.getfixturevalue("redis_at")}
        return {"db": tmp_path / "cache.db"} if name == "sqlite" else {}

    return kept_in


@pytest.fixture
async def api(server: LocalServer) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as session:
        yield Api(server, session)


@pytest.fixture
def api_of(session: aiohttp.ClientSession) -> Callable[[LocalServer], Api]:
    """Makes a client for a server of the test's own."""
    return lambda server: Api(server, session)


@pytest.fixture
def model_folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder with an ONNX model that has a fixed vector for each piece, and no tokenizer."""
    onnx = pytest.importorskip("onnx")

    def make(
        name: str = "model",
        *,
        pieces: int = 2000,
        quantized: bool = False,
        pooled: bool = False,
        integers: str = "INT64",
        inputs: Sequence[str] = ("input_ids", "attention_mask"),
    ) -> Path:
        helper, types = onnx.helper, onnx.TensorProto
        table = np.random.default_rng(1).normal(size=(pieces, 4)).astype(np.float32)
        raw = "raw" if quantized else "last_hidden_state"
        nodes = [helper.make_node("Gather", ["table", "input_ids"], [raw])]
        if quantized:  # to the range of all activations of a run
            nodes.append(helper.make_node("DynamicQuantizeLinear", [raw], ["q", "scale", "zero"]))
            nodes.append(helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["last_hidden_state"]))
        outputs = [helper.make_tensor_value_info("last_hidden_state", types.FLOAT, ["batch", "length", 4])]
        if pooled:
            nodes.append(helper.make_node("ReduceMax", [raw], ["sentence_embedding"], axes=[1], keepdims=0))
            outputs.append(helper.make_tensor_value_info("sentence_embedding", types.FLOAT, ["batch", 4]))
        kind = getattr(types, integers)
        given = [helper.make_tensor_value_info(each, kind, ["batch", "length"]) for each in inputs]
        weights = [onnx.numpy_helper.from_array(table, "table")]
        graph = helper.make_graph(nodes, "tiny", given, outputs, weights)
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        opset = helper.make_opsetid("", 13)
        onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), folder / "model.onnx")
        np.save(folder / "table.npy", table)
        return folder

    return make


@pytest.fixture
def unigram_folder(model_folder: Callable[..., Path]) -> Path:
    """A folder with a tokenizer that only the package ``tokenizers`` can read, for English and Hebrew."""
    tokenizers = pytest.importorskip("tokenizers")
    folder = model_folder("unigram")
    asked = [each for each in questions() if each.language in ("English", "Hebrew")]
    words = {word for each in asked for word in re.findall(r"\w+", each.prompt.casefold())}
    pieces = ["<s>", "</s>", "<unk>", *(f"▁{word}" for word in words), "?", *set("".join(words))]
    scored = [(piece, -float(number)) for number, piece in enumerate(pieces)]
    made = tokenizers.Tokenizer(tokenizers.models.Unigram(scored, unk_id=2, byte_fallback=False))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    made.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def plugin_options() -> list[str]:
    """What gives the plugin to another pytest run: an installed langcache brings it, a checkout does not."""
    plugin = "langcache.service.pytest_plugin"
    installed = any(point.value == plugin for point in entry_points(group="pytest11"))
    return ["-p", "no:asyncio", *([] if installed else ["-p", plugin])]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
