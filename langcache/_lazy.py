"""Public names of a package that are imported when they are first used."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # type checkers treat it as true; importing typing would take longer than the rest
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping


def lazy_names(
    package: str, module_of: Mapping[str, str], modules: Collection[str] = ()
) -> Callable[[str], object]:
    """The ``__getattr__`` of a package whose names are imported when they are first used.

    Args:
        package: the package's ``__name__``.
        module_of: for each public name, the module of the package that defines it.
        modules: the names of modules of the package that work as attributes without an import of their own.
    """

    def __getattr__(name: str) -> object:
        if name in modules:
            return import_module(f".{name}", package)  # which makes it an attribute
        if name in module_of:
            return getattr(import_module(f".{module_of[name]}", package), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return __getattr__
