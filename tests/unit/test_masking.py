"""Secrets are found in whatever form a reply quotes them, and nothing else is masked."""

from __future__ import annotations

import base64
import html
import json
import string
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache._call.masking import NO_SECRETS, Secret, Secrets
from langcache._call.received import Received
from langcache._wire.exchange import ERROR_BODY_BYTES

VISIBLE = [chr(code) for code in range(0x21, 0x7F)]
keys = st.text(VISIBLE, min_size=8, max_size=60).filter(lambda key: len(set(key)) > 3)


def each(form):
    return lambda text: "".join(form(character) for character in text)


FORMS = {
    "as it is": str,
    "JSON": lambda key: json.dumps(key)[1:-1],
    "JSON in JSON": lambda key: json.dumps(json.dumps(key))[1:-1],
    "JSON with slashes escaped": lambda key: json.dumps(key)[1:-1].replace("/", "\\/"),
    "JSON, every character": each(lambda character: f"\\u{ord(character):04X}"),
    "JSON, every second character": lambda key: "".join(
        f"\\u{ord(character):04x}" if number % 2 else json.dumps(character)[1:-1]
        for number, character in enumerate(key)
    ),
    "repr": lambda key: repr(key.encode())[2:-1],
    "percent": lambda key: quote(key, safe=""),
    "percent, every character": each(lambda character: f"%{ord(character):02x}"),
    "percent twice": lambda key: quote(quote(key, safe=""), safe=""),
    "percent in JSON": lambda key: "".join(f"\\u0025{ord(character):02x}" for character in key),
    "HTML": html.escape,
    "HTML twice": lambda key: html.escape(html.escape(key)),
    "HTML, every character": each(lambda character: f"&#{ord(character)};"),
    "HTML, hexadecimal": each(lambda character: f"&#x{ord(character):X};"),
    "UTF-16": lambda key: key.encode("utf-16-le").decode("latin-1"),
    "hexadecimal": lambda key: key.encode().hex(),
    "Basic": lambda key: base64.b64encode(f"user:{key}".encode()).decode(),
    "Basic with a longer name": lambda key: base64.b64encode(f"a user:{key}".encode()).decode(),
    "base64 for URLs": lambda key: base64.urlsafe_b64encode(f"u1:{key}:more".encode()).decode(),
}


def traces(key, text):
    """What is still to be seen of the key: as it is, or decoded."""
    undone = [
        text,
        text.replace("\\", ""),
        unquote(text),
        html.unescape(html.unescape(text)),
        text.replace("\0", ""),
    ]
    return any(key in each for each in undone)


@pytest.mark.parametrize("form", FORMS)
@given(
    key=keys,
    before=st.sampled_from(["", "key ", '{"a": "', "x", "=="]),
    after=st.sampled_from(["", '"}', "y"]),
)
def test_a_key_is_masked_in_any_form(form, key, before, after):
    secrets = Secrets.of_request({"Authorization": f"Bearer {key}"})
    quoted = FORMS[form](key)
    masked = secrets.mask(before + quoted + after)
    assert masked.startswith(before)
    assert "***" in masked
    assert not traces(key, masked)
    # Of base64, the characters at the ends belong to what stands beside it.
    assert len(masked) <= len(before) + len(after) + 20
    assert secrets.mask_bytes((before + quoted + after).encode("latin-1")) == masked.encode("latin-1")


@given(st.text(max_size=200), keys)
def test_what_has_no_secret_is_the_same_object(text, key):
    secrets = Secrets.of_request({"Authorization": f"Bearer {key}"})
    masked = secrets.mask(text)
    assert masked is text or "***" in masked
    assert NO_SECRETS.mask(text) is text


@given(st.text(string.ascii_letters + '\\%&;"/ ', max_size=200))
def test_text_around_a_key_stays_as_it_is(text):
    key = "0123456789-0123456789"
    assert Secrets.of_request({"Authorization": f"Bearer {key}"}).mask(f"{text} {key} {text}") == (
        f"{text} *** {text}"
    )


