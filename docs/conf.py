"""How the documentation is built: by ``nox -s docs``, out of these pages and the installed package."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.napoleon import Config, GoogleDocstring

from langcache import __version__

project = "langcache"
author = "the langcache authors"
copyright = f"2026, {author}"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"langcache {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"

# What adapters are for is not installed here.
autodoc_mock_imports = ["agents", "langchain", "langchain_core", "openai", "pydantic_ai", "pydantic_core"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"

# Every reference must lead somewhere: a name in single backticks in a docstring is one, and the build fails
# if it is neither documented here nor of another library.
nitpicky = True
default_role = "py:obj"
nitpick_ignore_regex = [
    (
        "py:.*",
        r"(aiohttp|asyncio|collections|datetime|enum|logging|msgspec|numpy|os|pathlib|pytest|types|typing|uuid)\..*",
    ),
    ("py:.*", r"timedelta|UnsetType|NDArray|np\.\w+"),
    ("py:class", r"([\w.]+\.)?(\w+T|[A-Z](_co)?)"),  # type variables
    ("py:class", r"AttributeSource|\w+Decorator|Progress|.*\.Lookup|\w+Provider"),  # of annotations only
]

NAME_PARTS = re.compile(r"(?<=[A-Za-z0-9][._/(=])(?=[A-Za-z\"{])(?!py\b)|(?<=[a-z])(?=[A-Z])")
"""Where a name may break: ``errors.|Not|Found|Error``, ``max_|elapsed_|time``."""

OPTIONS = re.compile(r"(--[a-z][a-z-]*)")
"""Options of the command line."""

BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:ms|µs|s|[KMGT]B|%)(?!\w))")
"""The space between a number and its unit."""


def find_by_last_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    """Lead a bare name such as `NotFoundError` to the one documented thing that ends in it.

    Docstrings name things as their module does, but things are documented where users import them from.
    """
    if node.get("refdomain") != "py":
        return None
    domain: Any = env.domains["py"]
    target = str(node["reftarget"])
    if target.startswith("langcache._"):  # where it is defined, which is not where users find it
        target = target.rpartition(".")[2]
    found = {
        name: entry
        for name, entry in domain.objects.items()
        if name.endswith(f".{target}") and not entry.aliased
    }
    both = f"langcache.AsyncLangCache.{target}"  # what both clients have
    if both not in found and len(found) != 1:
        return None
    entry = found[both] if both in found else found.popitem()[1]
    node["reftype"] = "obj"
    reference = nodes.reference("", "", content, internal=True)
    reference["refuri"] = f"{app.builder.get_relative_uri(node['refdoc'], entry.docname)}#{entry.node_id}"
    return reference


def google_style(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Read docstrings as Google style, but not those of attributes.

    There the extension would take what stands before a colon for the type, and the types are annotated.
    """
    if what not in ("attribute", "data", "property"):
        lines[:] = GoogleDocstring(lines, Config(), app, what, name, obj, options).lines()


def readable_defaults(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Write the defaults that msgspec makes for each instance as Python would."""
    return signature and signature.replace("<factory>", "{}"), returns


def lines_that_break_well(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Let long code in tables break between the parts of a name, so that a table fits its page.

    Options are kept whole, since browsers would break them after each hyphen, and so are numbers with units.
    """
    in_tables = {code for cell in doctree.findall(nodes.entry) for code in cell.findall(nodes.literal)}
    for code in [*doctree.findall(nodes.literal)]:
        text = code.astext()
        code.children = []
        parts = NAME_PARTS.split(text) if len(text) > 16 and code in in_tables else [text]
        for at, part in enumerate(parts):
            code += [nodes.raw("", "<wbr>", format="html")] if at else []
            for piece in filter(None, OPTIONS.split(part)):
                kept = OPTIONS.fullmatch(piece)
                code += nodes.inline("", piece, classes=["option"]) if kept else nodes.Text(piece)
    for text in [*doctree.findall(nodes.Text)]:
        if not isinstance(text.parent, (nodes.literal, nodes.literal_block, nodes.raw)):
            whole = BEFORE_UNIT.sub("\N{NO-BREAK SPACE}", text)
            if whole != text:
                text.parent.replace(text, nodes.Text(whole))


def setup(app: Sphinx) -> None:
    app.connect("missing-reference", find_by_last_name)
    app.connect("autodoc-process-docstring", google_style)
    app.connect("autodoc-process-signature", readable_defaults)
    app.connect("doctree-resolved", lines_that_break_well)
