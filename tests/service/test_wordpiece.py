"""Our WordPiece tokenizer gives what BERT's gives."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache.service.embedders.minilm import _VOCABULARY
from langcache.service.embedders.wordpiece import WordPiece, read_vocabulary
from langcache.service.quality import pairs, questions

VOCABULARY = read_vocabulary(_VOCABULARY)
UNCASED = WordPiece(VOCABULARY)
CASED = WordPiece(VOCABULARY, lowercase=False)
NO_CHINESE = WordPiece(VOCABULARY, strip_accents=False, split_chinese=False)


def original(**options):
    """The package's own tokenizer for the same model."""
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(VOCABULARY, unk_token="[UNK]"))
    made.normalizer = tokenizers.normalizers.BertNormalizer(**options)
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    return lambda text: made.encode(text, add_special_tokens=False).ids


@pytest.fixture(scope="module")
def originals():
    return [
        (UNCASED, original(lowercase=True)),
        (CASED, original(lowercase=False)),
        (NO_CHINESE, original(lowercase=True, strip_accents=False, handle_chinese_chars=False)),
    ]


TEXTS = [text for pair in pairs() for text in (pair.saved, pair.asked)]
TEXTS += [text for question in questions() for text in (question.prompt, question.paraphrase)]
TEXTS += [
    "",
    " ",
    "a" * 100,
    "a" * 101,
    "don't",
    "naïve café",
    "\x00a\x0bb\ufffdc\u00add",
    "ΑΣ ΣΑΣ",
    "İstanbul",
]
TEXTS += [
    "a\u2028b\u3000c\u200bd",
    "C++ != C#",
    "$5.00",
    "`x`|y~z^",
    "①②③",
    "ﬁne",
    "한국어",
    "a你b好",
    "😀x😀",
    "e\u0301",
]


def test_texts_in_many_languages_fall_into_the_same_pieces(originals):
    assert len(TEXTS) > 600
    for ours, theirs in originals:
        assert [text for text in TEXTS if ours.encode(text) != theirs(text)] == []


# What Unicode had before 2015: the package's tables are as old.
OLD = st.characters(min_codepoint=1, max_codepoint=0x058F, exclude_categories=["Cn", "Cs"])


@given(st.text(st.one_of(OLD, st.sampled_from("ab Ωß你ไก่אب \t\n-_$ü\u0301한"))))
def test_any_text_falls_into_the_same_pieces(originals, text):
    for ours, theirs in originals:
        assert ours.encode(text) == theirs(text)


def test_signs_to_the_model_in_a_text_are_text():
    assert VOCABULARY["[SEP]"] not in UNCASED.encode("a [SEP] b")


def test_words_come_with_their_pieces():
    assert dict(UNCASED.words("Straßenbahn? 你")) == {
        "straßenbahn": ["st", "raße", "nb", "ah", "n"],
        "?": ("?",),
        "你": (),
    }


def test_a_vocabulary_of_another_kind_is_refused():
    with pytest.raises(
        ValueError, match=r"the vocabulary has no \[UNK\], \[CLS\], so it is not one of a BERT"
    ):
        WordPiece({"a": 0, "[SEP]": 1})


def test_the_vocabulary_is_the_one_that_the_model_was_made_with():
    digest = hashlib.sha256(_VOCABULARY.read_bytes()).hexdigest()
    assert digest == "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
    assert "Apache License" in _VOCABULARY.with_suffix(".LICENSE").read_text("utf-8")
