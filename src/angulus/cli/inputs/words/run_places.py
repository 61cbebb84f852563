"""Where a run is kept, and that it is not inside the images it is trained on."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from angulus.cli.options import check_outside
from angulus.config import to_dict
from angulus.training.experiment import Experiment


def check_run_outside(experiment: Experiment, out: Path | None = None) -> None:
    """Raise AngulusError where the run (or `out`) would lie in a folder of images that the recipe reads."""
    check_outside(out or experiment.out or Path("runs"), *folders_read(experiment))


def folders_read(experiment: Experiment) -> list[Path]:
    """Every folder of images that a recipe names."""
    return [path for path in map(Path, _paths(to_dict(experiment))) if path.is_dir()]


def _paths(value: Any) -> Iterator[str]:
    for key, inner in value.items() if isinstance(value, Mapping) else ():
        if key == "path" and isinstance(inner, str):
            yield inner
        yield from _paths(inner)
    for inner in value if isinstance(value, list) else ():
        yield from _paths(inner)
