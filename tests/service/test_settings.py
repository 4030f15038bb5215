"""Settings of `serve` from options, variables and a TOML file: each of them, in each place, in one order."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path

import pytest

from langcache.cli import _parser, main
from langcache.cli.serve_settings import PREFIX, SETTINGS, plan_of
from langcache.cli.settings import add_settings, read_settings

if sys.version_info < (3, 11):
    pytest.importorskip("tomli")

BY_NAME = {setting.name: setting for setting in SETTINGS}
REMOVED = {"config"}

EXAMPLES = {
    "text": ("one", "two", "three"),
    "path": ("one.pem", "two.pem", "three.pem"),
    "whole": (1, 2, 3),
    "number": (1.5, 2.5, 3.0),
    "time": ("90s", "500ms", 250),
    "yes_or_no": (True, False, True),
    "texts": (["a", "b"], ["c"], ["d", "e"]),
}
"""For each kind, a value for an option, one for a variable and one for a file."""

MEANT = {"90s": 90_000, "500ms": 500}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path):
    def file(content, name="settings.toml"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(0o600)
        return path

    return file


def chosen(*arguments, alternatives=()):
    parser = argparse.ArgumentParser()
    add_settings(parser, SETTINGS)
    return read_settings(SETTINGS, parser.parse_args([*map(str, arguments)]), PREFIX, alternatives)


def as_options(setting, value):
    if setting.kind == "yes_or_no":
        return [setting.flag if value else setting.flag.replace("--", "--no-", 1)]
    return [
        part for each in (value if isinstance(value, list) else [value]) for part in (setting.flag, f"{each}")
    ]


def as_variable(value):
    return ",".join(value) if isinstance(value, list) else str(value)


def meant(setting, value):
    if setting.kind == "path":
        return Path(value)
    return MEANT.get(value, value) if setting.kind == "time" else value


@pytest.mark.parametrize("name", sorted(BY_NAME.keys() - REMOVED))
def test_each_setting_is_taken_from_each_place_in_this_order(name, file, monkeypatch):
    setting = BY_NAME[name]
    option, variable, in_file = EXAMPLES[setting.kind]
    path = file(f"{name} = {json.dumps(in_file)}\n")
    assert getattr(chosen(), name) == setting.default
    assert chosen().where(name) is None
    found = chosen("--config", path)
    assert (getattr(found, name), found.where(name)) == (meant(setting, in_file), f"{path}: {name}")
    monkeypatch.setenv(f"{PREFIX}{name.upper()}", as_variable(variable))
    found = chosen("--config", path)
    assert (getattr(found, name), found.where(name)) == (meant(setting, variable), f"{PREFIX}{name.upper()}")
    found = chosen("--config", path, *as_options(setting, option))
    assert (getattr(found, name), found.where(name)) == (meant(setting, option), setting.flag)


def test_the_file_may_be_named_by_a_variable(file, monkeypatch):
    monkeypatch.setenv(f"{PREFIX}CONFIG", str(file("port = 5\n")))
    assert chosen().port == 5


@pytest.mark.parametrize("empty", ["", " \n"])
def test_an_empty_variable_counts_for_nothing(empty, monkeypatch):
    monkeypatch.setenv(f"{PREFIX}PORT", empty)
    assert chosen().port == 8787


PAIR = (("api_key", "api_key_file"),)


def test_alternatives_are_taken_from_the_first_place_that_has_any(file, monkeypatch):
    path = file('api_key = "of-file"\n')
    monkeypatch.setenv(f"{PREFIX}API_KEY_FILE", "of-variable")
    found = chosen("--config", path, alternatives=PAIR)
    assert (found.api_key, found.api_key_file) == (None, Path("of-variable"))
    found = chosen("--config", path, "--api-key", "of-option", alternatives=PAIR)
    assert (found.api_key, found.api_key_file) == ("of-option", None)
    monkeypatch.setenv(f"{PREFIX}API_KEY", "x")
    with pytest.raises(ValueError, match=r"_API_KEY_FILE: can't be given along with LANGCACHE_SERVE_API_KEY"):
        chosen(alternatives=PAIR)


WRONG = {
    "whole": (["x", "1.5", "", "1e3"], [1.5, "1", True, [1]]),
    "number": (["x", "1,5"], ["1.5", False, [1.5]]),
    "time": (["x", "1.5h", "-1"], [1.5, "1 h", True, []]),
    "yes_or_no": ([], ["yes", 1, 0]),
    "text": ([], [5, True, ["a"], {"a": 1}]),
    "path": ([], [5, True, ["a"]]),
    "texts": ([], ["a", [1], ["a", 2], 5]),
}


@pytest.mark.parametrize("name", sorted(BY_NAME.keys() - REMOVED))
def test_a_value_of_a_wrong_type_is_refused_where_it_is_given(name, file, monkeypatch, capsys):
    setting = BY_NAME[name]
    texts, values = WRONG[setting.kind]
    for text in texts:
        with pytest.raises(ValueError, match=f"^{setting.flag}: must be "):
            chosen(f"{setting.flag}={text}")
        if text:
            monkeypatch.setenv(f"{PREFIX}{name.upper()}", text)
            with pytest.raises(ValueError, match=f"^{PREFIX}{name.upper()}: must be "):
                chosen()
            monkeypatch.delenv(f"{PREFIX}{name.upper()}")
    for value in values:
        text = "{ a = 1 }" if isinstance(value, dict) else json.dumps(value)
        path = file(f"{name} = {text}\n")
        assert main(["serve", "--config", str(path)]) == 2
        errors = capsys.readouterr().err
        assert errors.startswith(f"langcache: {path}: {name}: must be ")
        assert errors.count("\n") == 1


def test_no_value_of_a_text_is_shown_since_it_may_be_a_secret(file):
    for name in ("api_key", "store", "metrics_key"):
        with pytest.raises(ValueError, match="must be a text, but is of type list") as caught:
            chosen("--config", file(f'{name} = ["redis://:hunter2@h"]\n'))
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("prot", "port"),
        ("allowed-hosts", "allowed_hosts"),
        ("attribute", "attributes"),
        ("apikey", "api_key"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name, near, file, monkeypatch):
    with pytest.raises(
        ValueError, match=f"settings.toml: {name}: there is no such .* did you mean {near}\\?"
    ):
        chosen("--config", file(f"{name} = 1\n"))
    variable = f"{PREFIX}{name.upper().replace('-', '_')}X"
    monkeypatch.setenv(variable, "x")
    with pytest.raises(ValueError, match=f"{variable}: there is no such .* {PREFIX}{near.upper()}\\?"):
        chosen()


def test_a_name_that_is_near_to_none(file):
    with pytest.raises(ValueError, match=r"zzzzzz: there is no such setting$"):
        chosen("--config", file("zzzzzz = 1\n"))
    with pytest.raises(ValueError, match="serve: there is no such setting"):
        chosen("--config", file("[serve]\nport = 1\n"))
    with pytest.raises(ValueError, match="config: there is no such setting"):
        chosen("--config", file('config = "other.toml"\n'))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"port = \n", "settings.toml' is not TOML: "),
        (b"port = 1\nport = 2\n", "settings.toml' is not TOML: "),
        (b"host = '\xff'\n", "settings.toml' is not UTF-8"),
        (b"\xff\xfep\x00", "settings.toml' is not UTF-8"),
    ],
)
def test_a_file_that_can_not_be_read_is_named(content, reason, file, capsys):
    assert main(["serve", "--config", str(file(content))]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("langcache: --config: ")
    assert reason in errors
    assert errors.count("\n") == 1


def test_a_file_that_is_not_there(tmp_path, capsys):
    for path in (tmp_path / "nowhere.toml", tmp_path):
        assert main(["serve", "--config", str(path)]) == 2
        assert f"--config: can't read '{path}': " in capsys.readouterr().err


def plan(*arguments):
    options = _parser().parse_args(
        ["serve", "--embedder", "openai:http://x", "--embedder-model", "m", *arguments]
    )
    return plan_of(options)


def test_the_service_gets_what_a_file_says(file):
    path = file(
        """
        host = "0.0.0.0"
        port = 9000
        cache_id = "answers"
        api_key = "own-key"
        attributes = ["topic"]
        allowed_hosts = ["cache.example"]
        threshold = 0.9
        ttl = "1h"
        max_entries = 5000
        max_connections = 7
        rate_limit = "100/s"
        metrics_key = "figures"
        log_format = "json"
        drain = 30
        store = "redis://h?prefix=p"
        workers = 2
        """
    )
    made = plan("--config", str(path))
    (cache,) = made.config.caches
    assert (cache.cache_id, cache.api_key, cache.attributes) == ("answers", "own-key", ("topic",))
    assert (cache.threshold, cache.ttl_millis, cache.max_entries) == (0.9, 3_600_000, 5000)
    assert (made.config.host, made.config.port, made.config.allowed_hosts) == (
        "0.0.0.0",
        9000,
        ("cache.example",),
    )
    assert (made.config.rate_limit, made.config.metrics_key) == ("100/s", "figures")
    assert (made.config.store, made.config.max_connections) == ("redis://h?prefix=p", 7)
    assert (made.workers, made.drain, made.logs) == (2, 30.0, ("json", "info"))
    assert made.key_from == f"{path}: api_key"


@pytest.mark.skipif(os.name != "posix", reason="this system has no permissions for others")
def test_a_file_with_a_key_that_others_can_read_is_reported(file, capsys):
    path = file('api_key = "own-key"\n')
    path.chmod(0o644)
    plan("--config", str(path))
    assert capsys.readouterr().err.startswith(f"langcache: other users can read {path}; chmod 600")
    path = file("port = 1\n")
    path.chmod(0o644)
    plan("--config", str(path))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--rate-limit", "5"], "--rate-limit: must be requests in a time, such as 100/s, 600/m or 5000/h"),
        (["--drain", "-1"], "--drain: must be from 0 to 3600 seconds, but is -1"),
        (["--drain", "nan"], "--drain: must be from 0 to 3600 seconds"),
        (["--workers", "0"], "--workers: must be from 1 to 1024, but is 0"),
        (["--workers", "2"], "--workers: entries in memory are those of one process"),
        (["--workers", "2", "--db", "x.db"], "--workers: entries in a SQLite file are those of one process"),
        (["--log-format", "xml"], "--log-format: must be text or json, but is 'xml'"),
        (["--log-level", "loud"], "--log-level: must be debug, info, warning or error, but is 'loud'"),
        (["--max-connections", "0"], "--max-connections: must be at least 1"),
        (["--metrics-key", "a b"], "--metrics-key: has a character that no key has"),
        (["--metrics-key", "a", "--metrics-key-file", "b"], "--metrics-key-file: can't be given along with"),
        (["--metrics-key-file", "nowhere"], "--metrics-key-file: can't read 'nowhere'"),
        (["--metrics-key", "langcache-local-key"], "--metrics-key: must be another key"),
        (["--ttl", "0"], "--ttl: must be at least 1"),
        (["--cache-id", "a/b"], "--cache-id: must be an id"),
        (["--host", "0.0.0.0"], "can be reached by others, who know the default key"),
    ],
)
def test_what_is_not_possible_is_said_in_one_line_that_names_it(options, reason, capsys):
    assert main(["serve", "--embedder", "openai:http://127.0.0.1:9", "--embedder-model", "m", *options]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"langcache: {reason}") or reason in errors.partition(": ")[2]
    assert errors.count("\n") == 1


def test_what_is_not_possible_is_named_as_it_was_given(file, monkeypatch):
    with pytest.raises(ValueError, match=r"settings\.toml: threshold: must be from 0\.5 to 1"):
        plan("--config", str(file("threshold = 2\n")))
    monkeypatch.setenv(f"{PREFIX}RATE_LIMIT", "lots")
    with pytest.raises(ValueError, match=r"^LANGCACHE_SERVE_RATE_LIMIT: must be requests"):
        plan()


@pytest.mark.parametrize("given", ["1", "true", "YES", "on", "0", "false", "No", "OFF"])
def test_yes_and_no_in_variables(given, monkeypatch):
    monkeypatch.setenv(f"{PREFIX}METRICS", given)
    assert chosen().metrics is (given.lower() in ("1", "true", "yes", "on"))
    monkeypatch.setenv(f"{PREFIX}METRICS", "perhaps")
    with pytest.raises(ValueError, match=r"LANGCACHE_SERVE_METRICS: must be true or false, but is .perhaps."):
        chosen()


def test_every_setting_has_help_and_stands_on_the_page_about_it():
    docs = Path(__file__).parents[2] / "docs"
    pages = [(docs / page).read_text("utf-8") for page in ("local-service.md", "production.md")]
    rows = [line.split("|")[1] for page in pages for line in page.splitlines() if line.startswith("| `--")]
    documented = {option for row in rows for option in re.findall(r"`(--[a-z-]+)", row)}
    assert documented == {setting.flag for setting in SETTINGS}
    assert all(setting.help for setting in SETTINGS)
