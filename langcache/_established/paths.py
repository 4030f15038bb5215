"""Makes the module paths of the established client importable.

That client has a module for each class, and some programs import the class from there.
"""

from __future__ import annotations

import sys

__all__ = ["alias_modules"]


def alias_modules(package: str, names: str, home: str | None = None) -> None:
    """Make submodules of these names importable from a module, such as ``langcache.models.cacheentry``.

    ``names`` are separated by spaces. Each is an alias of the module ``home``, by default of ``package``
    itself.
    """
    module = sys.modules[home or package]
    for name in names.split():
        sys.modules[f"{package}.{name}"] = module
        setattr(sys.modules[package], name, module)  # what the import of a real submodule does
