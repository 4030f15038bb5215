"""What two questions have in common: politeness, typing errors, the score, and the client's verifier."""

from __future__ import annotations

import time
from itertools import combinations

import pytest
from entries import entry_of
from hypothesis import given
from hypothesis import strategies as st

from langcache import verifier
from langcache.aside import Judge
from langcache.matching.features import LEXICAL, Reading, compared, lexical
from langcache.matching.score import (
    FEATURES,
    STRICT,
    is_repeated,
    is_verifiable,
    likelihood,
    similarity_of,
    what_texts_say,
)
from langcache.matching.tidy import is_slip, mended, without_politeness
from langcache.matching.verifier import confidence


@pytest.mark.parametrize(
    "asked",
    [
        "Hi, how do I reset my password?",
        "Hello there! How do I reset my password? Thanks!",
        "Good morning, could you please tell me how do I reset my password",
        "how do i please reset my password???",
        "How do I reset my pasword?",
        "How do I rseet my password",
        "How do I reset my passwordd? Thank you so much.",
    ],
)
def test_a_trivially_repeated_question_is_the_same(asked):
    stored = "How do I reset my password?"
    assert is_repeated(*compared(asked, stored))
    assert is_repeated(*compared(stored, asked))
    assert verifier(asked, entry_of(stored))


def test_a_question_in_other_words_is_not_a_repeated_one():
    assert not is_repeated(*compared("How do I log in?", "How do I sign in?"))
    assert is_repeated(*compared("Hi, how do I log in", "How do I log in?"))


@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        ("How do I enable two-factor authentication?", "How do I disable two-factor authentication?"),
        ("Track order 48213", "Track order 48231"),
        ("What were sales in 2023?", "What were sales in 2024?"),
        ("Is the shop open on Saturday?", "Is the shop open on Sunday?"),
        ("How do I accept the contract?", "How do I accept the contact?"),
        ("Can I pay in euros?", "Can I pay in dollars?"),
        ("Which plans include calls?", "Which plans don't include calls?"),
    ],
)
def test_a_near_miss_is_refused(asked, stored):
    assert not verifier(asked, entry_of(stored))
    assert not verifier(stored, entry_of(asked))


@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        ("What is the capital city of France?", "What is the capital of France?"),
        ("I forgot my password, how do I reset it?", "How do I reset my password?"),
        ("How can I buy a ticket?", "How do I purchase a ticket?"),
        ("What's Spain's capital city?", "What is the capital of Spain?"),
        ("¿Cómo cambio mi contraseña?", "¿Cómo puedo cambiar la contraseña?"),
        ("", ""),
        ("?!", "..."),
    ],
)
def test_the_same_in_other_words_passes(asked, stored):
    assert verifier(asked, entry_of(stored))


def test_a_service_with_a_low_threshold_does_not_get_unrelated_entries_accepted():
    pytest.importorskip("numpy")
    from langcache.service.calibration import UNRELATED_PROMPTS

    pairs = list(combinations(UNRELATED_PROMPTS[::2], 2))
    accepted = [verifier(one, entry_of(two, 0.6)) or verifier(two, entry_of(one, 0.6)) for one, two in pairs]
    assert sum(accepted) < 0.03 * len(pairs)


@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        ("How do I get out of my contract?", "What is the cancellation process?"),
        ("Where are you located?", "What's your address?"),
    ],
)
def test_texts_without_a_word_in_common_need_a_service_that_is_sure(asked, stored):
    assert verifier(asked, entry_of(stored, 0.85))
    assert not verifier(asked, entry_of(stored, 0.84))
    # A judge for hits in doubt is asked, where there is one.
    assert Judge(lambda *_: True).doubt <= confidence(asked, entry_of(stored, 0.84)) < 0.5


