"""What a path on the command line holds: a run, a model or foreign weights; images or recordings, by person or not."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from angulus.cli.inputs.words.named_places import MODELS_ARE, is_run, what_lies_at
from angulus.cli.options import Edits, Fit, Usual
from angulus.data import FolderSource, Source, fit_image, open_source
from angulus.data.examples import Account, columns_of, fit_that_suits
from angulus.data.formats.catalogue import format_of
from angulus.data.formats.features import open_features
from angulus.data.formats.reid.market1501 import is_market1501
from angulus.data.loading.contents import PICTURE_EXTENSIONS, SOUND_EXTENSIONS, Content, Pictures
from angulus.data.views.sequences import Sequences
from angulus.embeddings import EmbeddingSet
from angulus.errors import DataError, ModelError
from angulus.image_files import open_image
from angulus.inference.given_images import content_for
from angulus.models import (
    MODELS,
    EmbeddingModel,
    InputSpec,
    ModelConfig,
    Spec,
    SpeechInput,
    config_from_dict,
    load_model,
    read_description,
)
from angulus.models.imports import import_described
from angulus.models.weights import STAMP, fingerprint_of_model

if TYPE_CHECKING:
    from angulus.data import Fit as DataFit

_FOREIGN = (".ckpt", ".pt", ".pth")
_OF_A_MODEL = ("model.json", "model.safetensors")
_WANTED = "name the folder of a run or of a model, or a file of weights"


@dataclass(frozen=True)
class OpenModel:
    """A model with the place where it was found, and how its run fitted images of another size (None: not known).

    config: what it was built from; None for a bundle.
    """

    model: EmbeddingModel
    path: Path
    fit: "DataFit | None" = None
    config: ModelConfig | None = None

    def fitting(self, fit: Fit) -> Fit:
        """`fit`, or where it is "auto" what the model's run did, if that is known."""
        return self.fit if fit == "auto" and self.fit else fit

    def check_runtime(self, runtime: str) -> None:
        """Raise ModelError where a bundle, which has a runtime of its own, is to be computed by another."""
        if self.config is None and runtime not in ("torch", "auto"):
            raise ModelError(f"{self.path} is computed by the runtime of its file, not {runtime}; leave --runtime out")

    def check_stampable(self) -> None:
        """Raise ModelError where there are no weights whose fingerprint could be stored."""
        if self.config is None:
            raise ModelError(f"{self.path} has no weights that could be stamped; leave --stamp out, or name the model")

    def stamped(self, embeddings: EmbeddingSet) -> EmbeddingSet:
        """The same with the fingerprint of the model's weights as a column."""
        self.check_stampable()
        return embeddings.with_columns({STAMP: [fingerprint_of_model(self.model)] * len(embeddings)})

    def digest(self) -> str | None:
        """By what a bundle, which has no weights here, is known again; None for a model."""
        from angulus.cli.inputs.bundled_models import BundledModel

        return self.model.bundle.description.artefact.name if isinstance(self.model, BundledModel) else None


def open_embedder(path: str | Path, *, network: str | None = None) -> OpenModel:
    """What `open_model` opens, or a bundle, whose file computes the vectors. Raises ModelError or BundleError."""
    from angulus.cli.inputs.bundled_models import bundled_model, is_bundle
    from angulus.inference.processors import compute_threads

    if is_bundle(Path(path)):
        return OpenModel(bundled_model(Path(path), compute_threads()), Path(path))
    return open_model(path, network=network)


def open_model(path: str | Path, *, network: str | None = None) -> OpenModel:
    """The network in a run folder, in a folder that `save_model` wrote, or in foreign PyTorch weights.

    network: the name of the network, where a file of foreign weights does not show it, or "module:Class" of one's own.
    Raises ModelError when nothing of the kind is there.
    """
    path = Path(path)
    if not path.exists():
        raise ModelError(f"there is no model {path}: {_WANTED}")
    if path.is_file() and path.suffix in _FOREIGN:
        model, config = import_described(path, network_named(network))
        return OpenModel(model, path, config=config)
    if (kind := what_lies_at(path)) not in MODELS_ARE and path.name not in _OF_A_MODEL:
        raise ModelError(f"{path} is {kind}, not a model: {_WANTED}")
    if not is_run(path):
        return _loaded(path, network)
    from angulus.training.recipe.first_weights import fit_of_run

    found = next((path / name for name in ("model", "best") if (path / name / "model.json").is_file()), None)
    if found is None:
        raise ModelError(f"the run {path} has no model yet; finish it with: angulus train --resume {path}")
    return _loaded(found, network, fit_of_run(path))


def _loaded(path: Path, network: str | None, fit: "DataFit | None" = None) -> OpenModel:
    """The network in a folder of a model, with what it was built from."""
    configs = known_networks(path, network)
    model = load_model(path, configs=configs)
    return OpenModel(model, path, fit, config_from_dict(read_description(path)["model"], configs, where=str(path)))


def known_networks(path: Path, network: str | None) -> dict[str, type]:
    """The networks of Angulus and the user's own, which is imported only when it was named on the command line."""
    if network is None or ":" not in network:
        name = read_description(path)["model"].get("name", "")
        if ":" in str(name):
            raise ModelError(f"{path} is a network of your own, {name}; allow its import with --network {name}")
        return MODELS
    return {**MODELS, network: own_network(network)}


def network_named(network: str | None) -> ModelConfig | str | None:
    """What foreign weights are of: a name of Angulus, or "module:Class" of one's own with its defaults."""
    if network is None or ":" not in network:
        return network
    try:
        return own_network(network)()
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"--network {network} must be made without settings for foreign weights: {error}; give its fields defaults"
        ) from error


