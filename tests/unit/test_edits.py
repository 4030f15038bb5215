"""Long texts, and those in other languages: which changes make another question of one."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from entries import entry_of
from hypothesis import given
from hypothesis import strategies as st

from langcache import verifier
from langcache.matching.edits import says_otherwise
from langcache.matching.languages import language_of

TEXTS = Path(__file__).parents[1] / "quality" / "data" / "long-texts.txt"


class Change(NamedTuple):
    """A long text, and the same with what is changed in it."""

    kind: str
    what: str
    text: str
    changed: str


def changes():
    for part in re.split(r"(?m)^== ", TEXTS.read_text("utf-8"))[1:]:
        text, *lines = re.split(r"(?m)^(?=[-=~] )", part.partition("\n")[2].strip())
        for line in map(str.strip, lines):
            kind, what = line[0], line[2:]
            if kind == "~":
                yield Change(kind, what[:40], text.strip(), what)
                continue
            old, new = what.split(" => ")
            found = re.search(re.escape(old), text, re.IGNORECASE)
            new = new[0].upper() + new[1:] if found[0][0].isupper() else new
            changed = text[: found.start()] + new + text[found.end() :]
            yield Change(kind, what, text.strip(), changed.strip())


def is_hit(question, prompt):
    return verifier(question, entry_of(prompt, 0.99))


@pytest.fixture(scope="module")
def hits():
    """The changes of each kind, and whether one text is a hit for the other; every second pair is turned."""
    found = {}
    for at, (kind, what, *texts) in enumerate(changes()):
        found.setdefault(kind, []).append((what, is_hit(*texts[:: 1 - at % 2 * 2])))
    return found


def test_one_thing_that_is_changed_in_a_long_text_makes_another_question_of_it(hits):
    assert len(hits["-"]) > 300
    assert [what for what, hit in hits["-"] if hit] == []


def test_the_same_in_other_words_is_a_hit_however_long_it_is(hits):
    assert len(hits["~"]) > 15
    assert [what for what, hit in hits["~"] if not hit] == []


def test_most_changes_that_say_nothing_lose_no_hit(hits):
    kept = [hit for _, hit in hits["="]]
    assert sum(kept) > 0.6 * len(kept)


MAIL = (
    "Hello, I ordered {what} in your shop last week and paid by card. The parcel came today and the box is "
    "damaged. Please tell me whether I can have my money back, and who has to pay for sending it to you."
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a lamp", "two books for my son, a lamp and the small table which is in your window"),
        ("a lamp", "the lamp that you sell under the name of Luna in green and in red"),
        ("a green lamp", "a lamp"),
        ("Anna a lamp from Peter", "Peter a lamp from Anna"),
        ("a lamp \U0001f44d\U0001f3fb", "a lamp \U0001f44d\U0001f3ff"),
        ("the lamp at /shop/lamps?page=1", "the lamp at /shop/lamps?page=2"),
    ],
)
def test_prompts_of_one_template_are_different_questions(one, other):
    one, other = MAIL.format(what=one), MAIL.format(what=other)
    assert not is_hit(one, other)
    assert not is_hit(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a lamp", "a lamp!"),
        ("a lamp", "the lamp"),
        ("a lamp which I didn't like", "a lamp which I did not like"),
        ("a laptpo", "a laptop"),
        ("a car", "an automobile"),
    ],
)
def test_a_slip_of_the_keyboard_and_what_means_the_same_make_no_difference(one, other):
    one, other = MAIL.format(what=one), MAIL.format(what=other)
    assert is_hit(one, other)
    assert is_hit(other, one)


PROGRAM = """
What is wrong here? We use it to sort what customers ordered, and the first of them is never moved.

def sort(a, i):
    while i > 0:
        if a[i] < a[i - 1] and i in a:
            a[i], a[i - 1] = a[i - 1], a[i]
        i -= 1
    return a