@pytest.mark.parametrize("similarity", [0.5, 0.84, 0.85, 1.0])
def test_similarity_makes_no_difference_to_texts_with_words_in_common(similarity):
    for asked, stored in (
        ("How can I buy a ticket?", "How do I purchase a ticket?"),
        ("How do I enable two-factor authentication?", "How do I disable two-factor authentication?"),
    ):
        assert confidence(asked, entry_of(stored, similarity)) == confidence(asked, entry_of(stored))


@pytest.mark.parametrize(
    "pair", ["trial trail", "contact contract", "month mouth", "accept except", "form from"]
)
def test_two_english_words_are_no_slip(pair):
    assert not is_slip(*pair.split())


@pytest.mark.parametrize(
    "pair", ["password pasword", "invoice invioce", "adress address", "shipping shiping"]
)
def test_a_slip_is_one(pair):
    one, other = pair.split()
    assert is_slip(one, other)
    assert is_slip(other, one)


def test_a_mended_text_keeps_its_case_and_everything_else():
    assert mended("Reset my Pasword, NOW!", "the password now") == "Reset my Password, NOW!"


def test_politeness_is_not_all_of_a_text():
    assert without_politeness("Thanks!") == "Thanks!"
    assert without_politeness("Hi, please help") != ""


@given(st.text(max_size=60), st.text(max_size=60))
def test_the_verifier_takes_any_texts_in_either_order(one, other):
    assert isinstance(verifier(one, entry_of(other)), bool)
    assert lexical(Reading(one), Reading(other)) == lexical(Reading(other), Reading(one))


WAYS_TO_WRITE = {
    "commas": "{:,}",
    "commas and cents": "{:,}.00",
    "underscores": "{:_}",
    "points": "{:,}|.,",
    "apostrophes": "{:,}|'.",
    "spaces that do not break": "{:,}|\u00a0.",
    "narrow spaces": "{:,}|\u202f.",
    "spaces": "{:,}| .",
    "cents": "{}.00",
    "cents after a comma": "{},00",
}


@given(st.integers(1000, 999_999_999), st.sampled_from(sorted(WAYS_TO_WRITE)), st.integers(1, 9))
def test_a_number_is_the_same_however_it_is_written(number, way, more):
    written, _, marks = WAYS_TO_WRITE[way].format(number).partition("|")
    if marks:
        written = f"{written}.50".translate(str.maketrans(",.", marks))
        stored = f"What is the fee for {number}.5 euros?"
    else:
        stored = f"What is the fee for {number} euros?"
    asked, other = f"What is the fee for {written} euros?", stored.replace(f"{number}", f"{number + more}")
    for one, two in ((asked, stored), (stored, asked)):
        assert is_repeated(*compared(one, two))
        assert verifier(one, entry_of(two))
    for one, two in ((asked, other), (other, asked)):
        assert not verifier(one, entry_of(two))


@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        ("What does $1,500 buy?", "What does $1500 buy?"),
        ("What does \u20ac1 500 buy?", "What does \u20ac1500 buy?"),
        ("Is 2.50 pounds enough?", "Is 2.5 pounds enough?"),
        ("Is 2,5 pounds enough?", "Is 2.5 pounds enough?"),
        ("Is 1\u2019500 francs enough?", "Is 1500 francs enough?"),
        ("Is 1.5k dollars enough?", "Is 1,500 dollars enough?"),
        ("Does the shop open at 5 pm?", "Does the shop open at 17:00?"),
        ("Is the office open at 08:30?", "Is the office open at 8:30?"),
    ],
)
def test_amounts_and_times_are_the_same_however_they_are_written(asked, stored):
    assert is_repeated(*compared(asked, stored))
    assert is_repeated(*compared(stored, asked))


