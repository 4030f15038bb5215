"""Cache-aside of a client, which is loaded and made when the client first uses it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from .._call.forks import importing
from .._checks import check_instance
from .._copies import Uncopied

if TYPE_CHECKING:
    from .core import Aside
    from .options import AsideConfig

__all__ = ["LazyAside", "check_config"]


_LOADED_WITH_IT = ("blocking_streams", "decorator", "steps", "streams")
"""What the methods of the clients import."""


class LazyAside(Uncopied):
    """The `Aside` of one client and its scopes.

    What is made later knows of no change that came before. It need not: no lookup of its own began before.

    Args:
        make: imports and makes the `Aside`. Called once, unless it raises.
    """

    def __init__(self, make: Callable[[], Aside]) -> None:
        self._make = make
        self.made: Aside | None = None
        """None until it is made."""

    def get(self) -> Aside:
        """The `Aside`. Of several threads that ask for it first, one makes it, and the others wait."""
        if self.made is None:
            with importing:
                if self.made is None:
                    for name in _LOADED_WITH_IT:
                        import_module(f".{name}", __package__)
                    self.made = self._make()
        return self.made

    def record_change(self) -> None:
        """Record that entries were changed, for what has been looked up or is being looked up."""
        if self.made is not None:
            self.made.state.record_change()

    def record_deletion(self, attributes: Mapping[str, str] | None) -> None:
        """Record that all entries that have these attributes were deleted; None for all entries."""
        if self.made is not None:
            self.made.state.record_change()
            self.made.invalidation.forget(attributes)

    def end_near(self) -> None:
        """Keep no more replies in the near cache, since the client is being closed."""
        if self.made is not None:
            self.made.state.near = None


def check_config(config: object) -> AsideConfig | None:
    """Check the type of the argument ``aside`` of a client; None is the default."""
    if config is None:
        return None
    from .options import AsideConfig

    return check_instance("aside", config, AsideConfig, "langcache.aside.AsideConfig")
