"""Errors of the wire show no part of a secret, wherever in a long message it stands."""

from __future__ import annotations

import aiohttp
import pytest

from langcache._call.failures import clients_error, request_error
from langcache._call.masking import Secrets
from langcache.errors import ConnectError

KEY = "0123456789abcdef"
SECRETS = Secrets.of_request({"Authorization": f"Bearer {KEY}"})

MADE = {
    "a proxy's refusal": lambda text: request_error(proxy_refusal(text), 1.0, None, SECRETS),
    "an error of the system": lambda text: request_error(OSError(text), 1.0, None, SECRETS),
    "an error of the user's client": lambda text: clients_error(OSError(text), SECRETS),
    "ours, raised by the user's client": lambda text: clients_error(ConnectError(text), SECRETS),
}


def proxy_refusal(text: str) -> aiohttp.ClientHttpProxyError:
    info = aiohttp.RequestInfo(None, "CONNECT", None, None)  # type: ignore[arg-type]
    return aiohttp.ClientHttpProxyError(info, (), status=407, message=text)


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_a_key_at_the_end_of_a_long_message_is_not_shown_in_part(make):
    for before in range(400, 520):
        message = str(make("x" * before + KEY + "y" * 200))
        assert KEY[:4] not in message, before