@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        ("Is Python 3.10 supported?", "Is Python 3.1 supported?"),
        ("What changed in version 1.500?", "What changed in version 1500?"),
        ("What changed in Django 2.50?", "What changed in Django 2.5?"),
        ("What is at 10.0.0.0?", "What is at 10?"),
        ("Is 192.168.1.1 my router?", "Is 192.168.11 my router?"),
        ("What happened on 2024-01-05?", "What happened on 2024-10-5?"),
        ("What is the sum of [1,500]?", "What is the sum of [1500]?"),
        ("Can I fit 2 100 watt bulbs?", "Can I fit 2100 watt bulbs?"),
        ("Do you take 2 500 euro notes?", "Do you take 2500 euro notes?"),
        ("What is -1,500 plus 2?", "What is 1500 plus 2?"),
        ("Is 1,500 km far?", "Is 1,500 miles far?"),
        ("Is $1,500 enough?", "Is \u20ac1500 enough?"),
        ("Does it support Python >= 3.1?", "Does it support Python >= 3.10?"),
        ("pip install django==4.2", "pip install django==4.20"),
        ("Does it run on Python 3.9 or 3.1?", "Does it run on Python 3.9 or 3.10?"),
        ('What is new in Python "3.1"?', 'What is new in Python "3.10"?'),
        ("What is new in **Python** **3.1**?", "What is new in **Python** **3.10**?"),
        ("Is C# 7.3 still supported?", "Is C# 7.30 still supported?"),
        ("What do clauses 2.1 and 1.10 say?", "What do clauses 2.1 and 1.1 say?"),
        ("What is the type of 1.0 in Python?", "What is the type of 1 in Python?"),
        ("Are you open on 12.10?", "Are you open on 12.1?"),
        ("Can Python parse '1,500' as an int?", "Can Python parse '1500' as an int?"),
        ("How do I transfer 5.000 euros?", "How do I transfer 5 euros?"),
        ("Is \u20ac50.000 enough?", "Is \u20ac50 enough?"),
        ("Does it cost $2.500?", "Does it cost $2.50?"),
        ("Is 1.250 g enough?", "Is 1.25 g enough?"),
        ("Is 3.10 still supported?", "Is 3.1 still supported?"),
        ("Is Kubernetes: 1.30 out?", "Is Kubernetes: 1.3 out?"),
        ("What changed in 2024.10?", "What changed in 2024.1?"),
        ("What does clause number 4.10 say?", "What does clause number 4.1 say?"),
        ("What does \u00a7 4.10 say?", "What does \u00a7 4.1 say?"),
        ("Are you open on 1.10?", "Are you open on 1.1?"),
        ("What is the sum of 2,30?", "What is the sum of 2,3?"),
        ("What is the sum of 1,2?", "What is the sum of 1.2?"),
        ("Is 0,500 g enough?", "Is 0500 g enough?"),
        ("Is seat 12 500 dollars?", "Is seat 12,500 dollars?"),
        ("Is an iPhone 15 999 dollars?", "Is an iPhone 15999 dollars?"),
        ("Should I take 2\u00a0500 mg pills?", "Should I take 2500 mg pills?"),
        ("How do I convert 17:00 to 5 pm in Excel?", "How do I convert 5 pm to 17:00 in Excel?"),
        ("How do I convert 1,500 to 1500 in Python?", "How do I convert 1500 to 1,500 in Python?"),
        ("How do I round 2.5 pounds to 2.50 pounds?", "How do I round 2.50 pounds to 2.5 pounds?"),
    ],
)
def test_numbers_that_may_be_others_are_not_the_same(asked, stored):
    assert not verifier(asked, entry_of(stored))
    assert not verifier(stored, entry_of(asked))


