"""Cache-aside of a client, which is loaded and made when the client first uses it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .._call.caller import Caller
from .._call.forks import lock_of_forks
from .._checks import check_instance
from ..limits import Limits
from ..telemetry import Telemetry

if TYPE_CHECKING:
    from .core import Aside
    from .execution import PortalCall
    from .key import MessagesKey
    from .options import AsideConfig

__all__ = ["LazyAside", "check_config"]


class LazyAside:
    """The `Aside` of one client and its scopes. With settings, it is made at once, since they are checked.

    What is made later knows of no change that came before. It need not: no lookup of its own began before.

    Args:
        caller, limits, config, telemetry, messages_key, enabled: as for `Aside`.
        portal: for the blocking client, the arguments of `InThread`. None for the asyncio client.
    """

    def __init__(
        self,
        caller: Caller,
        limits: Limits,
        config: AsideConfig | None,
        telemetry: Telemetry | None,
        messages_key: Callable[[], MessagesKey],
        *,
        enabled: bool,
        portal: tuple[PortalCall, PortalCall] | None = None,
    ) -> None:
        self._caller = caller
        self._limits = limits
        self._config = config
        self._telemetry = telemetry
        self._messages_key = messages_key
        self._enabled = enabled
        self._portal = portal
        self.made: Aside | None = None
        """None until it is made."""
        if config is not None:
            self.get()

    def get(self) -> Aside:
        """The `Aside`. Of several threads that ask for it first, one makes it, and the others wait."""
        return self.made or self._make()

    def _make(self) -> Aside:
        with _making:
            if self.made is None:
                from .core import Aside
                from .execution import InLoop, InThread

                self.made = Aside(
                    self._caller,
                    self._limits,
                    self._config,
                    self._telemetry,
                    InLoop() if self._portal is None else InThread(*self._portal),
                    self._messages_key,
                    enabled=self._enabled,
                )
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


_making = lock_of_forks()
"""One for all clients: held to import and make an `Aside`, so that no forked child has half of an import."""
