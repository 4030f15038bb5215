"""Which proxy the environment names for a URL: the rules, with values alone."""

from __future__ import annotations

import base64

import pytest
from yarl import URL

from langcache._call import proxies
from langcache._call.proxies import EnvProxies
from langcache.errors import ConnectError

P, OTHER = "http://proxy.example:3128", "http://other.example:3128"


def proxy_for(url, **environ):
    """The proxy for this URL, as text; None if there is none."""
    known = EnvProxies.read(environ)
    proxy = None if known is None else known.for_url(URL(url, encoded=True))
    return None if proxy is None else str(proxy.url).rstrip("/")


VARIABLES = {
    "none": ({}, "https://far.example", None),
    "of the scheme": ({"HTTPS_PROXY": P}, "https://far.example", P),
    "of another scheme": ({"HTTP_PROXY": P}, "https://far.example", None),
    "for http": ({"HTTP_PROXY": P}, "http://far.example", P),
    "for every scheme": ({"ALL_PROXY": P}, "https://far.example", P),
    "the scheme's own first": ({"ALL_PROXY": OTHER, "HTTPS_PROXY": P}, "https://far.example", P),
    "lower case first": ({"HTTPS_PROXY": OTHER, "https_proxy": P}, "https://far.example", P),
    "lower case of all": ({"all_proxy": P}, "http://far.example", P),
    "any case": ({"Https_Proxy": P}, "https://far.example", P),
    "empty in lower case": ({"HTTPS_PROXY": P, "https_proxy": ""}, "https://far.example", None),
    "empty": ({"HTTPS_PROXY": ""}, "https://far.example", None),
    "empty, but one for all": ({"HTTPS_PROXY": " ", "ALL_PROXY": P}, "https://far.example", P),
    "blanks around it": ({"HTTPS_PROXY": f" {P}\n"}, "https://far.example", P),
    "without a scheme": ({"HTTPS_PROXY": "proxy.example:3128"}, "https://far.example", P),
    "scheme in upper case": ({"HTTPS_PROXY": "HTTP://proxy.example:3128"}, "https://far.example", P),
    "a slash at its end": ({"HTTPS_PROXY": f"{P}/"}, "https://far.example", P),
    "a path": ({"HTTPS_PROXY": f"{P}/a?b#c"}, "https://far.example", P),
    "no port": ({"HTTPS_PROXY": "http://proxy.example"}, "https://far.example", "http://proxy.example"),
    "IPv6": ({"HTTPS_PROXY": "http://[fd00::1]:3128"}, "https://far.example", "http://[fd00::1]:3128"),
    "TLS, to plain HTTP": (
        {"HTTP_PROXY": "https://proxy.example"},
        "http://far.example",
        "https://proxy.example",
    ),
    "under CGI": ({"HTTP_PROXY": P, "REQUEST_METHOD": "GET"}, "http://far.example", None),
    "under CGI, in lower case": ({"http_proxy": P, "REQUEST_METHOD": "GET"}, "http://far.example", P),
    "under CGI, for https": ({"HTTPS_PROXY": P, "REQUEST_METHOD": "GET"}, "https://far.example", P),
    "under CGI, for all": ({"ALL_PROXY": P, "REQUEST_METHOD": "GET"}, "http://far.example", P),
    "of something else": ({"FTP_PROXY": P, "PROXY": P, "MY_HTTPS_PROXY": P}, "https://far.example", None),
}


@pytest.mark.parametrize(("environ", "url", "expected"), VARIABLES.values(), ids=VARIABLES)
def test_variables(environ, url, expected):
    assert proxy_for(url, **environ) == expected


