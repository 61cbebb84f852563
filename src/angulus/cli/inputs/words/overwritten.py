"""Whether a command would lay its results over what it reads."""

from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from angulus.errors import ConfigError

RESULTS = frozenset({"out", "json", "report", "markdown", "picture", "sheet", "target"})
OPTIONS = tuple(f"--{name}" for name in sorted(RESULTS))


def check_apart(arguments: Mapping[str, Any]) -> None:
    """Raise ConfigError where a result is a file that the command reads, lies in a bundle, or is another result too."""
    named = list(_paths(arguments))
    results = [(name, path) for name, path in named if name in RESULTS]
    read = [(name, path) for name, path in named if name not in RESULTS]
    for place, (name, path) in enumerate(results):
        whole = path.resolve()
        for other, source in read:
            if source.exists() and (source.resolve() == whole or _is_in_bundle(whole, source.resolve())):
                raise ConfigError(f"{path} is read by this command ({source}, {other}); name another file for {name}")
        for other, source in results[:place]:
            if source.resolve() == whole:
                raise ConfigError(f"{path} is named for two results, {other} and {name}; name two files")


def _is_in_bundle(path: Path, folder: Path) -> bool:
    return folder in path.parents and (folder / "bundle.json").is_file()


def _paths(arguments: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """Every path by the name of its argument, those in shared records too."""
    for name, value in arguments.items():
        if isinstance(value, Path):
            yield name, value
        elif isinstance(value, tuple | list):
            yield from ((name, one) for one in value if isinstance(one, Path))
        elif is_dataclass(value):
            yield from _paths(vars(value))