_DOCUMENT = "It is sent to all customers who have asked for it, and read by those who have the time. " * 3
OTHER_NUMBERS = [
    ('Compute the total of {"name": "pen", "qty": 2}. ' + _DOCUMENT, '"qty": 2', '"qty": 20'),
    ("Any errors in GET /a status=200 time=7ms? " + _DOCUMENT, "200", "500"),
    ("Which of these is slowest: a 7 ms, b 9 ms? " + _DOCUMENT, "7 ms", "700 ms"),
    ("What does for i in range(1, 10) print? " + _DOCUMENT, "10", "11"),
    ("Summarize: it can be returned within 30 days. " + _DOCUMENT, "30", "14"),
    ("Wie lautet die Antwort auf den Brief Nummer 4711?", "4711", "4712"),
    ("Quelle est la réponse à la lettre du 31.12.2024 ?", "2024", "2025"),
    ("Migrate from version 2 to version 3", "version 2 to version 3", "version 3 to version 2"),
    ("What is 7 minus 2?", "7 minus 2", "2 minus 7"),
    ("Loan of 5 years at 3 percent", "5 years at 3", "3 years at 5"),
    ("What is 10/2?", "10/2", "2/10"),
    ("How is the weather on 2024-01-02?", "01-02", "02-01"),
    ("Who was Pope John XXIII?", "XXIII", "XXII"),
    ("Who won Super Bowl XLVII?", "XLVII", "XLVIII"),
    ("Summarize https://youtu.be/AbCdEf", "AbCdEf", "aBcDeF"),
    ("What is the email of jsmith@ex.com?", "jsmith", "jsmyth"),
    ("What is the formula of sulfate?", "sulfate", "sulfite"),
]


@pytest.mark.parametrize(("asked", "one", "other"), OTHER_NUMBERS)
def test_long_texts_other_languages_and_equal_words_are_told_apart_by_numbers_and_names(asked, one, other):
    stored = asked.replace(one, other)
    assert stored != asked
    for ours, theirs in ((asked, stored), (stored, asked)):
        assert not verifier(ours, entry_of(theirs))
    assert verifier(asked, entry_of(asked))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Can I bring one bag or two?", "Can I bring two bags or three?"),
        ("A table for one", "A table for two"),
        ("Who was the 1st president?", "Who was the 2nd president?"),
        ("Is the shop open at 9 am?", "Is the shop open at 9 pm?"),
        ("Flights for 2 adults", "Flights for 3 adults"),
        ("How much is 5 kg of rice?", "How much is 10 kg of rice?"),
    ],
)
def test_questions_that_differ_in_numbers_alone_have_similarity_0(one, other):
    assert what_texts_say(one, other) == what_texts_say(other, one) == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Translate to French: thank you", "Translate to French: please"),
        ("What is the Spanish word for thanks?", "What is the Spanish word for please?"),
        ("How do I spell thank you", "How do I spell please"),
        ("Sentiment of this text: thanks", "Sentiment of this text: help"),
        ("Hello in French?", "Good morning in French?"),
        ("What is the default port of http?", "What is the default port of https?"),
        ("How do I configure ldap in nginx?", "How do I configure ldaps in nginx?"),
    ],
)
def test_words_that_are_asked_about_are_neither_politeness_nor_slips(one, other):
    assert not is_repeated(*compared(one, other))
    assert is_repeated(*compared(one, f"Hello, {one} Thanks!"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I convert a list to a tuple?", "How do I convert a tuple to a list?"),
        ("How do I convert a set into a list?", "How do I convert a list into a set?"),
        ("Is a plan better than a recipe?", "Is a recipe better than a plan?"),
    ],
)
def test_from_what_to_what_counts_of_nouns_that_are_small_words_elsewhere(one, other):
    assert not verifier(one, entry_of(other))
    assert not verifier(other, entry_of(one))


@pytest.mark.parametrize("run", ["-", ".", " ", "hi ", "thanks! ", ",please,"])
def test_no_run_of_signs_or_politeness_takes_long(run):
    def seconds(count):
        began = time.thread_time()
        without_politeness(f"What is this? {run * count} x")
        return time.thread_time() - began

    seconds(100)
    few = min(seconds(400) for _ in range(5))
    assert min(seconds(3200) for _ in range(3)) < 24 * few + 0.05  # of 8 times the text


