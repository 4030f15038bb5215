"""The parser of the command line: what is misspelled is answered with the name that is nearest."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

__all__ = ["Parser"]

_CHOICE = re.compile(r"invalid choice: '(?P<given>.*?)' \(.*?choose from (?P<known>.+)\)$", re.DOTALL)


class Parser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` that says which option or command may have been meant.

    Options are not abbreviated: ``--api-key KEY`` would be ``--api-key-file``, and the key in a message.
    """

    def __init__(self, **options: Any) -> None:
        options.setdefault("allow_abbrev", False)
        super().__init__(**options)

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and exit with 2."""
        if choice := _CHOICE.search(message):
            known = re.findall(r"[\w-]+", choice["known"])
            message = (
                f"{message[: choice.start()]}there is no {choice['given']!r}{_near(choice['given'], known)}"
            )
            if len(known) < 10 or "did you mean" not in message:
                message += f"; there are {', '.join(known)}"
        super().error(message)

    def names(self) -> dict[str, str]:
        """The options of this command, by the names that their values have."""
        return {action.dest: action.option_strings[-1] for action in self._actions if action.option_strings}

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Exit because of arguments that this command does not know."""
        options = [each.partition("=")[0] for each in unknown if each.startswith("-")]
        hint = _near(options[0], self._option_string_actions) if options else ""
        # Not the values of options, one of which may be a key.
        self.error(f"unrecognized arguments: {' '.join(options or unknown)}{hint}")


def _near(given: str, known: Iterable[str]) -> str:
    near = get_close_matches(given, {*known} - {given}, 1, 0.6)
    return f"; did you mean {near[0]}?" if near else ""
