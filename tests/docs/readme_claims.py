"""What the README says, each sentence with the tests that show it, and how the README is taken apart."""

from __future__ import annotations

import re

from demo_output import without_numbers

FENCE = re.compile(r"(?P<said>:?)\n+```\w*\n(?P<code>.*?)^```\n", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[([^]]*)\]\([^)]*\)")
MARKS = re.compile(r"<!--.*?-->|</?details>|</?summary>", re.DOTALL)
PICTURE = re.compile(r"<picture>.*? alt=\"([^\"]+)\".*?</picture>", re.DOTALL)
NUMBER = re.compile(r"\d[\d,.]*(?<=\d)")
BLOCKS = re.compile(r"\n\s*\n|\n(?=- |\|)")
END = re.compile(r"(?<=[.?!])\s+(?=[A-Z`\"])")
NOTHING = re.compile(r"[|\s-]*|#.*")


def claims(text: str) -> list[str]:
    """The sentences, rows of tables and blocks of code of a page, in order.

    Of a block of code its first line stands for the whole; it belongs to the sentence before it if that ends
    with a colon. Of a picture the text in place of it counts, with 0 for each number. Headings claim nothing.
    Of a link its text counts: what it leads to is checked elsewhere.
    """
    found: list[str] = []
    text = PICTURE.sub(lambda picture: NUMBER.sub("0", picture[1]), text)
    text = FENCE.sub(_code, MARKS.sub("\n", text))
    for block in BLOCKS.split(text):
        line = LINK.sub(r"\1", " ".join(block.split())).replace("**", "").removeprefix("- ")
        if not NOTHING.fullmatch(line):
            found += [line] if line.startswith("|") else END.split(line)
    return found


def _code(block: re.Match[str]) -> str:
    first = without_numbers(block["code"].strip().splitlines()[0])
    return f"{': ' if block['said'] else NEW}```{first}```{NEW}"


NEW = "\n\n"

SNIPPETS = "docs/test_snippets.py::test_a_page"
LINKS = "docs/test_readme.py::test_a_link_leads_somewhere"
FIRST = "docs/test_claims.py::test_the_first_paragraph_names_a_true_hit_and_a_true_miss"
PROGRAM = "docs/test_readme.py::test_the_first_program_prints_what_the_readme_says"
DEMO = "docs/test_readme.py::test_the_demo_prints_what_the_readme_says"
COMMANDS = "docs/test_readme.py::test_a_command_names_what_there_is"
OTHERS = "docs/test_readme.py::test_what_is_said_of_other_caches_has_its_source"
PICTURES = "docs/test_figures.py::test_the_tables_and_pictures_of_semantic_caches_are_made_of_what_was_kept"
NEAR_MISS = "docs/test_claims.py::test_the_near_miss_of_the_demo_would_be_a_hit_by_its_vectors"
SHARED = "service/test_redis_store.py::test_services_share_entries_at_once"
PYTEST = "service/test_pytest_plugin.py::test_tests_of_others_run_against_a_real_langcache"
PLAIN_AND_STREAMED = "adapters/test_http.py::test_what_is_stored_of_either_is_given_again_as_either"
FRAMEWORKS = "adapters/test_frameworks.py::test_a_question_in_other_words_is_answered_from_the_cache"
FILE = "service/test_embedded.py::test_entries_in_a_file_are_there_for_the_next_client_and_for_a_service"

