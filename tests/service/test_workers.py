"""Several processes at one address: what happens to them, and to their clients, when one or all end."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis_servers import Server, needs
from supervised import Plain

from langcache.cli.serve import _serve_with_workers
from langcache.cli.serve_settings import Plan
from langcache.cli.settings import Settings
from langcache.service import ServerConfig
from langcache.service.listeners import Listeners

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it looks at processes in /proc")

PROGRAM = Path(__file__).with_name("supervised.py")
SECONDS = 60


@pytest.fixture(autouse=True)
def in_the_session_for_redis():
    """Skip what starts many processes elsewhere: it takes half a minute."""
    needs()


@contextmanager
def supervised(wrong="-", drain=10, command=None, **settings):
    """A service of two processes: the process that watches them, and their URL."""
    command = command or [sys.executable, "-W", "error", PROGRAM, wrong, drain, json.dumps(settings)]
    process = subprocess.Popen(
        [*map(str, command)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        found = re.search(r"https?://[^,]+", line)
        assert found, (line, *process.communicate(timeout=SECONDS))
        assert "2 processes" in line
        yield process, found[0]
    finally:
        for pid in children(process):
            os.kill(pid, signal.SIGKILL)
        process.kill()
        if not process.stdout.closed:
            process.communicate(timeout=SECONDS)


def children(process):
    try:
        return [
            int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        ]
    except FileNotFoundError:
        return []


def until(holds):
    overdue = time.monotonic() + SECONDS
    while not (found := holds()):
        assert time.monotonic() < overdue
        time.sleep(0.02)
    return found


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def ask(url, path, body=None, method=None):
    request = urllib.request.Request(
        url + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": "Bearer langcache-local-key"},
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def end(process, number=signal.SIGTERM):
    process.send_signal(number)
    output, errors = process.communicate(timeout=SECONDS)
    return process.returncode, output, errors


def kill_one(process, pid):
    """Kill one process, and wait until no connection comes to it any more: till then one would be reset."""
    os.kill(pid, signal.SIGKILL)
    said = process.stderr.readline()
    # At once if it has lived for ten seconds, on a busy machine.
    assert re.search(
        r"a process of the service has ended by signal 9; another one starts in (0|0\.5) s$", said
    )


def test_one_that_ends_is_started_again_and_the_address_answers_meanwhile():
    with supervised() as (process, url):
        first, second = children(process)
        kill_one(process, first)
        for _ in range(20):  # the system hands connections to the other one
            assert ask(url, "/health/readiness")[0] == 200
        again = until(lambda: len(children(process)) == 2 and children(process))
        assert second in again
        assert first not in again
        status, _, errors = end(process)
    assert (status, errors) == (0, "")


def test_one_that_is_told_to_end_before_it_has_begun_does():
    with supervised("told early") as (process, _):
        os.kill(children(process)[0], signal.SIGKILL)
        process.communicate(timeout=SECONDS)
        assert process.returncode == 0


def test_one_that_can_not_be_started_is_tried_again_and_the_others_go_on():
    with supervised("no process") as (process, url):
        first, second = children(process)
        kill_one(process, first)
        said = process.stderr.readline()
        reason = "Resource temporarily unavailable"
        assert re.search(rf"a process of the service can't be started: {reason}; another one starts in", said)
        assert second in until(lambda: len(children(process)) == 2 and children(process))
        assert ask(url, "/health/readiness")[0] == 200
        status, _, errors = end(process)
    assert (status, errors) == (0, "")


def test_connections_go_to_all_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with supervised(metrics=True) as (process, url):
        for _ in range(40):
            assert ask(url, "/health")[0] == 200
        figures = ask(url, "/metrics")[1]
        assert 'langcache_requests_total{operation="alive",status="200"} 40.0' in figures, "of both together"
        first, _ = children(process)
        kill_one(process, first)
        until(lambda: len(children(process)) == 2)
        figures = ask(url, "/metrics")[1]
        assert 'langcache_requests_total{operation="alive",status="200"} 40.0' in figures, "nor is any lost"
        assert "langcache_requests_under_way 1.0" in figures
        files = {re.sub(r".*_(\d+)\.db", r"\1", each.name) for each in tmp_path.glob("*/*.db")}
        assert files == {"0", "1"}, "as many as there are processes at once"
        assert end(process)[0] == 0


def test_a_limit_is_one_for_all_processes():
    with supervised(rate_limit="10/h") as (process, url):
        statuses = [ask(url, "/v1/caches/local/health")[0] for _ in range(30)]
        assert statuses == [200] * 10 + [429] * 20
        assert end(process)[0] == 0


def test_what_prevents_the_start_is_said_once_and_ends_all():
    command = [sys.executable, PROGRAM, "fails", "1", "{}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "langcache: no model here\n")


def test_a_service_without_a_terminal_goes_on_when_it_is_told_to_read_its_files_again():
    with supervised() as (process, url):
        pids = children(process)
        for pid in (process.pid, *pids):
            os.kill(pid, signal.SIGHUP)
        for _ in range(20):
            assert ask(url, "/health")[0] == 200
        assert children(process) == pids
        assert end(process)[0] == 0


def test_one_that_is_told_to_read_its_files_again_while_it_starts_goes_on():
    with supervised("hung up") as (process, url):
        assert ask(url, "/health")[0] == 200
        status, _, errors = end(process)
    assert (status, errors) == (0, "")


WAYS = {
    "by the default": ({}, "--{option}"),
    "by the option": ({"{name}": "--{option}"}, "--{option}"),
    "by the variable": ({"{name}": "LANGCACHE_SERVE_{NAME}"}, "LANGCACHE_SERVE_{NAME}"),
    "in a file": ({"{name}": "settings.toml: {name}"}, "settings.toml: {name}"),
    "in a file of its own": ({"{name}_file": "--{option}-file"}, "--{option}-file"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "value"),
    [("metrics", True), ("metrics_key", "a-key"), ("rate_limit", "5/s"), ("workers", None)],
)
def test_what_prevents_the_start_names_the_setting_as_it_was_given(name, value, way, monkeypatch, capsys):
    def none(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    def named(text):
        return text.format(name=name, NAME=name.upper(), option=name.replace("_", "-"))

    for module, function in ((tempfile, "mkdtemp"), (tempfile, "TemporaryFile"), (os, "fork")):
        monkeypatch.setattr(module, function, none)
    given, expected = WAYS[way]
    settings = Settings({}, {named(setting): named(where) for setting, where in given.items()})
    config = ServerConfig(port=0, **({} if value is None else {name: value}))
    assert _serve_with_workers(Plan(config, Plain("-"), "-", 2, 1.0, None, settings)) == 2
    reason = (
        "a process can't be started: No space left on device\n"
        if value is None
        else "several processes count together in a file, and none can be made: No space left on device; "
    )
    assert capsys.readouterr().err.startswith(f"langcache: {named(expected)}: {reason}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all(number):
    with supervised() as (process, url):
        pids = children(process)
        status, _, errors = end(process, number)
        assert (status, errors) == (0, "")
        assert all(map(is_gone, pids))
        with pytest.raises(urllib.error.URLError):
            ask(url, "/health")


def test_who_connects_while_all_end_is_answered_or_refused():
    """But for one who connects in the moment between the last look at a socket and its end."""
    outcomes = []

    def go_on_asking(url):
        while True:
            try:
                outcomes.append(ask(url, "/v1/caches/local/health")[0])
            except urllib.error.URLError as error:
                outcomes.append(type(error.reason))
                return
            except OSError as error:
                outcomes.append(type(error))
                return

    with supervised() as (process, url):
        clients = [threading.Thread(target=go_on_asking, args=[url]) for _ in range(8)]
        for client in clients:
            client.start()
        until(lambda: 200 in outcomes)
        status, _, errors = end(process)
        for client in clients:
            client.join(SECONDS)
    assert (status, errors) == (0, "")
    assert set(outcomes) <= {200, ConnectionRefusedError, ConnectionResetError}
    assert outcomes.count(ConnectionResetError) <= 4


def test_the_others_end_when_the_one_that_watches_is_killed():
    with supervised() as (process, _):
        pids = children(process)
        process.kill()
        until(lambda: all(map(is_gone, pids)))


@pytest.mark.parametrize("drain", [600, 0.1])
def test_one_that_does_not_end_is_ended(drain):
    """By a second signal, or when its time is over."""
    with supervised("hangs", drain) as (process, url):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            body = b'{"prompt": "p"}'
            client.sendall(
                b"POST /v1/caches/local/entries/search HTTP/1.1\r\nHost: localhost\r\n"
                b"Authorization: Bearer langcache-local-key\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )
            while process.stdout.readline() != "hangs\n":
                pass
            pids = children(process)
            process.send_signal(signal.SIGTERM)
            if drain > 1:
                until(lambda: any(map(is_gone, pids)))  # the one that has nothing to do
                process.send_signal(signal.SIGTERM)
            process.communicate(timeout=SECONDS)
            assert all(map(is_gone, pids))


def test_a_port_in_use_is_said_in_one_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = json.dumps({"port": taken.getsockname()[1]})
        command = [sys.executable, PROGRAM, "-", "1", settings]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "in use; --port 0 takes one that is free\n" in done.stderr
    assert done.stderr.count("\n") == 1


def test_two_services_do_not_share_a_port_by_mistake():
    first = Listeners("127.0.0.1", 0, 2)
    try:
        for number in range(2):
            first.of(number)[0].listen()
        with pytest.raises(OSError, match="in use"):
            Listeners("127.0.0.1", first.address[1], 2)
        first.renew(0)
        assert first.of(0)[0].getsockname() == first.of(1)[0].getsockname()
    finally:
        first.close()


def test_all_addresses_of_a_name_have_the_port_that_was_free():
    listeners = Listeners("localhost", 0, 3)
    try:
        ports = {each.getsockname()[1] for number in range(3) for each in listeners.of(number)}
        assert ports == {listeners.address[1]}
    finally:
        listeners.close()


def test_workers_on_redis_share_entries_and_the_model(embedder):
    with Server() as redis:
        options = [
            "--port",
            "0",
            "--workers",
            "2",
            "--store",
            f"{redis.url}?timeout=1",
            "--metrics",
            "--log-format",
            "json",
        ]
        command = [sys.executable, "-W", "error", "-m", "langcache", "serve", *options]
        with supervised(command=command) as (process, url):
            entry = {"prompt": "How do I reset my password?", "response": "Click."}
            assert ask(url, "/v1/caches/local/entries", entry)[0] == 201
            asked = {"prompt": "how do i reset my password?"}
            for _ in range(20):
                status, found = ask(url, "/v1/caches/local/entries/search", asked)
                assert (status, json.loads(found)["data"][0]["response"]) == (200, "Click.")
            redis.freeze()
            assert until(lambda: ask(url, "/health/readiness")[0] == 503)
            assert ask(url, "/health/liveness")[0] == 200
            redis.thaw()
            assert until(lambda: ask(url, "/health/readiness")[0] == 200)
            status, _, errors = end(process)
        assert status == 0
        lines = [json.loads(line) for line in errors.splitlines()]
        requests = [line for line in lines if line["logger"] == "langcache.service.requests"]
        assert len({line["process"] for line in requests}) == 2
        assert "password" not in errors
