"""Settings of a command from options, environment variables and a TOML file, in this order."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

__all__ = ["Setting", "Settings", "add_settings", "millis_of", "read_settings", "time_in_millis"]

Kind = Literal["text", "whole", "number", "time", "path", "yes_or_no", "texts"]

_MILLIS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TIME = re.compile(r"(\d+)(ms|s|m|h|d)?")
_YES_OR_NO = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}

_EXPECTED: Mapping[Kind, str] = {
    "text": "must be a text",
    "whole": "must be a whole number",
    "number": "must be a number",
    "time": "must be a time: milliseconds, or 500ms, 90s, 15m, 24h, 7d",
    "path": "must be the name of a file",
    "yes_or_no": "must be true or false",
    "texts": "must be a list of texts",
}

CONFIG = "config"


class Setting(NamedTuple):
    """One setting. Its name in a file is ``name``, in the environment that in capitals behind a prefix."""

    name: str
    kind: Kind
    help: str
    metavar: str | None = None
    option: str | None = None
    """The option, if it is not the name with dashes."""
    default: Any = None

    @property
    def flag(self) -> str:
        """The option."""
        return self.option or f"--{self.name.replace('_', '-')}"


class Settings:
    """The values of settings, and where each was given."""

    def __init__(self, values: Mapping[str, Any], where: Mapping[str, str]) -> None:
        self._values = values
        self._where = where

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(name) from None

    def where(self, name: str) -> str | None:
        """The option, the variable or the file with the name in it that gave a setting. None: nothing did."""
        return self._where.get(name)


def add_settings(parser: argparse.ArgumentParser, settings: Iterable[Setting]) -> None:
    """Add an option for each setting. Their texts are read by `read_settings`."""
    for setting in settings:
        more: dict[str, Any] = {"metavar": setting.metavar}
        if setting.kind == "texts":
            more["action"] = "append"
        elif setting.kind == "yes_or_no":
            more = {"action": argparse.BooleanOptionalAction}
        parser.add_argument(setting.flag, dest=setting.name, default=None, help=setting.help, **more)


def read_settings(
    settings: Sequence[Setting],
    options: argparse.Namespace,
    prefix: str,
    alternatives: Sequence[tuple[str, ...]] = (),
) -> Settings:
    """The values of all settings. Raises `ValueError`, which says where the wrong one was given.

    An option goes before a variable ``PREFIX_NAME``, a variable before the file that ``config`` names, and
    the file before the default. Of settings that are ``alternatives`` of each other only those count that are
    given in the first of these places where there is any, and there may be only one. An empty variable counts
    for nothing.
    """
    known = {setting.name: setting for setting in settings}
    places = [_options(known, options), _variables(known, prefix)]
    config = next((place[CONFIG] for place in places if CONFIG in place), None)
    if config is not None:
        places.append(_file(known, Path(config[1])))
    values = {setting.name: setting.default for setting in settings}
    where: dict[str, str] = {}
    groups = [*alternatives, *((name,) for name in known if not any(name in group for group in alternatives))]
    for group in groups:
        for place in places:
            given = [name for name in group if name in place]
            if len(given) > 1:
                first, second = (place[name][0] for name in given[:2])
                raise ValueError(f"{second}: can't be given along with {first}")
            if given:
                where[given[0]], values[given[0]] = place[given[0]]
                break
    return Settings(values, where)


Place = Mapping[str, tuple[str, Any]]
"""Settings that are given in one place: how each is called there, and its value."""


def _options(known: Mapping[str, Setting], options: argparse.Namespace) -> Place:
    given = {name: getattr(options, name) for name in known}
    return {
        name: (known[name].flag, _from_text(known[name], known[name].flag, value))
        for name, value in given.items()
        if value is not None
    }


def _variables(known: Mapping[str, Setting], prefix: str) -> Place:
    found: dict[str, tuple[str, Any]] = {}
    for variable, text in os.environ.items():
        if not variable.startswith(prefix) or not text.strip():
            continue
        name = variable.removeprefix(prefix).lower()
        if name not in known or variable != variable.upper():
            raise ValueError(
                f"{variable}: {_unknown([f'{prefix}{each.upper()}' for each in known], variable)}"
            )
        listed = [part.strip() for part in text.split(",") if part.strip()]
        value = listed if known[name].kind == "texts" else text.strip()
        found[name] = variable, _from_text(known[name], variable, value)
    return found


def _file(known: Mapping[str, Setting], path: Path) -> Place:
    found: dict[str, tuple[str, Any]] = {}
    for name, value in _read_toml(path).items():
        where = f"{path}: {name}"
        if name not in known or name == CONFIG:
            raise ValueError(f"{where}: {_unknown([each for each in known if each != CONFIG], name)}")
        found[name] = where, _from_toml(known[name], where, value)
    return found


def _unknown(names: Sequence[str], name: str) -> str:
    near = get_close_matches(name, names, 1, 0.5)
    return f"there is no such setting; did you mean {near[0]}?" if near else "there is no such setting"


def _read_toml(path: Path) -> Mapping[str, Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"--config: can't read {str(path)!r}: {error.strerror}") from error
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ModuleNotFoundError as error:
            raise ValueError(
                "--config: Python 3.10 needs the package tomli for TOML; install it with: pip install tomli"
            ) from error
    try:
        return cast("Mapping[str, Any]", tomllib.loads(content.decode("utf-8")))
    except UnicodeDecodeError:
        raise ValueError(f"--config: {str(path)!r} is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        # The message quotes no more than one character of the file, which may have keys in it.
        raise ValueError(f"--config: {str(path)!r} is not TOML: {error}") from None


def _from_text(setting: Setting, where: str, given: Any) -> Any:
    """The value that a text of an option or a variable stands for."""
    if not isinstance(given, str):  # several texts, or true or false
        return given
    try:
        if setting.kind == "whole":
            return int(given)
        if setting.kind == "number":
            return float(given)
        if setting.kind == "time":
            return millis_of(given)
        if setting.kind == "yes_or_no":
            return _YES_OR_NO[given.lower()]
    except (ValueError, KeyError):
        raise _wrong(setting, where, given) from None
    return Path(given) if setting.kind == "path" else given


def _from_toml(setting: Setting, where: str, given: object) -> object:
    """The value that a value in a TOML file stands for."""
    is_number = isinstance(given, (int, float)) and not isinstance(given, bool)
    fits: dict[Kind, bool] = {
        "text": isinstance(given, str),
        "path": isinstance(given, str),
        "whole": is_number and isinstance(given, int),
        "number": is_number,
        "time": isinstance(given, str) or (is_number and isinstance(given, int)),
        "yes_or_no": isinstance(given, bool),
        "texts": _are_texts(given),
    }
    if not fits[setting.kind]:
        raise _wrong(setting, where, given)
    if isinstance(given, str) and setting.kind in ("time", "path"):
        return _from_text(setting, where, given)
    return given


def _are_texts(given: object) -> bool:
    return isinstance(given, list) and {type(each) for each in cast("list[object]", given)} <= {str}


def _wrong(setting: Setting, where: str, given: object) -> ValueError:
    plain = setting.kind not in ("text", "texts", "path")  # of which some are secrets
    shown = f"{given!r}" if plain else f"of type {type(given).__name__}"
    return ValueError(f"{where}: {_EXPECTED[setting.kind]}, but is {shown}")


def millis_of(text: str) -> int:
    """Milliseconds from a time such as 250, 500ms, 90s, 15m, 24h or 7d."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(match[1]) * _MILLIS[match[2] or "ms"]


def time_in_millis(text: str) -> int:
    """The type of an option for a time of at least a millisecond."""
    with contextlib.suppress(ValueError):
        if millis := millis_of(text):
            return millis
    raise argparse.ArgumentTypeError(f"{text!r} is no time: give milliseconds, or 500ms, 90s, 15m, 24h, 7d")
