"""Which identity each class stands for: names in the order of the classes, kept with a run and with its checkpoints."""

from collections.abc import Sequence
from pathlib import Path

from angulus.errors import CheckpointError
from angulus.json_files import read_json
from angulus.training.storage.atomic_files import write_json

FILE = "classes.json"


def start_classes(folder: Path, names: Sequence[str]) -> None:
    """Keep the names in the folder of a run, or check that the run in it has these.

    Raises CheckpointError where it has others.
    """
    before = read_classes(folder)
    if before is None:
        write_json(folder / FILE, list(names))
    else:
        check_classes(folder, before, names)


def read_classes(folder: Path) -> list[str] | None:
    """The names of a run's classes; None where it was written before they were kept."""
    path = folder / FILE
    try:
        return [str(name) for name in read_json(path)]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}; it must be a list of names") from error


def check_classes(where: Path, before: Sequence[str], now: Sequence[str]) -> None:
    """Raise CheckpointError, naming a few, unless the classes stand for the same identities."""
    if list(before) == list(now):
        return
    old, new = set(before), set(now)
    gone, added = [name for name in before if name not in new], [name for name in now if name not in old]
    parts = [
        f"{len(names)} {verb} ({shown(names)})" for names, verb in ((gone, "are gone"), (added, "are new")) if names
    ]
    if not parts:
        place = next(place for place, pair in enumerate(zip(before, now, strict=True)) if pair[0] != pair[1])
        parts = [f"their order is another (class {place} was {before[place]}, now {now[place]})"]
    raise CheckpointError(
        f"{where} was trained on other identities: {', '.join(parts)}. Resume with the data of the run, or start a new "
        "run in another folder, which can take over the class weights with head.weights_from"
    )


def shown(names: Sequence[str], count: int = 3) -> str:
    """The first few names."""
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")