@given(st.floats(0, 1), st.floats(0, 1))
def test_similarity_rises_with_likelihood(one, other):
    if one < other:
        assert similarity_of(one) <= similarity_of(other) < 0.99


def test_the_documented_likelihoods_have_the_documented_similarities():
    assert similarity_of(0) == 0
    assert similarity_of(0.5) == 0.85
    assert similarity_of(0.6) == pytest.approx(STRICT)


def test_every_feature_has_a_weight():
    assert FEATURES["texts"] == tuple(LEXICAL)
    for kind, names in FEATURES.items():
        assert 0 < likelihood(kind, [0.0] * len(names)) < 1


def test_long_texts_and_other_languages_are_not_judged_by_words():
    assert not is_verifiable(*compared("word " * 30, "word " * 30))
    assert not is_verifiable(*compared("Как сменить пароль?", "Как изменить пароль?"))
    assert is_verifiable(*compared("reset password", "How do I reset my password?"))


PROGRAM = "What does this print?\nfor x in y:\n    a()\n    b()"


@pytest.mark.parametrize(
    "stored",
    [
        PROGRAM.replace("    b()", "b()"),
        PROGRAM.replace("    b()", "        b()"),
        PROGRAM.replace("    ", ""),
        PROGRAM.replace("\n", " "),
        PROGRAM.replace("\n    a()", " a()"),
        PROGRAM.replace("a()\n", "a() "),
    ],
)
def test_lines_that_are_indented_in_another_way_are_another_question(stored):
    assert not verifier(PROGRAM, entry_of(stored))
    assert not verifier(stored, entry_of(PROGRAM))


@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        ("What does ls -a show?", "What does ls -A show?"),
        ("What does ls -a show?", "Which files does ls -A show?"),
        ("How do I use tar -xC?", "How do I use tar -Xc?"),
        ("Is 100 Mb/s enough for a call?", "Is 100 MB/s enough for a call?"),
        ("Is a 10Gbps link enough?", "Is a 10GBps link enough?"),
        ("What needs 5 MW?", "What needs 5 mW?"),
        ("Is 5 MHz fast?", "Is 5 mHz fast?"),
        ("What does curl -k do?", "What does curl -K do?"),
        ("What does gcc -O2 do?", "What does gcc -o2 do?"),
        ("What does java -Xmx1g do?", "What does java -xmx1g do?"),
    ],
)
def test_case_that_means_something_else_is_another_question(asked, stored):
    assert confidence(asked, entry_of(stored)) == confidence(stored, entry_of(asked)) == 0


@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        ("what does ls -a show?", "What does LS -a show?"),
        ("Is 10 kB small?", "Is 10 KB small?"),
        ("Is 10 mb small?", "Is 10 MB small?"),
        ("How do I reset my password? -Thanks", "How do I reset my password? -thanks"),
        ("Is an e-mail safe?", "Is an E-Mail safe?"),
        ("What does --force do?", "What does --Force do?"),
    ],
)
def test_case_makes_no_other_difference(asked, stored):
    assert confidence(asked, entry_of(stored)) == 1


@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        (PROGRAM, PROGRAM.upper() + "\n\n"),
        (PROGRAM, PROGRAM.replace("    ", "\t")),
        (PROGRAM, PROGRAM.replace("\n", " \r\n\r\n")),
        (PROGRAM, "  " + PROGRAM.replace("\n", "\n  ")),
        ("How do I\nreset my\npassword?", "how do i reset\n\nmy  password?"),
    ],
)
def test_other_spacing_makes_no_difference(asked, stored):
    assert verifier(asked, entry_of(stored))


def test_equal_texts_are_not_compared(monkeypatch):
    long = "How do I reset my password? " * 2000
    monkeypatch.delattr("langcache.matching.verifier.what_texts_say")
    assert verifier(long, entry_of(long.upper()))