# NO_PROXY, the URL, and whether it is exempt
EXEMPTIONS = [
    ("far.example", "https://far.example", True),
    ("far.example", "https://sub.far.example", True),
    ("far.example", "https://nofar.example", False),
    ("far.example", "https://example", False),
    ("far.example", "https://far.example.org", False),
    (".far.example", "https://far.example", True),
    (".far.example", "https://sub.far.example", True),
    (".far.example", "https://nofar.example", False),
    ("*.far.example", "https://sub.far.example", True),
    ("far.example.", "https://far.example", True),
    ("far.example", "https://far.example.", True),
    ("FAR.Example", "https://far.example", True),
    ("far.example", "https://FAR.EXAMPLE", True),
    ("bücher.example", "https://xn--bcher-kva.example", True),
    ("xn--bcher-kva.example", "https://bücher.example", True),
    ("*", "https://far.example", True),
    ("*", "http://10.0.0.1", True),
    ("far*", "https://far.example", False),
    ("near.example,far.example", "https://far.example", True),
    (" near.example , far.example ", "https://far.example", True),
    ("near.example far.example", "https://far.example", True),
    (",,", "https://far.example", False),
    ("", "https://far.example", False),
    # ports
    ("far.example:8443", "https://far.example:8443", True),
    ("far.example:8443", "https://sub.far.example:8443", True),
    ("far.example:8443", "https://far.example", False),
    ("far.example:443", "https://far.example", True),
    ("far.example:80", "http://far.example", True),
    ("far.example:443", "http://far.example", False),
    ("far.example", "https://far.example:8443", True),
    (".far.example:8443", "https://sub.far.example:8443", True),
    ("*:8443", "https://far.example:8443", True),
    ("far.example:https", "https://far.example", False),
    ("far.example:", "https://far.example", False),
    # schemes, as httpx has them
    ("https://far.example", "https://far.example", True),
    ("http://far.example", "https://far.example", False),
    ("all://far.example", "https://far.example", True),
    ("https://far.example:8443/", "https://far.example:8443", True),
    # addresses
    ("10.0.0.1", "http://10.0.0.1", True),
    ("10.0.0.1", "http://10.0.0.11", False),
    ("0.0.1", "http://10.0.0.1", False),
    (".1", "http://10.0.0.1", False),
    ("10.0.0.1:8080", "http://10.0.0.1:8080", True),
    ("10.0.0.1:8080", "http://10.0.0.1", False),
    ("10.0.0.0/8", "http://10.1.2.3", True),
    ("10.0.0.7/8", "http://10.1.2.3", True),
    ("10.0.0.0/8", "http://11.1.2.3", False),
    ("10.0.0.0/8", "http://10.example", False),
    ("10.0.0.0/255.0.0.0", "http://10.1.2.3", True),
    ("10.0.0.0/8:8080", "http://10.1.2.3:8080", True),
    ("10.0.0.0/8:8080", "http://10.1.2.3", False),
    ("10.0.0.0/99", "http://10.0.0.0", False),
    ("10.0.0.0/8", "http://[::ffff:10.1.2.3]", True),
    ("fd00::1", "http://[fd00::1]", True),
    ("[fd00::1]", "http://[fd00::1]", True),
    ("FD00:0::1", "http://[fd00::1]", True),
    ("[fd00::1]:8080", "http://[fd00::1]:8080", True),
    ("[fd00::1]:8080", "http://[fd00::1]", False),
    ("fd00::/8", "http://[fd12::1]", True),
    ("[fd00::]/8", "http://[fd12::1]", True),
    ("fd00::/8", "http://[fe12::1]", False),
    ("fd00::/8", "http://10.0.0.1", False),
]


@pytest.mark.parametrize(("no_proxy", "url", "exempt"), EXEMPTIONS)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_no_proxy(name, no_proxy, url, exempt):
    assert proxy_for(url, ALL_PROXY=P, **{name: no_proxy}) == (None if exempt else P)


def test_no_proxy_in_lower_case_goes_first():
    assert proxy_for("https://far.example", ALL_PROXY=P, NO_PROXY="*", no_proxy="near.example") == P
    assert proxy_for("https://far.example", ALL_PROXY=P, NO_PROXY="*", no_proxy="") == P


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "localhost.", "my.localhost", "127.0.0.1", "127.8.9.10", "127.1"),
        *("[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"),
    ],
)
def test_this_machine_is_never_reached_through_a_proxy(host):
    for value in (P, "socks5://proxy.example", "http://:/"):
        assert proxy_for(f"http://{host}:8787", HTTP_PROXY=value, ALL_PROXY=value) is None


@pytest.mark.parametrize("host", ["localhost.example", "notlocalhost", "128.0.0.1", "[::2]"])
def test_other_machines_with_such_names_are(host):
    assert proxy_for(f"http://{host}", HTTP_PROXY=P) == P


# What stands before the @ in a proxy's URL, and the bytes that Proxy-Authorization has
CREDENTIALS = {
    "plain": ("user:secret", b"user:secret"),
    "percent-encoded": ("us%40er:s%2F%23%3F%3A%25%20t", b"us@er:s/#?:% t"),
    "not ASCII": ("jürgen:пароль", "jürgen:пароль".encode()),
    "not ASCII, percent-encoded": ("j%C3%BCrgen:%D0%BF", "jürgen:п".encode()),
    "not UTF-8": ("user:%FF", b"user:\xff"),
    "an @": ("user:s@cret", b"user:s@cret"),
    "a [": ("user:s[cr]et", b"user:s[cr]et"),
    "a %": ("user:100%", b"user:100%"),
    "a % before letters": ("user:%zz", b"user:%zz"),
    "a space": ("user:my secret", b"user:my secret"),
    "a plus": ("user:a+b", b"user:a+b"),
    "a colon": ("user:a:b", b"user:a:b"),
    "a line end": ("user:a%0D%0AX-Evil: 1", b"user:a\r\nX-Evil: 1"),
    "no password": ("user", b"user:"),
    "no user": (":secret", b":secret"),
}


@pytest.mark.parametrize(("userinfo", "expected"), CREDENTIALS.values(), ids=CREDENTIALS)
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_user_and_password_in_the_proxys_url(scheme, userinfo, expected):
    known = EnvProxies.read({"HTTPS_PROXY": f"{scheme}{userinfo}@proxy.example:3128"})
    proxy = known.for_url(URL("https://far.example"))
    assert str(proxy.url) == P
    kind, _, encoded = proxy.authorization.partition(" ")
    assert (kind, base64.b64decode(encoded)) == ("Basic", expected)


