"""`python -m langcache serve` and `demo`, as processes and in this one."""

from __future__ import annotations

import asyncio
import errno
import importlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager, redirect_stdout
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from langcache import __version__
from langcache.cli import main
from langcache.cli.settings import millis_of
from langcache.service import MiniLMEmbedder
from langcache.service import server as service

EXPORT = re.compile(r"export LANGCACHE_(SERVER_URL|API_KEY|CACHE_ID)=(.+)")


@contextmanager
def serving(*options):
    """A `serve` process; gives it and the URL, key and cache id that its export lines tell a shell."""
    process = subprocess.Popen(
        [sys.executable, "-m", "langcache", "serve", "--port", "0", *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        exported = {}
        for line in process.stdout:
            if found := EXPORT.match(line):
                exported[found[1]] = found[2]
            if len(exported) == 3:
                yield process, (exported["SERVER_URL"], exported["API_KEY"], exported["CACHE_ID"])
                break
        else:
            pytest.fail(f"it printed no export lines: {process.communicate()}")
    finally:
        process.kill()
        process.communicate(timeout=60)


def call(reach, method, path, body=None):
    url, key, cache_id = reach
    request = urllib.request.Request(
        f"{url}/v1/caches/{cache_id}/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        content = reply.read()
        return json.loads(content) if content else None


def test_serve_finds_a_paraphrase_over_plain_http_and_ends_quietly():
    with serving("--attribute", "topic", "--attribute", "tenant", "--ttl", "1h") as (process, reach):
        entry = {
            "prompt": "How long does shipping to Canada take?",
            "response": "Five days.",
            "attributes": {"topic": "shipping"},
        }
        call(reach, "POST", "entries", entry)
        (found,) = call(reach, "POST", "entries/search", {"prompt": "To Canada, how many days is shipping?"})[
            "data"
        ]
        assert found["response"] == "Five days."
        assert call(reach, "POST", "entries/search", {"prompt": "Which wine goes with fish?"}) == {"data": []}
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
        assert output.endswith("Stopped.\n")


def test_what_was_acknowledged_survives_a_kill(tmp_path):
    acknowledged = []
    with serving("--db", tmp_path / "cache.db") as (process, reach):

        def store(worker):
            try:
                for number in range(10_000):
                    body = {"prompt": f"question {worker} {number}", "response": "r"}
                    acknowledged.append((body["prompt"], call(reach, "POST", "entries", body)["entryId"]))
                    if len(acknowledged) > 200:
                        process.kill()
            except OSError:
                return

        workers = [threading.Thread(target=store, args=[number]) for number in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert len(acknowledged) > 200
    with serving("--db", tmp_path / "cache.db") as (process, reach):
        for prompt, entry_id in acknowledged:
            (found,) = call(
                reach, "POST", "entries/search", {"prompt": prompt, "searchStrategies": ["exact"]}
            )["data"]
            assert found["id"] == entry_id
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_the_demo_hits_misses_filters_deletes_and_tells_apart():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "langcache", "demo"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    outcomes = re.findall(r"^    (hit|miss|turned down)", done.stdout, re.MULTILINE)
    assert outcomes[:5] == ["hit", "hit", "miss", "hit", "miss"]
    assert outcomes[5:9] == ["miss", "miss", "hit", "miss"], "with other thresholds, and after deleting"
    assert outcomes[9:] == ["miss", "hit", "hit", "miss"], "of get_or_set, and of one word that differs"


def test_the_demo_in_this_process(capsys):
    assert main(["demo"]) == 0
    assert "2 answers of topic account" in capsys.readouterr().out


@pytest.fixture
def endpoint():
    """An embeddings endpoint, and the keys that it was asked with."""
    keys = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            keys.append(self.headers["Authorization"])
            texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
            data = [{"embedding": [1.0, float(len(text))], "index": at} for at, text in enumerate(texts)]
            content = json.dumps({"data": data}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"openai:http://127.0.0.1:{server.server_port}/v1", keys
        server.shutdown()
        thread.join()


class Output(io.StringIO):
    """A stdout that tells this process to end as soon as everything is printed."""

    told = False

    def flush(self):
        if not self.told:
            self.told = True
            os.kill(os.getpid(), signal.SIGTERM)


def printed_by_serve(*options):
    with redirect_stdout(Output()) as output:
        assert main(["serve", "--port", "0", *options]) == 0
    return output.getvalue()


def test_serve_with_an_endpoint_takes_its_key_from_the_environment(endpoint, monkeypatch, tmp_path):
    embedder, keys = endpoint
    monkeypatch.setenv("LANGCACHE_EMBEDDER_API_KEY", "embedder-secret")
    options = [
        "--embedder",
        embedder,
        "--embedder-model",
        "small",
        "--attribute",
        "topic",
        "--threshold",
        "0.9",
    ]
    options += ["--db", str(tmp_path / "a.db"), "--api-key", "own-secret", "--cache-id", "mine"]
    output = printed_by_serve(*options)
    assert set(keys) == {"Bearer embedder-secret"}
    assert "attributes topic, embedded with openai/small" in output
    assert "LANGCACHE_CACHE_ID=mine" in output
    assert "secret" not in output


def test_serve_prints_what_a_shell_needs(endpoint):
    embedder, _ = endpoint
    output = printed_by_serve("--embedder", embedder, "--embedder-model", "small")
    exported = dict(EXPORT.findall(output))
    assert f"Look at it: {exported['SERVER_URL']}/ " in output
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", exported["SERVER_URL"])
    assert (exported["API_KEY"], exported["CACHE_ID"]) == ("langcache-local-key", "local")
    commands = output[output.index("curl") :].strip()
    subprocess.run(["bash", "-n", "-c", commands], check=True, timeout=60)


def test_a_signal_ends_a_start_that_takes_long(monkeypatch, capsys):
    async def start(self):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    monkeypatch.setattr(MiniLMEmbedder, "start", start)
    assert main(["serve", "--port", "0"]) == 0
    assert capsys.readouterr() == ("Stopped.\n", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", "0.0.0.0"], "can be reached by others, who know the default key"),
        (["--threshold", "2"], "threshold: must be from 0.5 to 1"),
        (["--attribute", "a b"], "--attribute: names must be"),
        (
            ["--attribute", "a", "--attribute", "a"],
            "--attribute: must have different names, but",
        ),
        (["--embedder", "other"], "--embedder: must be minilm, wordllama, onnx:FOLDER, or openai:URL"),
        (["--embedder", "openai:"], "--embedder: must be minilm, wordllama, onnx:FOLDER, or openai:URL"),
        (
            ["--embedder", "onnx:nowhere"],
            "folder: must be a folder with an ONNX model, but 'nowhere' is none",
        ),
        (["--embedder-model", "m"], "--embedder-model: is for --embedder openai:URL alone"),
        (["--embedder", "openai:http://x"], "--embedder-model: is needed with openai:"),
        (["--embedder", "openai:x", "--embedder-model", "m"], "url: must begin with https://"),
        (["--embedder", "openai:http://127.0.0.1:9", "--embedder-model", "m"], "can't be reached"),
        (["--db", "nowhere/cache.db"], "unable to open 'nowhere/cache.db': there is no folder 'nowhere'"),
        (["--db", "."], "unable to open '.': it is a folder; give the name of a file"),
        (["--threshold", "0.2"], "threshold: must be from 0.5 to 1, but is 0.2"),
        (["--port", "65536"], "port: must be from 0 to 65535, but is 65536"),
        (["--allowed-host", "http://x"], "--allowed-host: must be names or addresses without a scheme"),
        (["--api-key", "a b"], "--api-key: has a character that no key has"),
        (["--api-key", "a", "--api-key-file", "b"], "--api-key-file: can't be given along with --api-key"),
        (["--api-key-file", "nowhere"], "--api-key-file: can't read 'nowhere': No such file"),
        (["--api-key-file", "."], "--api-key-file: can't read '.': Is a directory"),
        (["--api-key-file", os.devnull], f"--api-key-file: '{os.devnull}' is empty"),
    ],
)
def test_what_can_not_be_served_is_said_in_one_line(options, message, capsys):
    status = 1 if message == "can't be reached" else 2
    assert main(["serve", "--port", "0", *options]) == status
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("langcache: ")
    assert message in output.err
    assert output.err.count("\n") == 1


@pytest.fixture
def configs(monkeypatch):
    """The settings of the servers that are run."""
    configs = []
    really_serve = service.serving

    def serve(config, embedder, **more):
        configs.append(config)
        return really_serve(config, embedder, **more)

    monkeypatch.setattr(service, "serving", serve)
    return configs


KEYS = {
    "the default": ([], {}, "langcache-local-key"),
    "an option": (["--api-key", "from-option"], {"LANGCACHE_SERVE_API_KEY": "from-variable"}, "from-option"),
    "a file": (["--api-key-file", "FILE"], {"LANGCACHE_SERVE_API_KEY": "from-variable"}, "from-file"),
    "the variable": ([], {"LANGCACHE_SERVE_API_KEY": "from-variable\r\n"}, "from-variable"),
    "an empty variable": ([], {"LANGCACHE_SERVE_API_KEY": " \n"}, "langcache-local-key"),
    "the client's variable": ([], {"LANGCACHE_API_KEY": "of-the-client"}, "langcache-local-key"),
}


@pytest.mark.parametrize(("options", "variables", "expected"), KEYS.values(), ids=KEYS)
def test_where_the_key_of_the_service_comes_from(
    options, variables, expected, endpoint, configs, tmp_path, monkeypatch, capsys
):
    file = tmp_path / "key"
    file.write_text("from-file\n")
    file.chmod(0o600)
    monkeypatch.delenv("LANGCACHE_API_KEY", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    embedder, _ = endpoint
    options = [str(file) if option == "FILE" else option for option in options]
    output = printed_by_serve("--embedder", embedder, "--embedder-model", "small", *options)
    assert configs[-1].caches[0].api_key == expected
    assert (expected in output) == (expected == "langcache-local-key")
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(os.name != "posix", reason="this system has no permissions for others")
def test_a_key_that_others_can_read_is_reported(endpoint, tmp_path, capsys):
    embedder, _ = endpoint
    file = tmp_path / "key"
    file.write_text("own-secret")
    file.chmod(0o644)
    output = printed_by_serve(
        "--embedder", embedder, "--embedder-model", "small", "--api-key-file", str(file)
    )
    errors = capsys.readouterr().err
    assert errors == f"langcache: other users can read {file}; chmod 600 {file} keeps it yours\n"
    assert "own-secret" not in output


@pytest.mark.parametrize("inside", [" ", "\n", "\r\n", "\t", "\x7f", "é", "\u2028"])
@pytest.mark.parametrize("variable", ["LANGCACHE_SERVE_API_KEY", "LANGCACHE_EMBEDDER_API_KEY"])
def test_what_can_be_no_key_is_said_without_it(variable, inside, monkeypatch, capsys):
    monkeypatch.setenv(variable, f"secret{inside}half")
    assert main(["serve", "--embedder", "openai:http://127.0.0.1:9", "--embedder-model", "m"]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"langcache: {variable}: the key has a space, a line end or another")
    assert errors.count("\n") == 1
    assert "secret" not in errors
    assert "half" not in errors


def test_a_line_end_after_a_key_does_no_harm(endpoint, monkeypatch):
    embedder, keys = endpoint
    monkeypatch.setenv("LANGCACHE_EMBEDDER_API_KEY", "embedder-secret\r\n")
    printed_by_serve("--embedder", embedder, "--embedder-model", "small")
    assert set(keys) == {"Bearer embedder-secret"}


@pytest.mark.parametrize(
    "url",
    [
        *("http://user:hunter2@127.0.0.1:9", "ftp://user:hunter2@x", "http://user:hunter2@x:port"),
        *("http://user:hunter2#1@127.0.0.1:9", "http://user:hunter2/1@127.0.0.1:9", "user:hunter2@x"),
    ],
)
def test_the_password_of_an_endpoint_is_not_printed(url, capsys):
    assert main(["serve", "--port", "0", "--embedder", f"openai:{url}", "--embedder-model", "m"]) in (1, 2)
    output = capsys.readouterr()
    assert "hunter2" not in output.out + output.err
    assert output.err.count("\n") == 1


@pytest.mark.parametrize("given", [["a.example", "b.example"], []])
def test_more_names_come_from_options_or_from_the_variable(given, endpoint, configs, monkeypatch):
    monkeypatch.setenv("LANGCACHE_SERVE_ALLOWED_HOSTS", " c.example, ")
    embedder, _ = endpoint
    options = [option for name in given for option in ("--allowed-host", name)]
    printed_by_serve("--embedder", embedder, "--embedder-model", "small", *options)
    assert configs[-1].allowed_hosts == tuple(given or ["c.example"])


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_an_unknown_option_shows_the_usage_of_its_command(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--unknown", "x"])
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"usage: langcache {command} ")
    assert errors.endswith(f"langcache {command}: error: unrecognized arguments: --unknown\n")


@pytest.mark.parametrize(
    ("host", "port", "hint"),
    [
        ("host.invalid", "0", "--host must be an address of this machine"),
        ("192.0.2.1", "0", "--host must be an address of this machine"),
        pytest.param(
            "127.0.0.1",
            "1",
            "choose a --port above 1023",
            marks=pytest.mark.skipif(
                not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user may use any port"
            ),
        ),
    ],
)
def test_where_it_can_not_listen_is_said_with_a_way_out(host, port, hint, endpoint, capsys):
    embedder, _ = endpoint
    options = ["--embedder", embedder, "--embedder-model", "small", "--api-key", "own"]
    assert main(["serve", "--host", host, "--port", port, *options]) == 1
    errors = capsys.readouterr().err
    assert errors.startswith(f"langcache: can't listen at '{host}', port {port}: ")
    assert hint in errors
    assert errors.count("\n") == 1


def test_a_port_in_use_is_said_in_one_line(server, capsys):
    port = server.url.rpartition(":")[2]
    assert main(["serve", "--port", port]) == 1
    errors = capsys.readouterr().err
    assert errors.startswith(f"langcache: can't listen at '127.0.0.1', port {port}: ")
    assert errors.endswith("in use; --port 0 takes one that is free\n")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("command", ["demo", "serve"])
def test_a_missing_extra_is_said_in_one_line(command):
    code = (
        "import sys; sys.modules['numpy'] = None; "
        "from langcache.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, command], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "langcache: langcache.service needs the package 'numpy'; "
        "install it with: pip install '.[local]' in a checkout of langcache, "
        "or pip install '/path/to/checkout[local]' from anywhere else\n"
    )


def test_ctrl_c_outside_of_the_server_ends_with_130(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("langcache.cli.demo.demo", interrupted)
    assert main(["demo"]) == 130
    assert capsys.readouterr() == ("", "Interrupted.\n")


def test_a_reader_that_has_had_enough_ends_the_demo_quietly(monkeypatch, tmp_path):
    with (tmp_path / "output").open("w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        monkeypatch.setattr("langcache.cli.demo.demo", lambda: (print("first"), _broken_pipe()))
        assert main(["demo"]) == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a device that is full")
def test_output_that_can_not_be_written_is_said_in_one_line(monkeypatch, capsys):
    with open("/dev/full", "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        monkeypatch.setattr("langcache.cli.demo.demo", lambda: print("first"))
        assert main(["demo"]) == 1
    assert capsys.readouterr().err == f"langcache: can't write the output: {os.strerror(errno.ENOSPC)}\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a device that is full")
def test_a_service_whose_output_can_not_be_written_goes_on(endpoint, monkeypatch, capsys):
    embedder, _ = endpoint

    def stop(said):
        print(said, file=sys.stderr)
        if f"{said}".endswith("goes on"):  # else it has ended by itself
            os.kill(os.getpid(), signal.SIGTERM)
        return 1

    monkeypatch.setattr("langcache.cli.terminal.failed", stop)
    with open("/dev/full", "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert main(["serve", "--port", "0", "--embedder", embedder, "--embedder-model", "small"]) == 0
    assert "the service at http://127.0.0.1:" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="a shell that closes streams")
def test_closed_streams_are_no_places_for_files_and_connections():
    code = """if 1:
        import os, sys
        from langcache.cli import main
        main(["delete"])
        null = os.stat(os.devnull).st_rdev
        os._exit(9 if all(os.fstat(number).st_rdev == null for number in range(3)) else 1)
    """
    ended = subprocess.run(["sh", "-c", '"$0" -c "$1" <&- >&- 2>&-', sys.executable, code], timeout=60)
    assert ended.returncode == 9


def _broken_pipe():
    raise BrokenPipeError


def test_a_missing_package_ends_the_demo_in_one_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "langcache.cli.demo", None)
    assert main(["demo"]) == 1
    assert capsys.readouterr().err.startswith("langcache: ")


@pytest.mark.parametrize(
    ("text", "millis"),
    [
        ("250", 250),
        ("500ms", 500),
        ("90s", 90_000),
        ("15m", 900_000),
        ("24h", 86_400_000),
        ("7d", 604_800_000),
    ],
)
def test_times_are_read(text, millis):
    assert millis_of(text) == millis


@pytest.mark.parametrize("text", ["", "h", "1.5h", "-1", "1y", "1 h"])
def test_what_is_no_time_is_refused(text, capsys):
    assert main(["serve", f"--ttl={text}"]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("langcache: --ttl: must be a time: milliseconds, or 500ms, 90s")
    assert errors.count("\n") == 1


def test_one_str_is_not_taken_for_arguments():
    with pytest.raises(TypeError, match=r"arguments: must be a list, such as \['serve', '--port', '0'\]"):
        main("serve --port 0")


def test_serve_takes_an_attribute_of_any_name(endpoint):
    embedder, _ = endpoint
    output = printed_by_serve(
        "--embedder", embedder, "--embedder-model", "small", "--attribute", "function", "--attribute", "id"
    )
    assert "attributes function, id, embedded with" in output


def test_the_module_is_a_program_that_tells_its_version(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["langcache", "--version"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module("langcache.__main__")
    assert ended.value.code == 0
    assert __version__ in capsys.readouterr().out
