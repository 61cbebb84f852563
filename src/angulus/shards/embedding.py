"""The shards of a set that one worker embeds, each written as a whole; what is finished is left as it is.

The result does not depend on how many workers there are, in which order they come, or which of them die: the manifest
fixes whatever could change a digit (blocks, images per pass, runtime, layout, window), and passes on a CPU compute on
one thread each.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from angulus.data.examples import Source, columns_of
from angulus.data.formats.record_source import problems_of
from angulus.data.views.split import Subset
from angulus.embeddings import EmbeddingSet
from angulus.embeddings.shards.manifest import InputShard, Manifest
from angulus.embeddings.shards.parts import check_part, write_part
from angulus.embeddings.shards.storage import names_in
from angulus.errors import DataError, EvaluationError
from angulus.extract import Progress, embed
from angulus.inference.own_networks import ready
from angulus.inference.passes import Passes, say
from angulus.inference.recordings import WINDOW_SECONDS
from angulus.inference.runtimes import RuntimeName
from angulus.models.weights import STAMP, fingerprint_of_model
from angulus.shards.division import kept_of, stretch
from angulus.shards.launchers import Worker
from angulus.shards.planning import one_thread_where_it_counts, opened, options_of, planned, usual_pass

if TYPE_CHECKING:
    from angulus.models import EmbeddingModel, Spec

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ShardsDone:
    """What a worker did. made, skipped: shards.  examples, unreadable: of the shards made.

    lacking: shards that nobody has made when it ended.
    """

    made: int
    skipped: int
    examples: int
    unreadable: int
    lacking: int
    manifest: Manifest


def embed_shards(
    model: "EmbeddingModel | nn.Module",
    images: Source | str | PathLike[str],
    folder: str | PathLike[str],
    *,
    worker: Worker | tuple[int, int] = (0, 1),
    block: int | None = None,
    input: "Spec | None" = None,
    batch_size: int | None = None,
    flip: bool = True,
    device: str | torch.device = "cpu",
    workers: int | None = None,
    runtime: RuntimeName = "torch",
    window: float | None = WINDOW_SECONDS,
    skip_unreadable: bool = False,
    labelled: bool = True,
    stamp: bool = False,
    columns: Mapping[str, ArrayLike] | None = None,
    digest: str | None = None,
    progress: Progress | None = None,
) -> ShardsDone:
    """Embed the shards i, i + n, i + 2n, ... of a set into a folder, but for those that are there.

    model, input, flip, device, workers, runtime, window: as for `embed`; runtime "auto" would be timed, and is refused.
    images: a source, or a path that `open_source` reads.
    folder: where the parts and their manifest go; `EmbeddingSet.load` reads it once all are there.
    worker: (i, n), worker i of n, counted from 0.
    block: the most examples of a shard; None takes what the manifest says that is there, or 4,096.
    batch_size: images per pass; None takes what suits the network on a CPU, and 256 on other devices.
    skip_unreadable: leave out damaged examples, which are found when their shard is embedded, and say so in the log.
    labelled: store labels and identities; False for examples of nobody in particular.
    stamp: store the fingerprint of the weights as a column.
    columns: further columns, one value for each example of the set.
    digest: by which the model is known again; None takes the fingerprint of its weights.
    progress: called with examples done and the total of this worker.

    Raises EvaluationError where the folder was begun for another set, model or way of embedding, or holds a damaged
    part; otherwise as `embed`.
    """
    if runtime == "auto":
        raise DataError("runtime must be named for shards, got 'auto': it is timed, and may differ between workers")
    if batch_size is not None and batch_size < 1:
        raise DataError(f"batch_size must be at least 1, got {batch_size}")
    me = worker if isinstance(worker, Worker) else Worker(index=worker[0], count=worker[1])
    model, place = ready(model, input), Path(folder)
    source = opened(images, model)
    more = _checked(columns or {}, len(source))
    size = batch_size or usual_pass(model, torch.device(device))
    known = digest or fingerprint_of_model(model)
    how: dict[str, Any] = {"batch_size": size, "flip": flip, "runtime": runtime, "window": window}
    stored: dict[str, Any] = {"stamp": stamp, "skip_unreadable": skip_unreadable, "labelled": labelled}
    stored["columns"] = sorted({*more, *columns_of(source)})
    options = options_of(model, {**how, **stored}, torch.device(device))
    manifest = planned(source, place, block, known, options, labelled=labelled).publish(place)
    own = [shard for shard in manifest.shards if shard.number % me.count == me.index]
    call = _Call(
        model=model,
        source=source,
        columns=more,
        stamp=fingerprint_of_model(model) if stamp else None,
        labelled=labelled,
        skip_unreadable=skip_unreadable,
        how={**how, "device": device, "workers": workers},
    )
    with one_thread_where_it_counts(model, torch.device(device)):
        return _made(call, place, manifest, own, progress)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Call:
    """What every shard of a call has in common."""

    model: "EmbeddingModel"
    source: Source
    columns: Mapping[str, NDArray[Any]]
    stamp: str | None
    labelled: bool
    skip_unreadable: bool
    how: dict[str, Any]
    said: list[Passes] = field(default_factory=list)

    def embedded(self, shard: InputShard, progress: Progress | None) -> EmbeddingSet | None:
        """The embeddings of a shard, None where none of its examples can be read; labels are those of the whole set."""
        view = stretch(self.source, shard.begin, shard.end)
        kept = np.arange(len(view))
        if self.skip_unreadable:
            kept = _readable(view)
            if not len(kept):
                return None
            view = kept_of(view, kept)
        found = embed(self.model, view, progress=progress, chosen=self.say_once, **self.how)
        more = {name: values[shard.begin + kept] for name, values in self.columns.items()}
        if self.stamp is not None:
            more[STAMP] = np.array([self.stamp] * len(found))
        return found.with_columns(more)

    def say_once(self, passes: Passes) -> None:
        """How the first shard is embedded, which the others are too."""
        if not self.said:
            self.said.append(passes)
            say(passes)


def _made(
    call: _Call, folder: Path, manifest: Manifest, own: Sequence[InputShard], progress: Progress | None
) -> ShardsDone:
    whole, there = manifest.digest(), names_in(folder)
    total = sum(shard.end - shard.begin for shard in own)
    done = made = examples = unreadable = 0
    for shard in own:
        path, size = folder / shard.name, shard.end - shard.begin
        if shard.name in there:
            check_part(path, whole=whole, number=shard.number)
        else:
            found = call.embedded(shard, _shifted(progress, done, total))
            fields = {} if found is None else _fields(found, call.labelled)
            write_part(path, fields, {} if found is None else found.columns, whole=whole, number=shard.number)
            rows = 0 if found is None else len(found)
            made, examples, unreadable = made + 1, examples + rows, unreadable + size - rows
        done += size
        if progress is not None:
            progress(done, total)
    lacking = {shard.name for shard in manifest.shards} - names_in(folder)
    return ShardsDone(
        made=made,
        skipped=len(own) - made,
        examples=examples,
        unreadable=unreadable,
        lacking=len(lacking),
        manifest=manifest,
    )


def _checked(columns: Mapping[str, ArrayLike], count: int) -> dict[str, NDArray[Any]]:
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    for name, values in arrays.items():
        if values.shape != (count,):
            raise EvaluationError(
                f"column {name!r} must have one entry for each of the {count} examples, got {list(values.shape)}"
            )
    return arrays


def _fields(found: EmbeddingSet, labelled: bool) -> dict[str, Any]:
    return {
        "embeddings": found.embeddings,
        "flipped": found.flipped,
        "labels": found.labels if labelled else None,
        "keys": found.keys,
    }


def _readable(view: Subset) -> NDArray[np.int64]:
    problems = problems_of(view)
    for problem in problems:
        if problem is not None:
            logger.warning("skipped: %s", problem)
    return np.flatnonzero(np.array([problem is None for problem in problems], dtype=bool))


def _shifted(progress: Progress | None, done: int, total: int) -> Callable[[int, int | None], None] | None:
    """Progress within a shard as that of all."""
    return None if progress is None else lambda now, of: progress(done + now, total)
