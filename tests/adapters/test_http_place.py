"""Which headers are part of what is asked, and what a bypass counts."""

from __future__ import annotations

import pytest

for _package in ("openai", "anthropic", "google.genai"):
    pytest.importorskip(_package)

from langcache.chat.http.provider_request import provider_request_of  # noqa: E402

from .sdks import HTTPX, SDKS  # noqa: E402

COUNTED = {
    *("OpenAI-Organization", "OpenAI-Project", "OpenAI-Beta", "anthropic-beta"),
    *("x-portkey-virtual-key", "x-portkey-provider", "x-portkey-config", "x-portkey-metadata"),
    *("Helicone-Target-Url", "Helicone-Model-Override", "Helicone-Prompt-Id", "cf-aig-step"),
    *("X-Tenant", "x-model", "x-something-unknown"),
}
NOT_COUNTED = {
    *("Authorization", "x-api-key", "x-goog-api-key", "x-portkey-api-key", "Helicone-Auth"),
    *("cf-aig-authorization", "cf-aig-cache-ttl", "cf-aig-skip-cache", "Helicone-Cache-Enabled"),
    *("x-stainless-retry-count", "X-Request-ID", "x-client-request-id", "x-b3-traceid", "traceparent"),
    *("Helicone-Session-Id", "Helicone-Property-App", "x-portkey-trace-id", "User-Agent", "Cookie"),
}


def place_of(**headers):
    body = {"model": "m", "messages": [{"role": "user", "content": "Where is the Louvre?"}]}
    url = "https://gateway.test/v1/chat/completions"
    return provider_request_of(HTTPX, HTTPX.Request("POST", url, json=body, headers=headers)).place


@pytest.mark.parametrize("name", sorted(COUNTED))
def test_a_header_that_may_change_the_answer_is_part_of_the_place(name):
    assert len({place_of(), place_of(**{name: "one"}), place_of(**{name: "other"})}) == 3


@pytest.mark.parametrize("name", sorted(NOT_COUNTED))
def test_a_header_that_says_who_asks_or_is_for_tracing_is_none(name):
    assert place_of() == place_of(**{name: "one"})


def test_the_order_of_headers_does_not_count():
    assert place_of(**{"x-a": "1", "x-b": "2"}) == place_of(**{"x-b": "2", "x-a": "1"})


@pytest.mark.parametrize("way", ["ask", "stream"])
async def test_a_bypass_is_counted_and_its_usage_is_not(provider, sdks, either, way):
    sdk = sdks.cached(SDKS[0], either, when=lambda body: False)
    await getattr(sdk, way)("Where is the Louvre?")
    stats = either.stats()
    assert (stats.bypasses, stats.spent.unknown, stats.spent.input_tokens) == (1, 0, 0)
