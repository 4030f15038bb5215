"""Public names of a package that are imported when they are first asked for."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # type checkers take it for true; to import typing for it would cost more than the rest
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping


def lazy_names(
    package: str, homes: Mapping[str, str], modules: Collection[str] = ()
) -> Callable[[str], object]:
    """The ``__getattr__`` of a package whose names are imported when they are first asked for.

    Args:
        package: the package's ``__name__``.
        homes: the module, below the package, of each public name.
        modules: names of modules below the package that are attributes without an import of their own.
    """

    def __getattr__(name: str) -> object:
        if name in modules:
            return import_module(f".{name}", package)  # which makes it an attribute
        if name in homes:
            return getattr(import_module(f".{homes[name]}", package), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return __getattr__
