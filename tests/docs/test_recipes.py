"""The files that people copy from docs/production: they parse, and name what there is."""

from __future__ import annotations

import argparse
import configparser
import json
import os
import re
import shlex
from pathlib import Path

import pytest
import yaml

from langcache.cli import _parser
from langcache.cli.serve_settings import PREFIX, SETTINGS, plan_of
from langcache.cli.settings import _read_toml, read_settings

RECIPES = Path(__file__).parents[2] / "docs" / "production"
OPTIONS = {flag for setting in SETTINGS for flag in (setting.flag, setting.flag.replace("--", "--no-", 1))}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture
def with_secrets(tmp_path, monkeypatch):
    """Puts files in place of those that only the machine of a recipe has."""
    key = tmp_path / "key"
    key.write_text("k" * 64)
    key.chmod(0o600)

    def with_secrets(settings):
        return [
            re.sub(r"(?<==)/run/(secrets|credentials)/\S+", str(key), each)
            if "=" in each
            else re.sub(r"^/run/(secrets|credentials)/\S+", str(key), each)
            for each in settings
        ]

    return with_secrets


def parsed(arguments):
    """The options of a `serve` command. Fails for one that there is not."""
    assert arguments[0] == "serve"
    options, unknown = _parser().parse_known_args(arguments)
    assert unknown == []
    return options


def checked(options):
    """The service that options describe; with an embedder that loads nothing."""
    given = {**vars(options), "embedder": "openai:http://127.0.0.1:9", "embedder_model": "m"}
    return plan_of(argparse.Namespace(**given))


def test_there_are_these_recipes_and_all_are_on_the_page():
    page = (RECIPES.parent / "production.md").read_text("utf-8")
    names = {path.name for path in RECIPES.iterdir()}
    assert names == {"Containerfile", "compose.yaml", "langcache.service", "langcache.toml", "prometheus.yml"}
    for name in names:
        assert f"{{literalinclude}} production/{name}\n" in page


def test_the_settings_file_is_understood_as_a_whole(tmp_path, with_secrets):
    text = (RECIPES / "langcache.toml").read_text("utf-8")
    key = re.search(r'^api_key_file = "(.+)"$', text, re.MULTILINE)[1]
    path = tmp_path / "langcache.toml"
    path.write_text(text.replace(key, *with_secrets([key])))
    options = parsed(["serve", "--config", str(path)])
    settings = read_settings(SETTINGS, options, PREFIX)
    given = {setting.name for setting in SETTINGS if settings.where(setting.name)}
    assert set(_read_toml(path)) == given - {"config"}
    plan = checked(options)
    assert (plan.workers, plan.config.rate_limit, plan.drain) == (4, "1000/s", 20)


def instructions(text):
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    return [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]


def test_the_container_starts_serve_and_asks_whether_it_is_ready():
    found = instructions((RECIPES / "Containerfile").read_text("utf-8"))
    known = {"FROM", "COPY", "RUN", "USER", "WORKDIR", "ENV", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK"}
    assert {name for name, _ in found} <= known | {"ENTRYPOINT", "CMD"}
    last = dict(found)
    assert json.loads(last["ENTRYPOINT"]) == ["python", "-m", "langcache"]
    options = parsed(json.loads(last["CMD"]))
    assert (options.host, options.log_format) == ("0.0.0.0", "json")
    assert last["STOPSIGNAL"] == "SIGTERM"
    probe = json.loads(last["HEALTHCHECK"].partition(" CMD ")[2])
    compile(probe[2], "probe", "exec")
    default = {setting.name: setting.default for setting in SETTINGS}["port"]
    assert f"127.0.0.1:{default}/health/readiness" in probe[2]
    assert last["EXPOSE"] == f"{default}"
    build = found[: [name for name, _ in found].index("FROM", 1)]
    copied = [path for name, paths in build if name == "COPY" for path in paths.split()[:-1]]
    assert all((RECIPES.parents[1] / path).exists() for path in copied)
    assert "--from" not in " ".join(copied)
    extras = re.search(r"/source\[([a-z,]+)\]", (RECIPES / "Containerfile").read_text("utf-8"))[1]
    pyproject = (RECIPES.parents[1] / "pyproject.toml").read_text("utf-8")
    assert all(re.search(f"^{extra} = ", pyproject, re.MULTILINE) for extra in extras.split(","))
    project = _read_toml(RECIPES.parents[1] / "pyproject.toml")["project"]
    needed = ["pyproject.toml", project["readme"], "langcache", *project["license-files"]]
    assert {Path(path).parts[0] for path in needed} == set(copied)


def test_the_compose_file_runs_a_service_that_can_be(with_secrets):
    services = yaml.safe_load((RECIPES / "compose.yaml").read_text("utf-8"))
    assert services.keys() == {"services", "secrets", "volumes"}
    langcache = services["services"]["langcache"]
    file = (RECIPES / langcache["build"]["context"]).resolve() / langcache["build"]["dockerfile"]
    assert file == RECIPES / "Containerfile"
    plan = checked(parsed(with_secrets(langcache["command"])))
    assert plan.workers == 2
    assert plan.config.store == "redis://redis:6379"
    assert set(langcache["depends_on"]) <= services["services"].keys()
    assert set(langcache["secrets"]) == services["secrets"].keys()
    assert int(langcache["stop_grace_period"].removesuffix("s")) > plan.drain + 10
    assert langcache["ports"] == ["127.0.0.1:8787:8787"]
    volumes = {each.partition(":")[0] for each in services["services"]["redis"]["volumes"]}
    assert volumes == services["volumes"].keys()


def test_the_unit_starts_a_service_and_lets_it_end():
    unit = configparser.ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str
    unit.read(RECIPES / "langcache.service", "utf-8")
    assert unit.sections() == ["Unit", "Service", "Install"]
    service = unit["Service"]
    _, _, _, *arguments = shlex.split(service["ExecStart"].replace("\\\n", ""))
    assert parsed(arguments).config == "/etc/langcache/langcache.toml"
    assert service["KillMode"] == "mixed", "or each process gets a signal of its own"
    drain = _read_toml(RECIPES / "langcache.toml")["drain"]
    assert int(service["TimeoutStopSec"]) > drain + 10
    assert int(service["RestartSec"]) * 5 > 10, "or systemd gives up while Redis starts"
    secret = service["LoadCredential"].partition(":")[0]
    assert f"langcache.service/{secret}" in (RECIPES / "langcache.toml").read_text("utf-8")


def test_prometheus_asks_where_the_figures_are():
    (job,) = yaml.safe_load((RECIPES / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    assert job["metrics_path"] == "/metrics"
    assert job["authorization"]["type"] == "Bearer"


def test_every_option_that_the_page_names_is_there():
    page = (RECIPES.parent / "production.md").read_text("utf-8")
    text = re.sub(r"^ {4}.*$", "", page, flags=re.MULTILINE)
    named = set(re.findall(r"`(--[a-z-]+)", text))
    assert named <= OPTIONS
    variables = set(re.findall(rf"{PREFIX}([A-Z_]+)", page))
    assert variables <= {setting.name.upper() for setting in SETTINGS}
