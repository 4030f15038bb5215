"""What the debug logger is told."""

from __future__ import annotations

import logging

import pytest

from langcache import Limits, utils
from langcache._call import debug, protocol
from langcache._call.debug import ExchangeLog
from langcache._call.received import Received

REQUEST = protocol.search(Limits(), "a secret question", None, None, None, None)
SENT = {"Authorization": "Bearer the-key-of-it-all"}
URL = "https://cache.example/v1/caches/c/entries/search"


class Lines(list):
    """A logger that keeps what it is told."""

    def debug(self, msg, *args):
        self.append(msg % args)


def test_a_try_is_two_lines_with_sizes_and_no_texts():
    lines = Lines()
    log = ExchangeLog(lines, REQUEST, URL, SENT, 2, bodies=False)
    log.reply(Received(200, {}, b'{"data":["a secret answer"]}', SENT))
    assert lines[0] == f"-> POST {URL} (try 2): {len(REQUEST.body)} bytes"
    assert lines[1].startswith(f"<- POST {URL} (try 2): status 200, 28 bytes, ")
    assert lines[1].endswith(" ms")
    assert "secret" not in "".join(lines)


def test_texts_are_shown_on_request_even_if_they_are_not_utf_8():
    lines = Lines()
    ExchangeLog(lines, REQUEST, URL, SENT, 1, bodies=True).reply(Received(200, {}, b"\xff answer", SENT))
    assert lines[0].endswith(': {"prompt":"a secret question"}')
    assert lines[1].endswith(": \ufffd answer")


def test_a_failure_is_named_by_its_class_alone():
    lines = Lines()
    ExchangeLog(lines, protocol.flush(), URL, SENT, 1, bodies=True).failure(ConnectionError("with a secret"))
    assert lines[0].endswith(": 0 bytes")
    assert ": ConnectionError, " in lines[1]
    assert "secret" not in lines[1]


def by_itself(monkeypatch):
    """The package's logger, bare. Not in a fixture, for pytest adds handlers of its own after those."""
    monkeypatch.setenv("LANGCACHE_DEBUG", "1")
    logger = logging.getLogger("langcache")
    for attribute, value in (("handlers", []), ("level", logging.NOTSET), ("propagate", False)):
        monkeypatch.setattr(logger, attribute, value)
    return logger


@pytest.mark.parametrize("value", [None, "", " ", "0", "false", "False", "no", "OFF"])
def test_there_is_no_default_logger_unless_asked_for(monkeypatch, value):
    monkeypatch.delenv("LANGCACHE_DEBUG", raising=False)
    if value is not None:
        monkeypatch.setenv("LANGCACHE_DEBUG", value)
    assert debug.default_logger() is None
    assert utils.get_default_logger().debug("something") is None


def test_the_environment_turns_the_default_logger_on(monkeypatch, capsys):
    by_itself(monkeypatch)
    utils.get_default_logger().debug("%d bytes", 3)
    utils.get_default_logger().debug("again")
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith(" langcache 3 bytes")
    assert second.endswith(" langcache again")


def test_the_default_logger_uses_the_handlers_of_a_program_that_has_some(monkeypatch):
    logger = by_itself(monkeypatch)
    theirs = logging.NullHandler()
    logger.addHandler(theirs)
    assert utils.get_default_logger() is logger
    assert logger.handlers == [theirs]
