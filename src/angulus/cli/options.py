"""Options that several commands share, and how their words are read."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

Json = Annotated[Path | None, Parameter(name="--json")]
Flag = Parameter(negative=(), show_default=False)
Fit = Literal["auto", "proportional", "resize", "crop", "error"]
EditLists = Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative="")]
View = Literal["plain", "sum", "concat"]


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Recipes and `key=value` settings; a file that has "=" in its name is a recipe all the same."""
    recipes = [text for text in arguments if "=" not in text or Path(text).is_file()]
    return recipes, [text for text in arguments if text not in recipes]


def check_output(*paths: Path | None) -> None:
    """Raise AngulusError before the work begins when a result could not be written at its end."""
    from angulus.errors import AngulusError

    for path in paths:
        if path is None:
            continue
        if path.is_dir():
            raise AngulusError(f"{path} is a folder; name a file to write")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            probe = path.with_name(f".{path.name}.probe")
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise AngulusError(f"{path} cannot be written: {error.strerror or error}") from error


def save_json(path: Path | None, content: Any) -> None:
    """Write a command's figures, whole or not at all; nothing where no file was asked for."""
    if path is not None:
        from angulus.training.storage.atomic_files import write_json

        write_json(path, content)


def save_text(path: Path | None, text: Callable[[], str]) -> None:
    """Write a text, whole or not at all; nothing where no file was asked for."""
    if path is not None:
        from angulus.training.storage.atomic_files import write_atomic

        content = text().encode()
        write_atomic(path, lambda file: file.write(content))


def device_named(name: str) -> str:
    """The device that a name means. Raises ConfigError where it is not here."""
    from angulus.errors import ConfigError
    from angulus.training.recipe.defaults import choose_device

    try:
        return str(choose_device(name))
    except ValueError as error:
        raise ConfigError(f"--{error}") from error
