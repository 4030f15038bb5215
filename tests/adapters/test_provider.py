"""The fake provider speaks as the real ones do, as far as their SDKs can tell."""

from __future__ import annotations

import gc
import socket
import threading
import warnings

import pytest

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")
genai = pytest.importorskip("google.genai")

from .provider import Provider, Reply, Usage  # noqa: E402

MESSAGES = [{"role": "user", "content": "Where is the Louvre?"}]
TOOL = ("weather", {"city": "Paris", "days": 2})


@pytest.fixture
def provider():
    with Provider() as provider:
        yield provider


def chat(provider):
    with openai.OpenAI(base_url=provider.openai, api_key="k", max_retries=0) as client:
        yield client.chat.completions.create(model="m", messages=MESSAGES)
        with client.chat.completions.stream(
            model="m", messages=MESSAGES, stream_options={"include_usage": True}
        ) as stream:
            try:
                yield stream.get_final_completion()
            except openai.LengthFinishReasonError as error:
                yield error.completion


def responses(provider):
    with openai.OpenAI(base_url=provider.openai, api_key="k", max_retries=0) as client:
        yield client.responses.create(model="m", input="Where is the Louvre?")
        with client.responses.stream(model="m", input="Where is the Louvre?") as stream:
            for event in stream:
                if event.type in ("response.completed", "response.incomplete"):
                    yield event.response


def messages(provider):
    with anthropic.Anthropic(base_url=provider.url, api_key="k", max_retries=0) as client:
        yield client.messages.create(model="m", messages=MESSAGES, max_tokens=99)
        with client.messages.stream(model="m", messages=MESSAGES, max_tokens=99) as stream:
            yield stream.get_final_message()


def gemini(provider):
    options = {"base_url": provider.url}
    with genai.Client(api_key="k", http_options=options) as client:
        yield client.models.generate_content(model="m", contents="Where is the Louvre?")
        chunks = list(client.models.generate_content_stream(model="m", contents="Where is the Louvre?"))
        whole = chunks[-1]
        parts = [part for chunk in chunks if chunk.candidates[0].content for part in chunk.parts or ()]
        if parts:
            whole.candidates[0].content.parts = joined(parts)
        yield whole


def joined(parts):
    made = []
    for part in parts:
        if made and part.text is not None and part.thought == made[-1].thought:
            made[-1].text += part.text
        else:
            made.append(part)
    return made


def facts(answer):
    """What an answer says, in whichever API: text, thoughts, tools, how it ended, and tokens."""
    if hasattr(answer, "choices"):
        choice, usage = answer.choices[0], answer.usage
        tools = [call.function.name for call in choice.message.tool_calls or ()]
        text = choice.message.refusal or choice.message.content
        ended = choice.finish_reason
        used = usage.prompt_tokens, usage.completion_tokens
        return text or "", tools, ended, used
    if hasattr(answer, "output"):
        tools = [item.name for item in answer.output if item.type == "function_call"]
        parts = [part for item in answer.output if item.type == "message" for part in item.content]
        text = "".join(part.refusal if part.type == "refusal" else part.text for part in parts)
        return text, tools, answer.status, (answer.usage.input_tokens, answer.usage.output_tokens)
    if hasattr(answer, "stop_reason"):
        text = "".join(block.text for block in answer.content if block.type == "text")
        tools = [block.name for block in answer.content if block.type == "tool_use"]
        usage = answer.usage
        used = usage.input_tokens + usage.cache_read_input_tokens, usage.output_tokens
        return text, tools, answer.stop_reason, used
    candidate, usage = answer.candidates[0], answer.usage_metadata
    parts = candidate.content.parts if candidate.content and candidate.content.parts else []
    text = "".join(part.text for part in parts if part.text and not part.thought)
    tools = [part.function_call.name for part in parts if part.function_call]
    used = usage.prompt_token_count, usage.candidates_token_count + usage.thoughts_token_count
    return text, tools, candidate.finish_reason.value, used


ENDS = {
    chat: ("stop", "tool_calls", "stop", "length"),
    responses: ("completed", "completed", "completed", "incomplete"),
    messages: ("end_turn", "tool_use", "refusal", "max_tokens"),
    gemini: ("STOP", "STOP", "SAFETY", "MAX_TOKENS"),
}


@pytest.mark.parametrize("ask", ENDS)
@pytest.mark.parametrize("gzip", [False, True], ids=["as_it_is", "gzip"])
def test_the_sdks_understand_every_kind_of_reply_plain_and_streamed(provider, ask, gzip):
    refused = "" if ask is gemini else "I can't help."
    scripted = [
        (Reply(text="In Paris, France.", thinking="Let me think."), ("In Paris, France.", [])),
        (Reply(tools=(TOOL,)), ("", ["weather"])),
        (Reply(refusal="I can't help."), (refused, [])),
        (Reply(text="In Pa", truncated=True, usage=Usage(30, 0, 4, 0)), ("In Pa", [])),
    ]
    for (reply, expected), end in zip(scripted, ENDS[ask], strict=True):
        reply.gzip = gzip
        provider.script(reply, reply)
        usage = reply.usage or Usage()
        answers = [facts(answer) for answer in ask(provider)]
        assert answers == [(*expected, end, (usage.input, usage.output))] * 2


@pytest.mark.parametrize("ask", ENDS)
def test_each_request_gets_an_answer_of_its_own_to_its_question(provider, ask):
    texts = [facts(answer)[0] for answer in ask(provider)]
    assert texts == [f"Answer {number} to Where is the Louvre?" for number in (1, 2)]
    assert [seen.api for seen in provider.requests] == [provider.requests[0].api] * 2
    assert provider.requests[0].api is not None


@pytest.mark.parametrize("ask", ENDS)
@pytest.mark.parametrize("status", [429, 500])
def test_errors_are_those_of_the_api(provider, ask, status):
    provider.script(Reply(status=status, headers={"retry-after": "7"}))
    with pytest.raises(Exception, match=f"the provider answers {status}") as caught:
        next(ask(provider))
    assert getattr(caught.value, "status_code", None) or caught.value.code == status


@pytest.mark.parametrize("ask", ENDS)
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_a_connection_can_be_cut(provider, ask, streamed):
    provider.script(*[Reply(text="a b c")] * streamed, Reply(text="a b c", cut_after=2))
    asked = ask(provider)
    if streamed:
        next(asked)
    with pytest.raises(Exception, match=r"(?i)connection|peer closed|incomplete"):
        next(asked)


def just_connects(provider, connection):
    """The event loop accepts these in the turn in which it is told to stop."""
    stopping = threading.Event()
    provider._loop.call_soon_threadsafe(stopping.wait, 60)
    threading.Timer(0.2, stopping.set).start()  # by then the provider is told to stop
    return [socket.create_connection(connection.getpeername()) for _ in range(20)]


def sends_half_a_request(provider, connection):
    connection.sendall(b"POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
    return []


def reads_nothing(provider, connection):
    provider.script(Reply(body=b"x" * (1 << 24)))
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert provider.wait_for(1)
    return []


@pytest.mark.parametrize(
    "client", [just_connects, sends_half_a_request, reads_nothing], ids=lambda f: f.__name__
)
def test_whatever_its_clients_do_the_provider_leaves_no_socket_open(client):
    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always")
        with Provider() as provider:
            port = int(provider.url.rpartition(":")[2])
            ours = [socket.create_connection(("127.0.0.1", port))]
            ours += client(provider, ours[0])
        for each in ours:
            each.close()
        del provider
        gc.collect()
    assert [str(each.message) for each in left if "unclosed" in str(each.message)] == []