def own_network(network: str) -> type:
    """The config class of a network of one's own, imported. Raises ModelError where it is none."""
    from angulus.config.kinds import MODEL, find_kind

    try:
        return find_kind(MODEL, network)
    except ValueError as error:
        raise ModelError(f"--network: {error}") from error


@dataclass(frozen=True, kw_only=True)
class LooseExamples:
    """A flat folder of images or recordings of nobody in particular: one label for all, which says nothing."""

    root: Path
    keys: list[str]
    content: Content

    @property
    def account(self) -> Account:
        return Account(origin=str(self.root), images=len(self), identities=1, noun=self.content.noun)

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.zeros(len(self.keys), dtype=np.int64)

    @property
    def identities(self) -> Sequence[str]:
        return ["unknown"]

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, index: int) -> NDArray[Any]:
        path = self.root / self.keys[index]
        return self.content.decode(path, name=str(path))


def open_images(
    path: str | Path,
    spec: Spec,
    *,
    fit: Fit,
    skip_unreadable: bool = False,
    edits: Edits = Usual.edits,
) -> Source:
    """The images at a path at the size a model takes, or its recordings: by person in any layout, or loose in a folder.

    edits: lists of changes to apply. Raises DataError.
    """
    path = Path(path)
    extensions = PICTURE_EXTENSIONS if isinstance(spec, InputSpec) else SOUND_EXTENSIONS
    loose = loose_examples(path, extensions)
    if loose and edits.edits:
        raise DataError(f"{path} holds examples of nobody in particular, which edits cannot name; leave --edits out")
    on_unreadable = "skip" if skip_unreadable else "error"
    if not isinstance(spec, InputSpec):
        return open_recordings(path, spec, loose, on_unreadable=on_unreadable, edits=edits)
    size = (spec.height, spec.width)
    if loose:
        pictures = Pictures(size=size, fit=choose_fit(path / loose[0], size, fit))
        return LooseExamples(root=path, keys=loose, content=pictures)
    if not path.exists() or format_of(path) == "folder":
        plain = FolderSource.open(path)
        chosen = choose_fit(path / plain.keys[0], size, fit)
        source: Source = FolderSource.open(path, size=size, fit=chosen, on_unreadable=on_unreadable)
    else:
        chosen = fit_of_first(open_source(path), size, fit)
        source = open_source(path, size=size, fit=chosen, on_unreadable=on_unreadable)
    return edits.applied(source)


def open_recordings(
    path: Path, spec: SpeechInput, loose: list[str], *, on_unreadable: Literal["error", "skip"], edits: Edits
) -> Source:
    """The recordings at a path, or the stored features where the model takes such. Raises DataError."""
    content = content_for(spec)
    if content is None:
        if not path.is_file():
            raise DataError(f"{path} is not a file of features (.npz), and the model takes {spec.describe()}")
        return edits.applied(open_features(path, spec.bands))
    if loose:
        return LooseExamples(root=path, keys=loose, content=content)
    source = open_source(path, content=content, on_unreadable=on_unreadable)
    if isinstance(source, Sequences):
        raise DataError(f"{path} holds stored features, and the model takes {spec.describe()}")
    return edits.applied(source)


def fit_of_first(source: Source, size: tuple[int, int], fit: Fit) -> "DataFit":
    """What `fit` means for a source, by its first image that can be read."""
    for index in range(len(source)):
        try:
            height, width = source.read(index).shape[:2]
        except DataError:  # reading it in its turn will name it
            continue
        return fit_for(source.keys[index], (height, width), size, fit)
    return "error"


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedImages:
    """A source of images of any size, brought to one."""

    source: Source
    size: tuple[int, int]
    fit: "DataFit"

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.source.labels

    @property
    def identities(self) -> Sequence[str]:
        return self.source.identities

    @property
    def keys(self) -> Sequence[str]:
        return self.source.keys

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        return columns_of(self.source)

    def __len__(self) -> int:
        return len(self.source)

    def read(self, index: int) -> NDArray[np.uint8]:
        return fit_image(self.source.read(index), self.size, self.fit, name=self.source.keys[index])


def loose_examples(path: Path, extensions: Collection[str]) -> list[str]:
    """The files of some kinds directly in a folder that has no sub-folders; nothing where it has some.

    Nothing as well where the names of the files say who is shown.
    """
    if not path.is_dir() or is_market1501(path):
        return []
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    if any(entry.is_dir() for entry in entries):
        return []
    return [entry.name for entry in entries if entry.suffix.lower() in extensions]


def choose_fit(example: Path, size: tuple[int, int], fit: Fit) -> "DataFit":
    """`fit`, or where it is "auto" what suits a set of crops: cut the sides off, or scale where the shape is the same.

    A 112x112 crop for a 112x96 network is cut (columns 8 to 103, as SphereFace's crops are made).
    """
    if fit != "auto":
        return fit
    try:
        with open_image(example) as image:
            width, height = image.size
    except (OSError, ValueError, SyntaxError):
        return "error"  # reading it will name the file
    return fit_for(str(example), (height, width), size, fit)


def fit_for(example: str, shape: tuple[int, int], size: tuple[int, int], fit: Fit) -> "DataFit":
    """The same for an image that was read; shape, size: height and width."""
    if fit != "auto":
        return fit
    height, width = shape
    found = fit_that_suits(shape, size)
    if found is not None:
        return found
    raise DataError(
        f"{example} is {height}x{width} (height x width) and the model takes {size[0]}x{size[1]}, another shape; "
        "crop photos with angulus align first; for crops say how to bring them there, --fit resize or --fit crop"
    )
