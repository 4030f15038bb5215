"""Sockets at one address for several processes, bound before these are forked."""

from __future__ import annotations

import socket
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = ["Listeners", "bind"]


class Listeners:
    """Sockets for each process, bound to one address.

    On Linux each process has sockets of its own, and the system hands each new connection to one of them.
    They are bound here, and stay open here: connections that wait for a process which has ended are those of
    the next one. Elsewhere all processes have the same sockets.
    """

    def __init__(self, host: str, port: int, count: int) -> None:
        self._apart = sys.platform == "linux"
        self._groups: list[list[socket.socket]] = []
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self._addresses: list[tuple[int, Any]] = [(info[0], info[4]) for info in dict.fromkeys(found)]
        try:
            for number in range(count if self._apart else 1):
                self._groups.append([])
                self._bind(self._groups[-1], look=not number)
        except BaseException:
            self.close()
            raise
        self._groups += self._groups * (count - len(self._groups))

    @property
    def address(self) -> tuple[str, int]:
        """The first address."""
        address: tuple[str, int] = self._groups[0][0].getsockname()[:2]
        return address

    def __len__(self) -> int:
        return len(self._groups)

    def of(self, number: int) -> Sequence[socket.socket]:
        """The sockets of a process."""
        return self._groups[number]

    def renew(self, number: int) -> None:
        """Refuse the connections that wait for a process which will not be there for a while."""
        if self._apart:
            for each in self._groups[number]:
                each.close()
            self._groups[number] = []
            self._bind(self._groups[number])

    def keep(self, number: int) -> None:
        """Close the sockets of all other processes, in the process that these are for."""
        for each in {each for group in self._groups for each in group}.difference(self._groups[number]):
            each.close()

    def close(self) -> None:
        """Close all sockets."""
        for each in [each for group in self._groups for each in group]:
            each.close()

    def _bind(self, group: list[socket.socket], look: bool = False) -> None:
        """Bind a socket to each address.

        ``look``: first bind without SO_REUSEPORT, which fails if another service has the port; with it, both
        would share the port.
        """
        for at in range(len(self._addresses)):
            family, address = self._addresses[at]
            if look:
                with self._socket(family, alone=True) as probe:
                    probe.bind(address)
                    port = probe.getsockname()[1]
                if not address[1]:  # a free port was asked for: the same for all
                    self._addresses = [(kind, (of[0], port, *of[2:])) for kind, of in self._addresses]
            group.append(self._socket(family))
            group[-1].bind(self._addresses[at][1])

    def _socket(self, family: int, alone: bool = False) -> socket.socket:
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._apart and not alone:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        return made


@contextmanager
def bind(host: str, port: int, count: int) -> Generator[Listeners, None, None]:
    """Sockets for so many processes. Raises `OSError`."""
    listeners = Listeners(host, port, count)
    try:
        yield listeners
    finally:
        listeners.close()
