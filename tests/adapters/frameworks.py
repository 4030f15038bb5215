"""The frameworks that have an adapter, each behind the same few methods, for tests of all of them."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from .provider import Provider

PICTURES = {"red": "data:image/png;base64,cmVk", "blue": "data:image/png;base64,Ymx1ZQ=="}


class Framework:
    """A framework whose models ask a provider on a socket, through a cache.

    Args:
        provider: the provider.
        cache: an AsyncLangCache, or a LangCache.
        options: those of the adapter.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    """The packages that are needed."""
    streams: ClassVar[bool] = True
    """Whether streams ask the cache."""
    has_tools: ClassVar[bool] = True

    def __init__(self, provider: Provider, cache: Any, **options: Any) -> None:
        self.provider = provider
        self.cache = cache
        self.seen: list[Any] = []
        """The outcomes of lookups."""
        self.options = {"on_lookup": self.seen.append, **options}

    async def ask(
        self,
        question: str,
        *,
        model: str = "small",
        system: str | None = None,
        tools: tuple[str, ...] = (),
        picture: str | None = None,
        history: tuple[tuple[str, str], ...] = (),
        stream: bool = False,
        leave: bool = False,
        **settings: Any,
    ) -> str:
        """What is answered, as one text.

        Args:
            question: of the user.
            model: the name of the model.
            system: the system prompt.
            tools: the names of tools.
            picture: one of `PICTURES`.
            history: earlier turns: each a role and a text.
            stream: whether to read the answer as a stream.
            leave: whether to leave the stream after its first piece.
            settings: of the model: ``temperature``, ``max_tokens``.
        """
        raise NotImplementedError

    @property
    def last(self) -> tuple[str, str | None]:
        """Status and reason of the latest lookup."""
        return self.seen[-1].status.value, self.seen[-1].reason

    async def aclose(self) -> None:
        """Close what the framework has opened."""


class LangChainModel(Framework):
    """ChatOpenAI with ``cache=``, for Chat Completions."""

    needs = ("langchain", "langchain_openai")
    streams = False
    more: ClassVar[dict[str, Any]] = {}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        from openai import DefaultAsyncHttpxClient

        from langcache.chat.adapters.langchain import LangCacheCache

        self.adapter: Any = LangCacheCache(self.cache, **self.options)
        self.client = DefaultAsyncHttpxClient()

    def chat(self, model: str, tools: tuple[str, ...] = (), **settings: Any) -> Any:
        from langchain_openai import ChatOpenAI

        made = ChatOpenAI(
            model=model,
            base_url=self.provider.openai,
            api_key="k",
            max_retries=0,
            http_async_client=self.client,
            cache=self.adapter,
            **self.more,
            **settings,
        )
        return made.bind_tools([tool_named(name) for name in tools]) if tools else made

    @staticmethod
    def messages(
        question: str, picture: str | None, history: tuple[tuple[str, str], ...], system: str | None = None
    ) -> list[Any]:
        content: Any = question
        if picture is not None:
            shown = {"type": "image_url", "image_url": {"url": PICTURES[picture]}}
            content = [{"type": "text", "text": question}, shown]
        return [*([("system", system)] if system else []), *history, ("user", content)]

    async def ask(self, question: str, **how: Any) -> str:
        messages = self.messages(
            question, how.pop("picture", None), how.pop("history", ()), how.pop("system", None)
        )
        how.pop("stream", None)
        made = self.chat(how.pop("model", "small"), how.pop("tools", ()), **how)
        return text_of((await made.ainvoke(messages)).content)

    async def aclose(self) -> None:
        await self.client.aclose()


class LangChainResponses(LangChainModel):
    """ChatOpenAI with ``cache=``, for Responses."""

    more: ClassVar[dict[str, Any]] = {"use_responses_api": True, "store": False}


class LangChainAgent(LangChainModel):
    """An agent of LangChain with middleware."""

    streams = sys.version_info >= (3, 11)  # before, graphs that are awaited don't stream what models say

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        from langcache.chat.adapters.langchain import LangCacheMiddleware

        self.middleware = LangCacheMiddleware(self.cache, **self.options)
        self.adapter = False

    async def ask(self, question: str, **how: Any) -> str:
        from langchain.agents import create_agent

        stream, leave, system = how.pop("stream", False), how.pop("leave", False), how.pop("system", None)
        messages = self.messages(question, how.pop("picture", None), how.pop("history", ()))
        tools = [tool_named(name) for name in how.pop("tools", ())]
        model = self.chat(how.pop("model", "small"), **how)
        agent = create_agent(model, tools, system_prompt=system, middleware=[self.middleware])
        if not stream:
            return text_of((await agent.ainvoke({"messages": messages}))["messages"][-1].content)
        pieces = []
        async for piece, _ in agent.astream({"messages": messages}, stream_mode="messages"):
            pieces.append(text_of(piece.content))
            if leave and pieces[-1]:
                break
        return "".join(pieces)


