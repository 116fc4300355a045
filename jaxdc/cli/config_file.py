"""``jaxdc train --config FILE``: flags from a TOML or JSON file, or from the ``config.json`` of a run."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxdc.errors import InputError
from jaxdc.reading import read_bytes, read_json

NOT_RECORDED = {"workdir", "fresh", "estimate", "seeds", "distributed", "no_distributed"}


def with_config(arguments: Sequence[str]) -> tuple[str | None, list[str], dict[str, Any], Path | None]:
    """Takes ``--config FILE`` out of the arguments of ``jaxdc train``.

    Returns:
      The method that the file names, if any; the other arguments; the flags in the file; and its path.

    Raises:
      InputError: the file is missing or no such file.
    """
    rest, path = [], None
    pending = iter(arguments)
    for argument in pending:
        name, equals, value = argument.partition("=")
        if name != "--config":
            rest.append(argument)
            continue
        value = value if equals else next(pending, "")
        if not value or path is not None:
            raise InputError("--config takes one file, and may be given once")
        path = Path(value)
    if path is None:
        return None, rest, {}, None
    flags = _read(path)
    method = flags.pop("method", None)
    if method is not None and not isinstance(method, str):
        raise InputError(f"{path} gives method as {method!r}, which is not a name")
    return method, rest, flags, path


def arguments_of(flags: Mapping[str, Any], known: type, path: Path, method: str) -> list[str]:
    """The flags of a file as arguments, to stand before those of the command line, which override them.

    Args:
      flags: what the file says; ``{"backbone": {"depth": 10}}`` is ``--backbone.depth 10``.
      known: the dataclass of all flags.
      path: path of the file, for messages.
      method: the method, for messages.

    Raises:
      InputError: the file has an entry that is no flag of this method.
    """
    names = {field.name: field for field in dataclasses.fields(known)}
    found = []
    for key, value in flags.items():
        name = key.replace("-", "_")
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f": did you mean {near[0]}?" if near else ""
            raise InputError(f"{path} sets {key}, which jaxdc train {method} does not have{hint}")
        found += _arguments(name.replace("_", "-"), value, names[name].default, path)
    return found


def recorded(parsed: Any, method: str) -> dict[str, Any]:
    """The flags of a command that are not the defaults, for ``config.json``."""
    flags = {"method": method}
    for field in dataclasses.fields(parsed):
        value = getattr(parsed, field.name)
        if field.name not in NOT_RECORDED and value != field.default:
            flags[field.name] = _plain(value, field.default)
    return flags


def _read(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(read_bytes(path).decode()) if path.suffix == ".toml" else read_json(path)
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is no valid TOML: {str(error).splitlines()[0]}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds {type(content).__name__} where flags by name are expected")
    if "run" not in content:
        return content
    flags = content.get("flags")
    if not isinstance(flags, dict):
        raise InputError(
            f"{path} does not record the flags of its command: the run was made in Python, or by an older version"
        )
    return dict(flags)


def _arguments(name: str, value: Any, default: Any, path: Path) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _arguments(f"{name}.{key.replace('_', '-')}", part, getattr(default, key, None), path)
    elif isinstance(value, bool):
        # Flags that are off unless they are given have no opposite.
        if value:
            yield f"--{name}"
        elif default is not False:
            head, dot, last = name.rpartition(".")
            yield f"--{head}{dot}no-{last}"
    elif isinstance(value, list):
        yield f"--{name}"
        yield from (_text(part, name, path) for part in value)
    elif value is not None:
        yield f"--{name}"
        yield _text(value, name, path)


def _text(value: Any, name: str, path: Path) -> str:
    if not isinstance(value, str | int | float):
        raise InputError(f"{path} sets {name} to {value!r}, which is no text, number or list of these")
    return str(value)


def _plain(value: Any, default: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
        same = type(default) is type(value)
        changed = {key: part for key, part in parts.items() if not same or part != getattr(default, key)}
        return {key: _plain(part, getattr(default, key, None)) for key, part in changed.items()}
    if isinstance(value, tuple | list):
        return [_plain(part, None) for part in value]
    return str(value) if isinstance(value, Path) else value
