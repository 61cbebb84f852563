"""A finished study's table and plot made anew from its study.json, without its runs or its recipes."""

from pathlib import Path
from typing import Any

from angulus.errors import ConfigError
from angulus.json_files import read_json
from angulus.study.table import Table, cells_of, write_shown


def renew(folder: Path) -> None:
    """Write table.md and plot.svg from study.json. Raises ConfigError where there is none, or none of a study."""
    path = folder / "study.json"
    try:
        content = read_json(path)
    except FileNotFoundError:
        raise ConfigError(
            f"{folder} holds no study.json, so there is no table to write; name a study's YAML file"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is not a readable JSON file: {error}") from error
    try:
        table = stored_table(content)
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} is no table of a study ({type(error).__name__}: {error})") from error
    write_shown(folder, table)


def stored_table(content: dict[str, Any]) -> Table:
    """The table that was stored by `angulus.study.table.summary`."""
    runs, columns = content["runs"], tuple(content["columns"])
    figures: dict[str, dict[int, dict[str, float]]] = {row: {} for row in content["rows"]}
    for run in runs:
        if run["state"] == "done":
            found = {name: value for name, value in run["figures"].items() if value is not None}
            figures[run["row"]][run["seed"]] = found
    return Table(
        title=content["title"],
        columns=columns,
        cells=cells_of(figures, columns),
        seeds=len({run["seed"] for run in runs}),
        done={row: len(seeds) for row, seeds in figures.items()},
        failed=tuple((run["row"], run["seed"], run["error"]) for run in runs if run["state"] == "failed"),
    )


def holds_figures(folder: Path) -> bool:
    """Whether the study.json of a folder has the figures of a finished run."""
    try:
        return any(run["state"] == "done" for run in read_json(folder / "study.json")["runs"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
