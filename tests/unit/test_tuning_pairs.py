"""Labelled pairs are read from the files that people have, and a line that is none is named."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache.tuning import Pair, read_pairs, tune

BOIL, BAKE = "How do I boil an egg?", "How do I bake an egg?"
EXPECTED = [Pair(BOIL, "boiling an egg", True), Pair(BOIL, BAKE, False)]


def read(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_pairs(path)


ROWS = [[BOIL, "boiling an egg", "1"], [BOIL, BAKE, "0"]]
TSV = "".join("\t".join(row) + "\n" for row in ROWS)
CSV = TSV.replace("\t", ",")
OBJECTS = [
    {
        "question": BOIL,
        "prompt": "boiling an egg",
        "same": True,
        "similarity": None,
        "source": "judge",
        "at": 1,
    },
    {"question": BOIL, "prompt": BAKE, "same": False, "source": "judge", "at": 2},
]
JSON = "".join(json.dumps(each) + "\n" for each in OBJECTS)

FILES = {
    "tsv": ("p.tsv", TSV),
    "csv": ("p.csv", CSV),
    "json_lines": ("p.jsonl", JSON),
    "unknown_suffix_tsv": ("p.txt", TSV),
    "unknown_suffix_csv": ("p", CSV),
    "unknown_suffix_json": ("p.log", JSON),
    "suffix_in_capitals": ("P.TSV", TSV),
    "windows_line_ends": ("p.tsv", TSV.replace("\n", "\r\n")),
    "windows_line_ends_csv": ("p.csv", CSV.replace("\n", "\r\n")),
    "windows_line_ends_json": ("p.jsonl", JSON.replace("\n", "\r\n")),
    "byte_order_mark": ("p.csv", "\ufeff" + CSV),
    "utf_16": ("p.txt", TSV.encode("utf-16")),
    "no_line_end": ("p.tsv", TSV.rstrip("\n")),
    "empty_lines": ("p.tsv", "\n" + TSV.replace("\n", "\n\n")),
    "empty_lines_csv": ("p.csv", "\n" + CSV.replace("\n", "\n\n")),
    "empty_lines_json": ("p.jsonl", "\n" + JSON.replace("\n", "\n \n")),
    "label_first": ("p.tsv", "".join(f"{label}\t{one}\t{other}\n" for one, other, label in ROWS)),
    "more_columns": ("p.tsv", TSV.replace("\n", "\tbank\n")),
    "semicolons": ("p.csv", CSV.replace(",", ";")),
    "quotes_csv": ("p.csv", f'"{BOIL}","boiling an egg","1"\n"{BOIL}","{BAKE}",0\n'),
    "quotes_tsv": ("p.tsv", f'"{BOIL}"\t"boiling an egg"\t1\n{BOIL}\t{BAKE}\t0\n'),
    "header": ("p.tsv", "question\tprompt\tsame\n" + TSV),
    "header_of_pairs": ("p.csv", "sentence1,sentence2,label\n" + CSV),
    "header_of_duplicates": ("p.csv", "question1,question2,is_duplicate\n" + CSV),
    "header_in_capitals": ("p.csv", "Question 1,Question-2,Label\n" + CSV),
    "header_in_another_order": (
        "p.tsv",
        "id\tlabel\tsource\tquestion2\tquestion1\n"
        + "".join(f"{at}\t{label}\tx\t{other}\t{one}\n" for at, (one, other, label) in enumerate(ROWS)),
    ),
    "names_of_columns_in_json": ("p.jsonl", JSON.replace("same", "label").replace("prompt", "question2")),
    "labels_as_numbers_in_json": ("p.jsonl", JSON.replace("true", "1").replace("false", "0")),
    "labels_as_floats_in_json": ("p.jsonl", JSON.replace("true", "1.0").replace("false", "0.0")),
}


@pytest.mark.parametrize(("name", "content"), FILES.values(), ids=FILES)
def test_a_file_is_read(tmp_path, name, content):
    assert read(tmp_path, name, content) == EXPECTED


SAME = ["1", "true", "True", "TRUE", "t", "yes", "Y", "same", "duplicate", "paraphrase", " 1 ", "1.0"]
DIFFERENT = [
    "0",
    "false",
    "False",
    "f",
    "no",
    "N",
    "different",
    "not duplicate",
    "not_duplicate",
    "near-miss",
]
DIFFERENT += ["non-duplicate", "unrelated", "0.0", "not the same".replace("the ", "")]


@pytest.mark.parametrize("label", [*SAME, *DIFFERENT])
@pytest.mark.parametrize("place", ["first", "last", "header", "json"])
def test_labels_are_read_in_their_usual_spellings(tmp_path, label, place):
    (pair,) = {
        "first": lambda: read(tmp_path, "p.tsv", f"{label}\ta question\tanother\n"),
        "last": lambda: read(tmp_path, "p.csv", f"a question,another,{label}\n"),
        "header": lambda: read(tmp_path, "p.csv", f"label,question1,question2\n{label},a question,another\n"),
        "json": lambda: read(
            tmp_path, "p.jsonl", json.dumps({"question": "a question", "prompt": "another", "same": label})
        ),
    }[place]()
    assert pair == Pair("a question", "another", label in SAME)


def test_a_similarity_is_read_where_there_is_one(tmp_path):
    table = "question,prompt,same,similarity\na,b,1,0.91\nc,d,0,\n"
    expected = [Pair("a", "b", True, 0.91), Pair("c", "d", False, None)]
    assert read(tmp_path, "p.csv", table) == expected
    lines = [
        {"question": "a", "prompt": "b", "same": True, "similarity": 0.91},
        {"question": "c", "prompt": "d", "same": False, "similarity": None},
    ]
    assert read(tmp_path, "p.jsonl", "\n".join(map(json.dumps, lines))) == expected


def test_quotes_are_part_of_a_text_unless_they_enclose_it(tmp_path):
    table = 'say "hi"\t"Hi" or "hello"?\t1\n"he said ""no"" twice"\t"\t0\n'
    assert read(tmp_path, "p.tsv", table) == [
        Pair('say "hi"', '"Hi" or "hello"?', True),
        Pair('he said "no" twice', '"', False),
    ]
    assert read(tmp_path, "p.csv", '"say ""hi""","one\ntwo, three",1\n') == [
        Pair('say "hi"', "one\ntwo, three", True)
    ]
    assert read(tmp_path, "p.csv", r'"\"reset\" on deploy","deploy says \"reset\"",1') == [
        Pair('"reset" on deploy', 'deploy says "reset"', True)
    ]


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    str.strip
)
PAIRS = st.lists(st.builds(Pair, TEXTS, TEXTS, st.booleans()), min_size=1, max_size=5)


