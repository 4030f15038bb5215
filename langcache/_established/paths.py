"""The paths of the established client's modules, as further names of the modules here.

There each class has a module of its own, and some programs import it from there.
"""

from __future__ import annotations

import sys

__all__ = ["alias_modules"]


def alias_modules(package: str, names: str, home: str | None = None) -> None:
    """Make modules of these names importable from below a module, ``langcache.models.cacheentry`` for one.

    Each is one more name of the module ``home``; by default, of the package itself.
    """
    module = sys.modules[home or package]
    for name in names.split():
        sys.modules[f"{package}.{name}"] = module
        setattr(sys.modules[package], name, module)  # what the import of a real submodule does