"""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("return a", "return i"),
        ("sort(a, i)", "sort(i, a)"),
        ("in a", "is a"),
        ("a[i] <", "i[a] <"),
        ("and i", "or i"),
    ],
)
def test_small_words_count_in_programs(one, other):
    assert one in PROGRAM
    assert not is_hit(PROGRAM, PROGRAM.replace(one, other))
    assert is_hit(PROGRAM, PROGRAM.replace("We use it", "We are using it"))


def test_sentences_may_change_places():
    one = "The parcel from Leeds came on Friday, and the left shoe was damaged. "
    two = "I paid for it by card. "
    more = "How do I send the shoes back to you, and who has to pay for it, the shop or I as the customer?"
    assert is_hit(one + two + more, two + one + more)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Wie kann ich mein Konto aktivieren?", "Wie kann ich mein Konto deaktivieren?"),
        ("¿Dónde vive mi hermano en la ciudad?", "¿Dónde vive mi hermana en la ciudad?"),
        ("Est-ce que je peux venir avec un chien ?", "Est-ce que je peux venir avec un chat ?"),
        ("Как мне открыть счёт в вашем банке?", "Как мне закрыть счёт в вашем банке?"),
        ("我可以在星期天退货吗", "我不可以在星期天退货吗"),
        ("Comment supprimer un compte ?", "Comment créer un compte ?"),
        ("¿Cuándo abre la tienda?", "¿Cuándo cierra la tienda?"),
        ("Passwort ändern", "Passwort löschen"),
        ("Jak usunąć konto?", "Jak założyć konto?"),
        ("如何删除账户", "如何创建账户"),
        ("Hat der Hund die Katze gebissen?", "Hat die Katze den Hund gebissen?"),
    ],
)
def test_a_word_that_is_exchanged_in_another_language_makes_another_question(one, other):
    assert not is_hit(one, other)
    assert not is_hit(other, one)


_ASIDE = "I have read the page on your site about it, but am still not sure, so please explain it to me. "


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "Who pays the fees of the court if the lender sues the borrower and loses the case? ",
            "Who pays the fees of the court if the borrower sues the lender and loses the case? ",
        ),
        (
            "I earn 4000 euros a month and my wife earns 2500 euros a month. How are we taxed in Germany? ",
            "I earn 2500 euros a month and my wife earns 4000 euros a month. How are we taxed in Germany? ",
        ),
        (
            "We want to move our database from Postgres to Oracle before the end of the year. How do we? ",
            "We want to move our database from Oracle to Postgres before the end of the year. How do we? ",
        ),
        (
            "Le mois prochain, comment transférer mes photos de mon iPhone vers mon ordinateur ? ",
            "Le mois prochain, comment transférer mes photos de mon ordinateur vers mon iPhone ? ",
        ),
    ],
)
def test_two_things_that_change_places_in_a_long_text_make_another_question(one, other):
    for before, behind in ((_ASIDE, ""), ("", _ASIDE)):
        assert not is_hit(before + one + behind, before + other + behind)
        assert not is_hit(before + other + behind, before + one + behind)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello", "Thanks"),
        ("Thank you very much", "Hello"),
        ("the", "really"),
    ],
)
def test_what_a_template_asks_about_may_be_small_words(one, other):
    template = (
        "You are a careful assistant of a shop. Read what the customer writes, decide in which of our three "
        "classes it belongs, complaint, question or praise, and answer with the name of the class and with "
        "nothing else, in small letters. The customer writes: "
    )
    assert not is_hit(template + one, template + other)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Wie kann ich mein Passwort ändern?", "German"),
        ("Comment puis-je changer mon mot de passe ?", "French"),
        ("¿Cómo puedo cambiar la contraseña de mi cuenta?", "Spanish"),
        ("What is the weather in Los Angeles?", "English"),
        ("Die Hard plot", "English"),
        ("SELECT a FROM b", "English"),
        ("", "English"),
    ],
)
def test_a_language_is_known_by_its_small_words(text, name):
    assert language_of(re.findall(r"\w+", text.lower())).name == name


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_texts_are_compared_and_none_says_otherwise_than_itself(one, other):
    assert says_otherwise(one, other) == says_otherwise(other, one)
    assert not says_otherwise(one, one)


@pytest.mark.parametrize("words", ["not a {} ", "word{} ", "<= {} => ", "Name{}, not. ", "don't have to "])
def test_a_comparison_takes_time_in_proportion_to_the_length(words):
    def seconds(count):
        one = "".join(words.format(at) for at in range(count))
        other = "".join(words.format(at + count // 2) for at in range(count))
        began = time.thread_time()
        says_otherwise(one, other)
        return time.thread_time() - began

    seconds(50)
    few = min(seconds(150) for _ in range(3))
    assert min(seconds(1200) for _ in range(2)) < 24 * few + 0.05  # of 8 times the text
