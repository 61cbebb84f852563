"""Who is attacked by inversion, through which head, and who judges: what the words of `invert` and `audit` name."""

import importlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from angulus.cli.inputs.inversion_settings import Settings
from angulus.cli.inputs.models_and_images import open_model
from angulus.cli.inputs.words.named_places import is_run
from angulus.config import load
from angulus.data import FolderSource, Source, subset
from angulus.errors import ConfigError, DataError, ModelError
from angulus.inversion import Attack, AuditPeople, Judge, Surrogate, model_judge
from angulus.models import EmbeddingModel
from angulus.text_files import read_entries
from angulus.training.storage.class_names import read_classes
from angulus.training.trained_head import StoredHead, read_head

PUBLIC_PHOTOS = 5
"""Photos of each public person that are looked at."""


def head_of(path: Path, allow: Collection[str] = ()) -> StoredHead:
    """The head of the run at `path`. Raises ModelError where `path` is a model without its run."""
    if not is_run(path):
        raise ModelError(
            f"{path} is a network without the head of its training: people it was trained on can be inverted from the "
            "folder of a run only; invert embeddings instead (--images or --embeddings)"
        )
    experiment = load([path], allow=allow)
    if experiment.margin is None:
        raise ModelError(f"the recipe of {path} names no margin, so its head cannot be read")
    return read_head(path, experiment.margin, experiment.train.epochs or 1)


def judges_named(paths: Sequence[str], *, network: str | None, device: str) -> list[Judge]:
    """Judges from what was named: runs, models, foreign weights, or "module:function" of one's own.

    A function of one's own takes pictures uint8 [n, 112, 112, 3] and gives embeddings [n, d].
    """
    found = []
    for path in paths:
        if ":" in path and not Path(path).exists():
            found.append(Judge(name=path, embed=_function(path), size=(112, 112)))
        else:
            opened = open_model(path, network=network)
            found.append(model_judge(Path(path).name, opened.model, device=device))
    return found


def people_of(images: Path, names: Path | None, leave_out: Path | None) -> Source:
    """A folder of identities: those that are named, without those that are left out."""
    return subset(
        FolderSource.open(images),
        identities=None if names is None else listed(names),
        exclude=() if leave_out is None else listed(leave_out),
    )


def public_faces(folder: Path, attacked: Sequence[str]) -> Source:
    """A folder of people without those who are attacked."""
    faces = FolderSource.open(folder)
    attacked = sorted(set(attacked) & set(faces.identities))
    if len(attacked) == len(faces.identities):
        raise DataError(f"--public {folder}: everybody in it is attacked; give faces of other people")
    return subset(faces, exclude=attacked, max_images_per_identity=PUBLIC_PHOTOS)


def attack_on(
    model: EmbeddingModel,
    head: StoredHead | None,
    people: AuditPeople,
    settings: Settings,
    device: str,
    progress: Callable[[int, int | None], None] | None,
    *,
    through: Surrogate | None = None,
    public: Source | None = None,
) -> Attack:
    """The attack on a model's templates, or with a head on its classes. Raises ConfigError as `Settings.options`."""
    return Attack(
        model=model,
        people=people,
        options=settings.options("best"),
        head=None if head is None else head.head,
        classes=() if head is None else head.names,
        step=0 if head is None else head.step,
        through=through,
        public=public,
        device=device,
        progress=progress,
    )


def listed(path: Path) -> list[str]:
    """Names of identities: the classes of a run, the sub-folders of a folder, or the lines of a text file."""
    if path.is_dir() and (classes := read_classes(path)) is not None:
        return classes
    if path.is_dir():
        return sorted(entry.name for entry in path.iterdir() if entry.is_dir())
    found = read_entries(path, DataError, "list of names")
    if not found:
        raise ConfigError(f"{path} names nobody")
    return found


def _function(name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ModelError(f"--judge {name} cannot be imported: {error}; name a model, or module:function") from error