def test_a_proxy_without_a_user_gets_no_authorization():
    assert EnvProxies.read({"ALL_PROXY": P}).for_url(URL("https://far.example")).authorization is None


MALFORMED = [
    *(
        f"http://user:{password}@proxy.example:3128"
        for password in ("hunt/er2", "hunt#er2", "hunt?er2", "12/er2")
    ),
    *("user:hunt/er2@proxy.example:3128", "http://user:h@nt/hunter2@proxy.example:3128"),
    *("http://user:hunter2@", "http://user:hunter2@:3128", "http://user:hunter2@proxy.example:hunter2"),
    *("http://user:hunter2@proxy.example:99999", "http://user:hunter2@[proxy.example:3128"),
    *("http://user:hunter2@proxy.example:0", "http://user:hunter2@pro xy:1", "http://user:hunter2@pro\nxy:1"),
    *("ftp://user:hunter2@proxy.example", "hunter2://user@proxy.example", "http:/user:hunter2@proxy.example"),
    *(
        "http://",
        "://",
        "http:/proxy.example:3128",
        "http://proxy.example:hunter2",
        "http://user:hunter2@pr\\oxy.example",
    ),
]


def everything_about(error):
    """The error and all that led to it, as they are shown anywhere."""
    while error is not None:
        yield f"{error} {error!r} {error.args!r} {vars(error)!r}"
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("value", MALFORMED)
def test_a_malformed_proxy_is_named_by_its_variable_and_not_by_its_value(value):
    known = EnvProxies.read({"HTTPS_PROXY": value})
    for _ in range(2):
        with pytest.raises(
            ConnectError, match=r"^HTTPS_PROXY: is not the URL of an HTTP proxy, .*%2F"
        ) as raised:
            known.for_url(URL("https://far.example"))
        shown = " ".join(everything_about(raised.value))
        assert "hunt" not in shown
        assert "er2" not in shown
    assert (
        EnvProxies.read({"https_proxy": value, "NO_PROXY": "far.example"}).for_url(URL("https://far.example"))
        is None
    )


@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "socks5", "socks5h", "socks", "SOCKS5"])
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "all_proxy"])
def test_a_socks_proxy_is_refused(variable, scheme):
    known = EnvProxies.read({variable: f"{scheme}://user:hunter2@proxy.example:1080"})
    with pytest.raises(
        ConnectError, match=rf"^{variable}: names a SOCKS proxy \({scheme.lower()}://\)"
    ) as raised:
        known.for_url(URL("https://far.example"))
    assert "NO_PROXY=far.example, or pass client=" in str(raised.value)
    assert "hunter2" not in " ".join(everything_about(raised.value))


@pytest.mark.parametrize("works", [True, False])
def test_a_proxy_that_speaks_tls_to_a_service_that_does(monkeypatch, works):
    monkeypatch.setattr(proxies, "_TLS_IN_TLS", works)
    environ = {"ALL_PROXY": "https://user:hunter2@proxy.example"}
    assert proxy_for("http://far.example", **environ) == "https://proxy.example"
    if works:
        assert proxy_for("https://far.example", **environ) == "https://proxy.example"
    else:
        with pytest.raises(ConnectError, match=r"^ALL_PROXY: a proxy that speaks TLS .* 3\.11") as raised:
            proxy_for("https://far.example", **environ)
        assert "hunter2" not in " ".join(everything_about(raised.value))


def test_the_systems_settings_hold_where_no_variable_is_set(monkeypatch):
    settings = {"http": P, "https": P, "socks": "socks://proxy.example:1080", "ftp": P}
    monkeypatch.setattr(proxies, "_system_proxies", lambda: settings)
    monkeypatch.setattr(proxies, "proxy_bypass", lambda host: host == "near.example")
    assert proxy_for("https://far.example") == P
    assert proxy_for("https://near.example") is None
    assert proxy_for("http://localhost") is None
    assert proxy_for("https://near.example", HTTPS_PROXY=OTHER) == OTHER, "a variable goes first"
    assert proxy_for("http://far.example", HTTPS_PROXY=OTHER) is None
    settings["https"] = "hunter2:/proxy.example"
    with pytest.raises(ConnectError, match=r"^the proxy of the system's settings: is not") as raised:
        proxy_for("https://far.example")
    assert "hunter2" not in str(raised.value)
    settings.clear()
    assert EnvProxies.read({}) is None


def test_the_environment_is_read_once():
    environ = {"ALL_PROXY": P}
    known = EnvProxies.read(environ)
    environ["ALL_PROXY"] = OTHER
    for number in range(1000):
        assert str(known.for_url(URL(f"https://far.example:{number + 1}")).url) == P
    assert len(known._known) <= 256
