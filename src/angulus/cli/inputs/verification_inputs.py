"""What a verification compares: stored embeddings, or images through a model, all pairs or a list."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from angulus.cli.inputs.words.named_places import BUNDLES_ARE, MODELS_ARE, is_photo, what_lies_at
from angulus.cli.options import Edits, EmbeddingUse, Fit, Said
from angulus.embeddings import EmbeddingSet, View
from angulus.embeddings.shards import is_sharded
from angulus.errors import EvaluationError
from angulus.evaluation import Pairs, match, read_bin, read_pairs
from angulus.evaluation.report.page import Gallery, PairImages, shown_pair
from angulus.evaluation.scores.cosines import ScoredPair, hardest_pairs
from angulus.evaluation.scores.pairs import NamedPairs
from angulus.plain_numbers import several

if TYPE_CHECKING:
    from angulus.data import Source

COMMANDS = ("identify", "blufr", "templates", "retrieve", "calibrate", "compare")
SETS = (".npz", ".safetensors", ".npy")
HARDEST = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """Embeddings, the pairs among them (None: all), where they come from, and the images where these are here."""

    embeddings: EmbeddingSet
    pairs: Pairs | None
    facts: dict[str, Any] = field(default_factory=dict)
    source: "Source | None" = None

    def hardest(self, view: View) -> list[Gallery]:
        """The pairs that are most wrong, as pictures; nothing without images."""
        if self.source is None:
            return []
        labels = self.embeddings.labels if self.pairs is None else None
        unit = self.embeddings.unit(view)
        genuine, impostor = hardest_pairs(unit, pairs=self.pairs, labels=labels, count=HARDEST)
        texts = (
            ("Hardest genuine pairs", "One person, lowest scores. Wrong labels show up here first.", genuine),
            (
                "Hardest impostor pairs",
                "Two people, highest scores. One person under two names shows up here.",
                impostor,
            ),
        )
        return [Gallery(title=title, text=text, pairs=self._pictures(pairs)) for title, text, pairs in texts if pairs]

    def _pictures(self, pairs: Sequence[ScoredPair]) -> list[PairImages]:
        from angulus.data.parts import rate_of

        assert self.source is not None
        keys, rate = self.source.keys, rate_of(self.source)
        return [
            shown_pair(
                self.source.read(pair.left),
                self.source.read(pair.right),
                f"{pair.score:.3f}  {keys[pair.left]} and {keys[pair.right]}",
                rate=rate,
            )
            for pair in pairs
        ]


def is_stored(path: Path) -> bool:
    """Whether a path means stored embeddings: by its suffix, or a folder of shards by its manifest."""
    return path.suffix in SETS or is_sharded(path)


def stored_set(path: Path, labels: Path | None = None) -> EmbeddingSet:
    """Embeddings, a file or a folder of shards; EvaluationError for anything else."""
    if not is_stored(path):
        kind = f"is {what_lies_at(path)}, not a file" if path.exists() else "is no file"
        raise EvaluationError(f"{path} {kind} of embeddings ({', '.join(SETS)}); make one with: angulus embed")
    return EmbeddingSet.load(path, labels=labels)


def listed_pairs(embeddings: EmbeddingSet, pairs: Path | None) -> Pairs | None:
    """The pairs of a list among stored embeddings; None without a list."""
    return None if pairs is None else match(read_pairs(pairs), embeddings)


def descending(rates: Sequence[float] | None, usual: Sequence[float]) -> tuple[float, ...]:
    """The rates that were asked for, each once, the largest first; the usual ones where none were."""
    return tuple(sorted(set(rates), reverse=True) if rates else usual)


def title_of(what: Path, images: Path | None, pairs: Path | None) -> str:
    """What to call a verification that was given no name."""
    return f"{what.stem} on {(pairs or images or what).stem}" if pairs or images else what.stem


def compared_by(
    what: Path,
    images: Path | None,
    pairs: Path | None,
    labels: Path | None,
    edits: Edits,
    use: EmbeddingUse,
    said: Said,
) -> Compared:
    """What the words of `angulus evaluate` mean."""
    if is_stored(what):
        if images is not None:
            raise EvaluationError(f"{what} holds embeddings already, so no images are needed; leave {images} out")
        if edits.edits:
            raise EvaluationError(f"edits are for sets of images, and {what} holds embeddings; leave --edits out")
        embeddings = stored_set(what, labels)
        facts = {"embeddings": str(what), "pairs": "all" if pairs is None else str(pairs)}
        return Compared(embeddings=embeddings, pairs=listed_pairs(embeddings, pairs), facts=facts)
    if labels is not None:
        raise EvaluationError(f"the folders of the images say who is who, so no labels are read; leave {labels} out")
    if images is None:
        raise EvaluationError(_without_images(what))
    if images.suffix == ".bin" and pairs is not None:
        raise EvaluationError(f"{images} brings its own pairs, so no pair list is needed; leave {pairs} out")
    if images.suffix == ".bin" and edits.edits:
        raise EvaluationError(f"edits are for images by person, and {images} holds pairs; leave --edits out")
    return _embedded(what, images, pairs, edits, use, said)


def _without_images(what: Path) -> str:
    """What is missing where one path alone is named, and it is no file of embeddings."""
    kind = what_lies_at(what)
    if kind in (*MODELS_ARE, *BUNDLES_ARE) or not (what.exists() or is_photo(what)):
        near = [] if what.exists() else get_close_matches(str(what), COMMANDS, 1)
        hint = f"; or did you mean the command {near[0]}?" if near else ""
        return f"to evaluate the model {what}, name a folder of images after it{hint}"
    there = f"is {kind}" if what.exists() else "is not here"
    return (
        f"{what} {there}; evaluate takes a model and a folder with one sub-folder of images for each person (angulus "
        "evaluate runs/x FOLDER), or embeddings (angulus evaluate embeddings.npz)"
    )


def _embedded(model: Path, images: Path, pairs: Path | None, edits: Edits, use: EmbeddingUse, said: Said) -> Compared:
    """The images that are compared, through the model."""
    from angulus.cli.inputs.models_and_images import open_embedder, open_images
    from angulus.cli.inputs.words.known_people import marked
    from angulus.cli.terminal import image_progress
    from angulus.data import select
    from angulus.data.examples import noun_of
    from angulus.extract import embed

    named = None if pairs is None else read_pairs(pairs)
    opened = open_embedder(model, network=use.network)
    fit = opened.fitting(use.fit)
    listed: Pairs | None = None
    with image_progress(quiet=said.quiet) as progress:
        if images.suffix == ".bin":
            source, listed = _of_bin(images, opened.model.input, fit)
        else:
            source = open_images(images, opened.model.input, fit=fit, edits=edits)
            if named is not None:
                rows, listed = rows_of_pairs(named, source)
                source = select(source, rows)
        found = embed(
            *(opened.model, source), batch_size=use.batch_size, flip=True, device=use.place(), progress=progress
        )
    facts = {
        "model": str(opened.path),
        several(noun_of(source)): str(images),
        "pairs": str(images if images.suffix == ".bin" else pairs or "all"),
    }
    if images.suffix == ".bin":
        found = replace(found, labels=None, identities=None)  # a .bin does not say who is shown
    return Compared(embeddings=marked(found, model), pairs=listed, facts=facts, source=source)


def _of_bin(path: Path, spec: Any, fit: Fit) -> "tuple[Source, Pairs]":
    """The images of a `.bin` at the size a model takes, and its pairs."""
    from angulus.cli.inputs.models_and_images import fit_for
    from angulus.data import EncodedSource

    encoded = read_bin(path)
    size = (spec.height, spec.width)
    plain = EncodedSource.of(encoded.images)
    shape = plain.read(0).shape
    chosen = fit_for(f"image 0 of {path}", (shape[0], shape[1]), size, fit)
    return EncodedSource.of(encoded.images, size=size, fit=chosen), encoded.pairs


def rows_of_pairs(named: NamedPairs, source: "Source") -> tuple[np.ndarray, Pairs]:
    """Which examples [m] a pair list uses, and the pairs as positions among these."""
    from angulus.data.examples import noun_of

    count = len(source)
    columns = {"seconds": np.zeros(count)} if noun_of(source) == "recording" else {}
    blank = EmbeddingSet(embeddings=np.zeros((count, 1), dtype=np.float32), keys=tuple(source.keys), columns=columns)
    pairs = match(named, blank)
    rows = np.union1d(pairs.left, pairs.right)
    left, right = np.searchsorted(rows, pairs.left), np.searchsorted(rows, pairs.right)
    return rows, Pairs(left=left, right=right, same=pairs.same, fold=pairs.fold)
