"""Every public name of the established package, both generations, imports here and has the same shape, or is
in the list of names left out in docs/migration.md."""

import re
from functools import cache

import pytest
from interpreters import ESTABLISHED, HERE, run

MIGRATION = (HERE.parents[1] / "docs" / "migration.md").read_text()


def table(heading):
    """The names in a table of the migration page, as ``(of what, name)``; each row gives a reason."""
    section = MIGRATION.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [row.strip("|").split("|") for row in section.splitlines() if row.startswith("| `")]
    assert rows
    assert all(len(reason.strip()) > 10 for *_, reason in rows)
    return [(of.strip(" `"), name) for of, names, _ in rows for name in re.findall(r"`([^`]+)`", names)]


LEFT_OUT = table("Names left out")
PARTS_LEFT_OUT = table("Methods and arguments left out")
DIFFERENT = table("Names that mean something else")


@cache
def described(python):
    return run(python, "describe.py")


@pytest.fixture
def ours(our_python):
    return described(our_python)


def of_both_generations():
    return {
        (module, name)
        for python in ESTABLISHED.values()
        for module, names in described(python).items()
        for name in names
    }


def test_nothing_is_missing_but_what_the_list_names(ours):
    missing = {(module, name) for module, name in of_both_generations() if name not in ours[module]}
    assert missing == set(LEFT_OUT)


def test_the_lists_name_nothing_twice():
    assert len(set(LEFT_OUT + DIFFERENT)) == len(LEFT_OUT + DIFFERENT)


def test_what_means_something_else_is_in_both_packages(ours):
    assert set(DIFFERENT) <= of_both_generations()
    assert all(name in ours[module] for module, name in DIFFERENT)


def test_names_that_are_in_both_packages_have_the_same_shape(established_python, ours):
    theirs = described(established_python)
    compared = [
        (module, name)
        for module, names in theirs.items()
        for name in names
        if (module, name) not in {*LEFT_OUT, *DIFFERENT}
    ]
    assert len(compared) > 60
    problems = {
        (name, problem)
        for module, name in compared
        for problem in differences(theirs[module][name], ours[module][name])
    }
    assert problems == {(name, f"lacks {part}") for name, part in PARTS_LEFT_OUT}


def differences(theirs, ours):
    """What a program written for theirs would miss in ours."""
    if theirs["kind"] != ours["kind"]:
        yield f"is a {ours['kind']} and not a {theirs['kind']}"
        return
    if theirs["kind"] == "enum":
        yield from (
            f"member {item}" for item in theirs["members"].items() if item not in ours["members"].items()
        )
    if theirs["kind"] == "typed dict" and not set(theirs["keys"]) <= set(ours["keys"]):
        yield f"keys {ours['keys']}"
    if theirs["kind"] == "model":
        if not set(theirs["fields"]) <= set(ours["fields"]):
            yield f"fields {ours['fields']}"
        for name, required in ours["fields"].items():
            if required and not theirs["fields"].get(name):
                yield f"field {name} is required"
    for root in ("Exception", "LangCacheError"):
        if root in theirs.get("bases", ()) and root not in ours["bases"]:
            yield f"is no {root}"
    if "parameters" in theirs:
        yield from signature_differences(theirs["parameters"], ours["parameters"])
    for name, method in theirs.get("methods", {}).items():
        if name not in ours["methods"]:
            yield f"lacks {name}"
        else:
            if method["async"] != ours["methods"][name]["async"]:
                yield f"method {name}: async {method['async']}"
            yield from signature_differences(method["parameters"], ours["methods"][name]["parameters"], name)


def signature_differences(theirs, ours, where=""):
    by_name = {parameter["name"]: parameter for parameter in ours}
    for parameter in theirs:
        name = parameter["name"]
        if name not in by_name:
            yield f"lacks {where}({name}=)"
        elif by_name[name]["required"] and not parameter["required"]:
            yield f"{where}({name}=) is required"
    required = {parameter["name"] for parameter in ours if parameter["required"]}
    if extra := required - {parameter["name"] for parameter in theirs}:
        yield f"{where}() requires {extra} too"
    in_order = [parameter["name"] for parameter in theirs if parameter["positional"]]
    if in_order != [parameter["name"] for parameter in ours if parameter["positional"]][: len(in_order)]:
        yield f"{where}() takes others than {in_order} by position"
