"""What `--resume` is asked to go on with: a run, or a recipe whose run it is."""

from collections.abc import Sequence
from pathlib import Path

from angulus.cli.inputs.words.named_places import is_run
from angulus.config.shipped_recipes import shipped_as
from angulus.config.suggestions import closest
from angulus.errors import ConfigError


def check_resumed(recipes: Sequence[str]) -> None:
    """Raises ConfigError for what is neither a run nor a recipe: it says where there are runs, and what to do."""
    for named in recipes:
        path = Path(named)
        if path.exists() or path.suffix in (".yaml", ".yml", ".json") or shipped_as(path):
            continue
        raise ConfigError(
            f"there is no run {named} to go on with{_runs_near(path)}; --resume takes the folder of a run that was "
            f"begun, and a new one begins with: angulus train data.path=FOLDER out={named}"
        )


def _runs_near(path: Path) -> str:
    """The runs that lie where this one was looked for, the one with the most similar name first."""
    if not path.parent.is_dir():
        return ""
    names = sorted(entry.name for entry in path.parent.iterdir() if entry.is_dir() and is_run(entry))
    near = closest(path.name, names)
    ordered = [*([near] if near else []), *(name for name in names if name != near)]
    more = f" and {len(ordered) - 5} more" if len(ordered) > 5 else ""
    return f" (in {path.parent} there are {', '.join(ordered[:5])}{more})" if ordered else ""
