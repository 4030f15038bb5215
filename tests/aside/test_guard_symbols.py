"""The lexical guard on symbols: signs, operators, flags, versions, times of day and opposites by prefix."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from langcache.aside import difference

ROWS = [
    line.split("\t")
    for line in Path(__file__).with_name("data").joinpath("guard_symbols.tsv").read_text("utf-8").splitlines()
]
OPERATORS = ["+", "-", "*", "/", "<", ">", "<=", ">=", "==", "!=", "&&", "||", "&", "|", "^", "=", "->", "≈"]
WORDS = ["the", "price", "of", "a", "cat", "and", "my", "blue", "phone", "is", "not", "here"]
PLAIN = ["How do I install it", "Where is my parcel", "the best, cheapest phone", "My Wi-Fi is slow; why"]
PIECES = [
    "a",
    "1",
    "1.",
    "1,",
    "1:",
    "1-1-",
    "a.",
    "a@",
    "-",
    "- ",
    "*",
    "**a ",
    "_a ",
    "/",
    "../",
    "\\",
    "<a",
]
PIECES += ["[a-b", "'", "5 ", "555 ", " ", "\n", "\u00bd", "\U0001f44d"]
operands = st.sampled_from("abcdefgh") | st.integers(2, 99).map(str)
operators = st.sampled_from(OPERATORS)
numbers = st.integers(1, 10**6).map(str) | st.integers(1, 9999).map(lambda tenths: f"{tenths / 10}")
sentences = st.lists(st.sampled_from(WORDS), min_size=1)
anything = st.text(max_size=80) | st.text("ab15 .,-+*/<>=&|#@$%^_~!?:;'\"`()[]{}\\\n°½²→👍", max_size=80)


@pytest.mark.parametrize(("question", "other"), [row[1:] for row in ROWS if row[0] == "differ"])
def test_symbols_that_differ_set_questions_apart(question, other):
    assert difference(question, other) is not None
    assert difference(other, question) is not None


@pytest.mark.parametrize(("question", "other"), [row[1:] for row in ROWS if row[0] == "same"])
def test_another_way_to_write_the_same_passes(question, other):
    assert difference(question, other) is None
    assert difference(other, question) is None


@pytest.mark.parametrize("text", PLAIN)
@pytest.mark.parametrize(
    "before", ["", "(", '"', "'", "\u201c", "`", "- ", "* ", "\u2022 ", "# ", "**", "_", "  ", "> "]
)
@pytest.mark.parametrize("end", ["", "?", " ?", "!!", "...", "?!"])
def test_ordinary_punctuation_makes_no_difference(text, before, end):
    after = {"(": ")", "\u201c": "\u201d", "- ": "", "* ": "", "\u2022 ": "", "# ": "", "> ": ""}.get(
        before, before
    )
    assert difference(text, before + text + after + end) is None
    assert difference(text, before + text + end + after) is None


def test_bullets_and_line_breaks_make_no_difference():
    assert difference("- apples\n- pears\n", "* apples\n* pears") is None
    assert difference("Meet me at 5\npm, please", "Meet me at 5 pm, please") is None
    assert difference("```\nls -l\n```", "ls -l") is None
    assert difference("Title\n=====\ntext", "Title\n\ntext") is None


@given(sentences, numbers, sentences)
def test_a_sign_before_a_number_is_seen(before, number, after):
    text = " ".join([*before, "{}" + number, *after])
    signed = text.format("-")
    assert difference(text.format(""), signed) is not None
    assert difference(text.format("+"), signed) is not None
    assert difference(text.format("\u2212"), signed) is None


@given(operands, operators, operators, operands, st.sampled_from(["what is {}", "{}", "if {} then stop"]))
def test_another_operator_is_seen(left, one, other, right, around):
    assume(one != other)
    assert (
        difference(around.format(f"{left} {one} {right}"), around.format(f"{left} {other} {right}"))
        is not None
    )


@given(operands, operators, operands)
def test_spaces_around_an_operator_make_no_difference(left, operator, right):
    assume(operator != "-" or left.isdigit() == right.isdigit())
    assert (
        difference(f"what is {left}{operator}{right} here", f"what is {left} {operator} {right} here") is None
    )


@given(st.sampled_from(["ls", "tar", "git log", "what does grep"]), *[st.sampled_from("abcdefABCDEF")] * 2)
def test_another_letter_of_a_flag_is_seen(command, one, other):
    assume(one != other)
    assert difference(f"{command} -{one}", f"{command} -{other}") is not None
    assert difference(f"{command} -{one} file", f"{command} file") is not None


@given(*[st.text("abcdefgh", min_size=3, max_size=8)] * 2)
def test_another_long_flag_is_seen(one, other):
    assume(one != other)
    assert difference(f"git push --{one}", f"git push --{other}") is not None


@given(
    sentences,
    st.sampled_from([str.upper, str.lower, str.title]),
    st.sampled_from(["", "?", ".", " !", "..."]),
)
def test_spaces_case_and_the_end_make_no_difference(said, cased, end):
    text = " ".join(said)
    assert difference(text, "  ".join(map(cased, said)) + end) is None


@given(anything, anything)
@example("İ", "i")
@example("1" * 5000, "²" * 50)
def test_any_two_texts_are_compared_either_way_alike(one, other):
    assert (difference(one, other) is None) == (difference(other, one) is None)


@given(anything)
def test_no_text_differs_from_itself(text):
    assert difference(text, text) is None
    assert difference(text, f" {text}\n") is None
    assert difference(text, text + " ") is None


@pytest.mark.parametrize("piece", PIECES)
def test_time_grows_no_faster_than_the_text(piece):
    def took(length):
        text = "x" + (piece * length)[:length] + "y"
        start = time.thread_time()  # not what others do on a busy machine
        difference(text, text + "z")
        return time.thread_time() - start

    # In proportion, the long text takes 8 times as long as the short one; were it quadratic, 64 times.
    short, long = (min(took(length) for _ in range(3)) for length in (1_000, 8_000))
    assert long < 30 * short
