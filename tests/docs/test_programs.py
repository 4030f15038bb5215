"""The programs of docs/programs.md are as short as they were meant to be, and do what they say."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
from programs import FASTAPI, PYTEST, THREADS

from langcache.service import LocalServer


@pytest.mark.parametrize(
    ("program", "lines"),
    [(FASTAPI, 65), (THREADS, 45), (PYTEST, 40)],
    ids=["fastapi", "threads", "pytest"],
)
def test_a_program_is_short(program, lines):
    assert len(program.splitlines()) <= lines


@pytest.fixture(autouse=True)
def _service(monkeypatch):
    with LocalServer(attributes=("tenant",)) as server:
        monkeypatch.setenv("LANGCACHE_SERVER_URL", server.url)
        monkeypatch.setenv("LANGCACHE_API_KEY", server.api_key)
        monkeypatch.setenv("LANGCACHE_CACHE_ID", server.cache_id)
        yield


async def get(app, path, query, tenant):
    """The header X-Cache and the body of a reply to a GET."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "query_string": query,
        "headers": [(b"x-tenant", tenant)],
    }
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    assert sent[0]["status"] == 200
    return dict(sent[0]["headers"]).get(b"x-cache"), b"".join(each.get("body", b"") for each in sent)


async def test_the_web_program_streams_to_each_tenant_its_own_answers(tmp_path):
    for needed in ("fastapi", "opentelemetry.sdk"):
        pytest.importorskip(needed)
    path = tmp_path / "ask.py"
    path.write_text(FASTAPI)
    spec = importlib.util.spec_from_file_location("ask", path)
    program = importlib.util.module_from_spec(spec)
    sys.modules["ask"] = program  # where FastAPI looks for what annotations name
    try:
        spec.loader.exec_module(program)
        async with program.lifespan(program.app):
            answer = b"An answer to: a?"
            assert await get(program.app, "/ask", b"question=a?", b"acme") == (b"miss", answer)
            assert await get(program.app, "/ask", b"question=a?", b"acme") == (b"hit", answer)
            assert await get(program.app, "/ask", b"question=a?", b"initech") == (b"miss", answer)
    finally:
        del sys.modules["ask"]


def test_the_threads_program_answers_all(tmp_path):
    (tmp_path / "threads.py").write_text(THREADS)
    done = subprocess.run(
        [sys.executable, "-W", "error", "threads.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("An answer to: ") == 3
