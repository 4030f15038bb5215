"""WordLlama, the embedder of the extra ``wordllama``."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest

from langcache.service import WordLlamaEmbedder
from langcache.service.embedders import wordllama as wordllama_module


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
    monkeypatch.setattr(wordllama_module, "_wordllama_model", None)
    models = []
    threads = [
        threading.Thread(target=lambda: models.append(wordllama_module._wordllama())) for _ in range(4)
    ]
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


async def test_wordllama_takes_no_text_for_its_letters(wordllama):
    with pytest.raises(TypeError, match="texts: must be a list of texts, but is one str"):
        await wordllama.embed("hello")


@pytest.mark.wordllama
def test_wordllama_has_the_vectors_of_its_own_package_without_loading_it():
    code = """
import asyncio, sys
from pathlib import Path
import numpy as np
from langcache.service import WordLlamaEmbedder
from langcache.service.calibration import UNRELATED_PROMPTS
from langcache.service.embedders.wordllama import _wordllama

model = _wordllama()
assert not {"wordllama", "requests", "pydantic"} & sys.modules.keys()
import wordllama

theirs = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
assert model.tokenizer.get_vocab_size() <= len(theirs.embedding)
texts = [*UNRELATED_PROMPTS, "", "x", "\\0", "caf\\u00e9", "\\u4f60\\u597d", "a " * 400, "line\\n  indented"]
assert np.array_equal(model.embed(texts), theirs.embed(texts))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