SHOWN_BY: dict[str, tuple[str, ...]] = {
    "A semantic cache for LLM answers.": (PROGRAM,),
    "Your program saves a prompt and its response, and later asks for an answer to a prompt that *means* the "
    'same: "I forgot my password, what now?" finds what was saved under "How do I reset my password?", '
    "without paying for the model again.": (FIRST, PROGRAM),
    'Not every prompt in other words is found: "I am locked out, what now?" misses with the defaults.': (
        FIRST,
    ),
    "This is an async-first Python client for Redis LangCache, the same client for scripts and threads, "
    "and a "
    "LangCache service that runs on your own machine, without an account and without internet.": (
        "unit/test_public_names.py::test_both_clients_have_the_same_operations",
        "contract/test_contract.py::test_the_service_keeps_to_its_description",
        "docs/test_readme.py::test_nothing_on_another_machine_is_asked",
    ),
    "Looking alike is not enough.": (NEAR_MISS,),
    'A hit is decided by the vectors *and* by what the two texts say: "turn on" is not "turn off" (right and '
    "wrong hits).": (NEAR_MISS,),
    "One cache, four places.": (FILE, SHARED),
    "In your process, in a service, in a service on Redis, or hosted by Redis: the same client, "
    "operations and "
    "errors (the local service).": (
        "service/test_embedded.py::test_every_operation_does_what_the_service_does",
        SHARED,
        "compat/test_program.py::test_the_program_sees_the_same",
    ),
    "Look up or compute, in one call.": (PROGRAM,),
    "Callers who ask the same at once share one computation, streams too; a cache that is down costs no "
    "answer "
    "(cache-aside).": (
        "aside/test_single_flight.py::test_a_hundred_callers_share_one_lookup_and_one_make",
        "aside/test_streams.py::test_readers_of_the_same_moment_share_one_source_from_its_first_chunk_on",
        "aside/test_failures.py::test_a_dead_service_does_not_stop_the_answer",
        "faults/test_cache_aside.py::test_a_fault_does_not_stop_the_answer",
    ),
    "Under the SDK that you have.": (PLAIN_AND_STREAMED,),
    "OpenAI, Anthropic and Gemini, plain and streamed; LangChain, Pydantic AI, OpenAI Agents.": (
        PLAIN_AND_STREAMED,
        FRAMEWORKS,
    ),
    "Model, tools, instructions and history must be the same for a hit.": (
        "chat/test_requests.py::test_every_change_changes_the_key_or_bypasses_the_cache",
        "chat/test_messages.py::test_no_two_conversations_share_in_either_mode",
    ),
    "It can be checked.": ("aside/test_shadow.py::test_a_hit_is_given_and_measured",),
    "It counts what it saves, measures how often it is wrong, and certifies a threshold for your own "
    "questions.": (
        "aside/test_usage.py::test_a_hit_saves_what_a_miss_spent",
        "aside/test_shadow.py::test_a_hit_is_given_and_measured",
        "unit/test_tuning_report.py::test_what_is_certified_holds_as_often_as_it_says",
    ),
    "```from langcache import LangCache```": (
        PROGRAM,
        "docs/test_readme.py::test_the_first_program_asks_in_at_most_eight_lines",
        PYTEST,
        "docs/test_snippets.py::test_tests_on_a_page",
    ),
    "```The answer of your model to: How do I reset my password?```": (PROGRAM,),
    "What a search costs, measured (how):": (PICTURES,),
    "CPU time of a search among 0 entries.": (PICTURES,),
    "In the program's process: langcache 0 to 0 ms, GPTCache 0 ms, sulci 0 ms.": (PICTURES,),
    "Shared by processes: LiteLLM 0 ms, redisvl 0 to 0 ms, langcache 0 to 0 ms, langchain-redis 0 to 0 ms, "
    "BetterDB 0 ms, sulci 0 ms.": (PICTURES,),
    "| | langcache, here | established langcache | redisvl | GPTCache | LiteLLM |": (OTHERS,),
    "| Where semantic entries are | your process, SQLite, Redis, a LangCache service | a LangCache service | "
    "Redis | a database and a vector store of your choice | Redis or Qdrant |": (FILE, SHARED, OTHERS),
    "| What decides a hit | vectors and texts | the service | a distance | an evaluation that you choose | a "
    "similarity |": (NEAR_MISS, OTHERS),
    "| How a program asks | operations, `cached`, streams, SDKs, frameworks | operations | operations | "
    "get and "
    "set, adapters (no new models) | LiteLLM's own calls and proxy |": (
        SNIPPETS,
        PLAIN_AND_STREAMED,
        FRAMEWORKS,
        OTHERS,
    ),
    "The columns about others are what their pages say, read in November 2026 for langcache 0.14.0, redisvl "
    "0.26.0, GPTCache 0.1.44 and LiteLLM as documented then.": (OTHERS,),
    "The name `langcache` belongs to the established package on the registry.": (
        "compat/test_names.py::test_nothing_is_missing_but_what_the_list_names",
    ),
    "This one is not published there, and its repository has no public address yet: take it from a checkout "
    "of your own (more).": ("docs/test_readme.py::test_no_address_is_claimed", LINKS),
    "With Python 3.10 or newer, in a virtual environment (`python -m venv .venv && . .venv/bin/activate`): "
    "```python -m pip install '.[local]'```": (
        COMMANDS,
        "docs/test_readme.py::test_the_python_that_it_asks_for_is_the_oldest_that_can_install_it",
    ),
    "Programs written for the established package keep working (what differs).": (
        "compat/test_program.py::test_the_program_sees_the_same",
        "compat/test_names.py::test_nothing_is_missing_but_what_the_list_names",
    ),
    "To go back to it: ```python -m pip uninstall --yes langcache && python -m pip install langcache```": (
        COMMANDS,
    ),
    "What the demo prints": (DEMO,),
    "```A LangCache in this process, ready in 0.0 s```": (
        DEMO,
        "docs/test_claims.py::test_what_the_demo_prints_is_true",
    ),
    "```python -m pip install nox && nox```": (COMMANDS,),
    "This checks style and types, and runs the tests on every supported Python that your machine has.": (
        "docs/test_readme.py::test_nox_alone_checks_what_the_readme_says",
    ),
    "In the program's own process, with its entries in a file: ```from langcache import LangCache```": (
        SNIPPETS,
        FILE,
    ),
    "For several processes, start a service; it prints the three `export` lines that the clients read their "
    "settings from: ```python -m langcache serve```": (
        COMMANDS,
        "service/test_cli.py::test_serve_prints_what_a_shell_needs",
        "client/test_construction.py::test_what_is_not_given_comes_from_the_environment",
    ),
    "From asyncio: ```import asyncio```": (SNIPPETS,),
    "From a script or a thread: ```from langcache import LangCache```": (SNIPPETS,),
    "From anywhere else: ```curl -X POST "
    '"$LANGCACHE_SERVER_URL/v1/caches/$LANGCACHE_CACHE_ID/entries/search" '
    "\\```": ("docs/test_readme.py::test_the_command_for_other_programs_finds_an_answer",),
    "To use a service of Redis, set `LANGCACHE_SERVER_URL`, `LANGCACHE_API_KEY` and "
    "`LANGCACHE_CACHE_ID` to what "
    "it gave you, or pass `server_url=`, `api_key=` and `cache_id=`.": (
        "client/test_construction.py::test_what_is_not_given_comes_from_the_environment",
        "compat/test_program.py::test_the_program_sees_the_same",
    ),
    "A stream is cached when it ends normally, and a hit comes as a stream too (streams): ```from "
    "collections.abc import Iterator```": (
        SNIPPETS,
        "aside/test_streams.py::test_chunks_pass_through_on_a_miss_and_the_whole_is_replayed",
        "aside/test_streams.py::test_a_stream_cut_midway_stores_nothing_and_closes_its_source",
    ),
    "Tenants that never see each other's answers, with an attribute that the cache was made with: `serve "
    "--attribute tenant` (tenants): ```with LangCache() as cache:```": (
        SNIPPETS,
        "aside/test_scope.py::test_a_scope_is_never_leaked",
        "service/test_cli.py::test_serve_takes_an_attribute_of_any_name",
    ),
    "Under the SDK of OpenAI (more) and as the cache of a model of LangChain; both need `serve --attribute "
    "fingerprint`: ```client = openai.AsyncOpenAI(http_client=cached_http(AsyncLangCache()))```": (
        PLAIN_AND_STREAMED,
        FRAMEWORKS,
        "adapters/test_pages.py::test_a_page",
    ),
    "In production there are several processes, entries in Redis, limits, TLS, figures and logs.": (
        "docs/test_recipes.py::test_the_settings_file_is_understood_as_a_whole",
        SHARED,
        "service/test_tls.py::test_the_certificate_is_exchanged_while_it_runs",
    ),
    "There are questions that a semantic cache is not for.": (
        "service/test_quality.py::test_figures_are_what_they_say",
        LINKS,
    ),
    "Every error of a call is a `langcache.errors.LangCacheError`, and a call that breaks a limit of the "
    "service raises one before anything is sent.": (
        "client/test_operations.py::test_every_failure_is_one_of_ours_in_one_line_without_the_key",
        "client/test_operations.py::test_a_wrong_argument_sends_nothing",
        "unit/test_limits.py::test_what_breaks_a_limit_passes_for_the_400_that_the_service_would_answer",
    ),
    "Nothing is retried unless you ask for it, with `LangCache(retry_config=3)` up to three times.": (
        "client/test_retrying.py::test_nothing_is_tried_again_unless_asked_for",
        "client/test_retrying.py::test_a_number_says_how_many_tries_may_follow",
    ),
    "Which failures, and after what waits, can be said too (more): ```from langcache import BackoffStrategy, "
    "LangCache, RetryConfig, errors```": (
        SNIPPETS,
        "unit/test_retries.py::test_status_patterns",
        "unit/test_retries.py::test_waits_grow_up_to_the_longest",
    ),
    "With the extra `local` installed (see above) there is a pytest fixture, `langcache_server`: a real "
    "LangCache service, empty for each test.": (PYTEST,),
    "The documentation is in docs; `nox -s docs` makes a site of it in `docs/_build`:": (
        "docs/test_readme.py::test_nox_makes_the_site_where_the_readme_says",
    ),
    "Start here, install with pip, uv or poetry, async and sync guides": (LINKS,),
    "Each operation: arguments, limits, reply, errors, examples; cache-aside": (
        "docs/test_pages.py::test_each_operation_has_a_page_that_names_its_arguments",
        LINKS,
    ),
    "Errors and retries, timeouts, custom sessions and middlewares": (LINKS,),
    "Coming from the established client, reliability, performance": (LINKS,),
    "Three whole programs: FastAPI, threads, pytest": (
        "docs/test_programs.py::test_the_web_program_streams_to_each_tenant_its_own_answers",
        "docs/test_programs.py::test_the_threads_program_answers_all",
        "docs/test_snippets.py::test_tests_on_a_page",
    ),
    "The local service, testing your app": (LINKS,),
    "Architecture, contributing, changelog, policies": (LINKS,),
}
"""The test that shows a claim, or several that do together."""