@given(PAIRS)
def test_what_is_written_is_read_again(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("pairs")
    rows = [[pair.question, pair.prompt, int(pair.same)] for pair in pairs]
    table = io.StringIO()
    csv.writer(table).writerows([["question", "prompt", "same"], *rows])
    assert read(folder, "p.csv", table.getvalue()) == pairs
    lines = [{"question": pair.question, "prompt": pair.prompt, "same": pair.same} for pair in pairs]
    assert read(folder, "p.jsonl", "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)) == pairs


@given(st.binary(max_size=60), st.sampled_from(["p.csv", "p.tsv", "p.jsonl", "p.txt"]))
def test_any_file_is_read_or_refused_with_its_name(tmp_path_factory, content, name):
    problem = None
    try:
        read(tmp_path_factory.mktemp("any"), name, content)
    except ValueError as error:
        problem = str(error)
    assert problem is None or name in problem


REFUSED = {
    "no_label": (
        "p.tsv",
        TSV + "a\tb\tmaybe\n",
        r"p\.tsv, line 3: 'maybe' is no label; a label is 1 or 0, true",
    ),
    "number_that_is_no_label": ("p.tsv", TSV + "a\tb\t2\n", r"line 3: '2' is no label"),
    "too_few_columns": ("p.tsv", TSV + "a\tb\n", r"line 3: has 2 columns where 3 are due"),
    "one_column": (
        "p.csv",
        CSV + "a\n",
        r"line 3: has 1 column where 3 are due; put texts with commas between",
    ),
    "comma_in_a_text": ("p.csv", CSV + "so, what,then,1\n", r"line 3: 'then' is no label"),
    "after_lines_in_quotes": ("p.csv", 'a,"b\nc",1\n\nd,e,x\n', r"line 4: 'x' is no label"),
    "open_quote": ("p.csv", CSV + '"a,b,1\n', r"line 3: is not comma-separated"),
    "empty_text": ("p.tsv", TSV + "\tb\t1\n", r"line 3: question: must be a text, but is empty"),
    "blank_text": ("p.csv", CSV + "a, ,1\n", r"line 3: prompt: must be a text, but is empty"),
    "unknown_header": (
        "p.csv",
        "x,y,z\n" + CSV,
        r"line 1: is neither a header nor a pair: 'x, y, z'; a header",
    ),
    "half_a_header": ("p.csv", "question,prompt,same?\n" + CSV, r"line 1: is neither a header nor a pair"),
    "two_columns": ("p.tsv", "yes\tb\n", r"line 1: has 2 columns where 3 are due"),
    "labels_on_both_sides": (
        "p.tsv",
        "1\tb\t0\n",
        r"line 1: could have its label in the first column or in the",
    ),
    "no_json": (
        "p.jsonl",
        JSON + "{'question': 1}\n",
        r"line 3: must be an object, such as .*but JSON is malformed",
    ),
    "truncated_json": ("p.jsonl", JSON + JSON[:20], r"line 3: must be an object, .*truncated"),
    "json_array": ("p.log", "[\n" + JSON, r"line 1: looks like a JSON array; write one object on each line"),
    "no_object": ("p.jsonl", "3\n", r"line 1: must be an object"),
    "field_missing": ("p.jsonl", '{"question": "a"}\n', r"line 1: has no 'prompt' and no 'same'"),
    "null_label": ("p.jsonl", JSON.replace("true", "null"), r"line 1: None is no label"),
    "label_of_another_type": ("p.jsonl", JSON.replace("true", "1.5"), r"line 1: 1\.5 is no label"),
    "text_of_another_type": (
        "p.jsonl",
        JSON.replace('"boiling an egg"', "3"),
        r"line 1: prompt: must be str",
    ),
    "similarity_too_high": (
        "p.jsonl",
        JSON.replace("null", "1.5"),
        r"line 1: similarity: must be from 0 to 1",
    ),
    "similarity_no_number": ("p.jsonl", JSON.replace("null", "[]"), r"line 1: similarity: must be a number"),
    "similarity_not_finite": (
        "p.csv",
        "question,prompt,same,similarity\na,b,1,nan\n",
        r"line 2: similarity: must",
    ),
    "similarity_a_word": (
        "p.csv",
        "question,prompt,same,similarity\na,b,1,high\n",
        r"line 2: similarity: must be a number from 0 to 1, such as 0\.9, but is 'high'",
    ),
    "similarity_with_a_comma": (
        "p.csv",
        "question;prompt;same;similarity\na;b;1;0,9\n",
        r"line 2: similarity: must be a number from 0 to 1, such as 0\.9, but is '0,9'",
    ),
    "latin_1": ("p.csv", CSV.encode() + "Käse,b,1\n".encode("latin-1"), r"line 3: is not encoded as UTF-8"),
    "empty": ("p.csv", "", r"p\.csv: has no pairs"),
    "only_a_header": ("p.csv", "question,prompt,same\n", r"p\.csv: has no pairs"),
    "only_empty_lines": ("p.jsonl", "\n \n", r"p\.jsonl: has no pairs"),
}


@pytest.mark.parametrize(("name", "content", "message"), REFUSED.values(), ids=REFUSED)
def test_a_line_that_is_no_pair_is_named(tmp_path, name, content, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, name, content)


def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_pairs(tmp_path / "nowhere.tsv")


@pytest.mark.parametrize(
    ("pairs", "error", "message"),
    [
        (3, TypeError, "pairs: must be a file, or an iterable of Pair or .* but is int"),
        (b"p.tsv", TypeError, "pairs: must be a file, .* but is bytes"),
        ({"a": "b"}, TypeError, "pairs: must be a file, .* but is dict"),
        ([("a", "b", True), ("a", "b")], TypeError, r"pairs\[1\]: must be a Pair, .* but is tuple of 2"),
        ([{"a", "b", True}], TypeError, r"pairs\[0\]: must be a Pair, .* but is set"),
        ([("a", "b", 1)], TypeError, r"pairs\[0\]: same: must be bool, but is int"),
        ([("", "b", True)], ValueError, r"pairs\[0\]: question: must be a text, but is empty"),
        ([("a", "\ud800", True)], ValueError, r"pairs\[0\]: prompt: must be text that UTF-8 can carry"),
        ([("a", "b", True)], ValueError, "pairs: must have some .* but has none with different answers"),
        ([("a", "b", False)], ValueError, "pairs: must have some .* but has none with the same answer"),
        ([], ValueError, "pairs: must have some .* but has none with the same answer"),
    ],
)
def test_pairs_that_are_none_are_named(pairs, error, message):
    with pytest.raises(error, match=message):
        tune(pairs)


def test_a_file_is_taken_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.csv").write_text(CSV)
    (tmp_path / "link.csv").symlink_to("one.csv")
    for other in ("one.csv", tmp_path / "one.csv", "./link.csv"):
        with pytest.raises(ValueError, match=r"pairs: .*\.csv is given twice"):
            tune(["one.csv", other])


def test_files_tuples_and_pairs_are_taken_together(tmp_path):
    one, other = tmp_path / "one.csv", tmp_path / "other.jsonl"
    one.write_text("question,prompt,same,similarity\na,b,1,0.9\nc,d,0,0.6\n", "utf-8")
    other.write_text('{"question": "e", "prompt": "f", "same": true, "similarity": 0.95}\n', "utf-8")
    assert tune([one, str(other), Pair("g", "h", False, 0.5), ("i", "j", True, 0.3)]).pairs == 5
    assert tune(one).pairs == tune(str(one)).pairs == 2