class PydanticAi(Framework):
    """An agent of Pydantic AI, for Chat Completions."""

    needs = ("pydantic_ai", "openai")
    more: ClassVar[dict[str, Any]] = {}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        from openai import AsyncOpenAI

        from langcache.chat.adapters.pydantic_ai import LangCacheCapability

        self.adapter = LangCacheCapability(self.cache, **self.options)
        self.client = AsyncOpenAI(base_url=self.provider.openai, api_key="k", max_retries=0)

    def model(self, name: str) -> Any:
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=self.client))

    def agent(self, model: str = "small", **how: Any) -> Any:
        from pydantic_ai import Agent

        capabilities = [*how.pop("capabilities", ()), self.adapter]
        return Agent(self.model(model), capabilities=capabilities, **how)

    async def ask(self, question: str, **how: Any) -> str:
        from pydantic_ai import BinaryContent
        from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart

        picture, stream, leave = how.pop("picture", None), how.pop("stream", False), how.pop("leave", False)
        prompt: Any = question
        if picture is not None:
            prompt = [question, BinaryContent(data=picture.encode(), media_type="image/png")]
        history = [
            ModelRequest(parts=[UserPromptPart(text)])
            if role == "user"
            else ModelResponse(parts=[TextPart(text)])
            for role, text in how.pop("history", ())
        ]
        agent = self.agent(
            how.pop("model", "small"),
            instructions=how.pop("system", None),
            tools=[tool_named(name) for name in how.pop("tools", ())],
        )
        run = {"message_history": history, "model_settings": {**self.more, **how}}
        if not stream:
            return str((await agent.run(prompt, **run)).output)
        pieces = []
        async with agent.run_stream(prompt, **run) as result:
            async for piece in result.stream_text(delta=True, debounce_by=None):
                pieces.append(piece)
                if leave:
                    break
        return "".join(pieces)

    async def aclose(self) -> None:
        await self.client.close()


class PydanticAiResponses(PydanticAi):
    """An agent of Pydantic AI, for Responses."""

    def model(self, name: str) -> Any:
        from pydantic_ai.models.openai import OpenAIResponsesModel
        from pydantic_ai.providers.openai import OpenAIProvider

        return OpenAIResponsesModel(name, provider=OpenAIProvider(openai_client=self.client))


class OpenAiAgents(Framework):
    """An agent of OpenAI Agents, for Responses."""

    needs = ("agents",)
    store: ClassVar[bool | None] = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        from agents import MultiProvider, RunConfig
        from openai import AsyncOpenAI

        from langcache.chat.adapters.openai_agents import LangCacheModelProvider

        self.client = AsyncOpenAI(base_url=self.provider.openai, api_key="k", max_retries=0)
        self.adapter = LangCacheModelProvider(
            MultiProvider(openai_client=self.client), self.cache, **self.options
        )
        self.config = RunConfig(model_provider=self.adapter, tracing_disabled=True)

    async def ask(self, question: str, **how: Any) -> str:
        from agents import Agent, ModelSettings, Runner, function_tool

        picture, stream, leave = how.pop("picture", None), how.pop("stream", False), how.pop("leave", False)
        content: Any = question
        if picture is not None:
            shown = {"type": "input_image", "image_url": PICTURES[picture], "detail": "auto"}
            content = [{"type": "input_text", "text": question}, shown]
        history = [{"role": role, "content": text} for role, text in how.pop("history", ())]
        agent = Agent(
            "helper",
            model=how.pop("model", "small"),
            instructions=how.pop("system", None),
            tools=[function_tool(tool_named(name)) for name in how.pop("tools", ())],
            handoffs=how.pop("handoffs", []),
            output_type=how.pop("output_type", None),
            model_settings=ModelSettings(store=self.store, **how.pop("model_settings", {}), **how),
        )
        asked = [*history, {"role": "user", "content": content}]
        if not stream:
            return str((await Runner.run(agent, asked, run_config=self.config)).final_output)
        pieces = []
        running = Runner.run_streamed(agent, asked, run_config=self.config)
        async for event in running.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                pieces.append(event.data.delta)
                if leave:
                    running.cancel()
        return "".join(pieces)

    async def aclose(self) -> None:
        await self.client.close()


FRAMEWORKS = (
    LangChainModel,
    LangChainResponses,
    LangChainAgent,
    PydanticAi,
    PydanticAiResponses,
    OpenAiAgents,
)


def tool_named(name: str) -> Any:
    """A function of this name that can be a tool."""

    def tool(city: str) -> str:
        """Say something of a city."""
        return f"{city} is fine"

    tool.__name__ = tool.__qualname__ = name
    return tool


def text_of(content: Any) -> str:
    """The text in the content of a message of LangChain."""
    if isinstance(content, str):
        return content
    return "".join(part if isinstance(part, str) else part.get("text", "") for part in content)