@pytest.mark.parametrize("form", FORMS)
@given(key=keys, cut=st.integers(1, 100))
def test_the_beginning_of_a_key_at_the_end_of_what_was_cut_is_left_out(form, key, cut):
    quoted = FORMS[form](key)
    text = "." * 2000 + "the key is " + quoted[: max(len(quoted) - cut, 0)]
    content = text.encode("latin-1")
    masked = Secrets.of_request({"Authorization": f"Bearer {key}"}).mask_bytes(content, is_cut=True)
    assert masked.startswith(b"." * 900)
    assert not masked.strip(b".").removeprefix(b"the key is ***")
    assert NO_SECRETS.mask_bytes(content, is_cut=True) is content


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_body_that_is_cut_within_the_key_shows_none_of_it(cut):
    key = "sk-0123456789abcdef0"
    content = b"x" * (ERROR_BODY_BYTES - cut) + key.encode() + b"more"
    body = Received(500, {}, content[: ERROR_BODY_BYTES + 1], {"Authorization": f"Bearer {key}"}).shown().text
    assert set(body) == {"x"}
    assert len(body) > ERROR_BODY_BYTES - 1000


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("Authorization", "Bearer the-secret", "the-secret"),
        ("authorization", "the-secret", "the-secret"),
        ("Authorization", "Basic dXNlcjp0aGUtc2VjcmV0", "the-secret"),
        ("Proxy-Authorization", "Basic dXNlcjp0aGUtc2VjcmV0", "dXNlcjp0aGUtc2VjcmV0"),
        ("Cookie", "a=1; session=the-secret; b=2", "the-secret"),
        ("X-Api-Key", "the-secret", "the-secret"),
        ("x-amz-security-token", "the-secret", "the-secret"),
        ("X-Client-Secret", "the-secret", "the-secret"),
        ("X-Auth", "pässwörd", "pässwörd"),
    ],
)
def test_the_headers_that_grant_access_are_secrets(name, value, secret):
    secrets = Secrets.of_request({"Accept": "application/json", name: value})
    assert secrets.mask(f"you sent {secret}!") == "you sent ***!"
    assert secrets.mask_bytes(f"you sent {secret}!".encode()) == b"you sent ***!"


def test_other_headers_are_no_secrets():
    secrets = Secrets.of_request({"User-Agent": "langcache-python", "X-Request-Id": "0123456789"})
    assert secrets is NO_SECRETS


@pytest.mark.parametrize("password", ["p#ss/w?rd", "a[b]c@d%", "correct%20horse", "hunter2"])
def test_the_password_of_a_proxy_is_a_secret(password):
    login = base64.b64encode(f"a user:{password}".encode()).decode()
    secrets = Secrets.of_request({"Proxy-Authorization": f"Basic {login}"})
    assert secrets.mask(f"no {password}, no entry") == "no ***, no entry"
    assert secrets.mask(f"no {quote(password, safe='')}, no entry") == "no ***, no entry"
    assert login not in secrets.mask(f"no {login}, no entry")


@pytest.mark.parametrize(
    ("key", "text", "masked"),
    [
        ("key", "unknown key", "unknown key"),
        ("word", "a password, a word", "a password, a ***"),
        ("s3cret!", "say s3cret!", "say ***"),
        ("password", "passwords", "***s"),
    ],
)
def test_a_short_key_is_masked_only_where_it_stands_alone(key, text, masked):
    assert Secrets.of_request({"Authorization": f"Bearer {key}"}).mask(text) == masked


def test_no_repr_has_a_secret():
    sent = {"Authorization": Secret("Bearer the-secret")}
    received = Received(200, {"X-Seen": "the-secret"}, b"the-secret", sent)
    assert "the-secret" not in f"{sent!r} {received!r} {received.secrets!r} {received}"


def test_what_is_shown_of_headers_is_bounded_and_has_no_secret():
    sent = {"Authorization": "Bearer the-secret"}
    many = {f"X-{number}": "x" * 1000 for number in range(1000)}
    assert len(Received(500, many, b"", sent).shown().headers) == 65
    shown = Received(500, {"Location": "/?key=the-secret"}, b"", sent).shown().headers
    assert shown["location"] == "/?key=***"
    plain = {"Content-Type": "text/html"}
    assert Received(500, plain, b"", sent).shown().headers is plain


@pytest.mark.parametrize("change", [str.upper, str.lower, str.swapcase, str.title])
@pytest.mark.parametrize("around", ["{}", "é{}é", "\N{SNOWMAN}{}", "%C3%9C{}"])
def test_a_secret_in_another_case_is_found(change, around):
    secrets = Secrets.of_request({"Authorization": "Bearer sk-AbCdEf0123"})
    assert secrets.mask(around.format(change("sk-AbCdEf0123"))) == around.format("***")
