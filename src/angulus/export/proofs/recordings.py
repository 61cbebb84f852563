"""The artefact for speech beside the original: recordings that were given, and drawn ones of many lengths."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from angulus.data.examples import Source
from angulus.embeddings.directions import unit_rows
from angulus.errors import BundleError, ModelError
from angulus.export.comparison import BothVectors, Compute, Progress, Vectors, has_people
from angulus.export.parity import Distance, check_tolerance, distance, distances_at, score_changes
from angulus.export.proofs.images import Judged, costs
from angulus.inference.processors import compute_threads
from angulus.inference.recordings import embedded_recordings
from angulus.models import EmbeddingModel, SpeechInput
from angulus.models.folding import folded
from angulus.runtime.bundles import Bundle
from angulus.runtime.embedder import Embedder
from angulus.runtime.speech_preparation import Examples
from angulus.runtime.thresholds import FORMAT
from angulus.speech import drawn_utterance

DRAWN = 7
"""Recordings that are drawn for a length, and compared at several batches."""
FRAMES = (1, 2, 5, 99, 500)
"""Lengths that are compared, in frames, where the network takes them; 500 are five seconds of the usual frames."""
SECOND = 100
"""Frames of the silence that is compared, and of the recording that is timed."""


def proved_speech(
    bundle: Bundle, model: EmbeddingModel, source: Source | None, *, tolerance: float, progress: Progress | None = None
) -> Judged:
    """Compare on drawn recordings of several lengths, on silence, and on the source. BundleError beyond the tolerance.

    The vectors of the source are those that `angulus embed` gives: of windows that are averaged, where one is long.
    """
    spec, after = model.speech_input(), Embedder(bundle, threads=compute_threads())
    before = original_speech(model)
    lengths, drawn = _at_lengths(spec, before, after)
    first = before(drawn)
    at_batches = distances_at(drawn, first, lambda part: after.vectors(part, batch=len(part)))
    if source is None:
        both = BothVectors(before=first, after=after.vectors(drawn), labels=None)
    else:
        both = _of_source(source, model, after, progress)
    whole = distance(both.before, both.after)
    largest = max(each.largest for each in (whole, *lengths.values(), *at_batches.values()))
    check_tolerance(largest, tolerance, bundle.artefact.precision)
    timed = drawn[:1, : spec.length_of(SECOND)]
    parity = {
        **{"format": FORMAT, "artefact": bundle.artefact.name, "tolerance": tolerance, "largest_distance": largest},
        **{"examples": "recordings", "images": "made up" if source is None else "given", "people": both.people},
        **{"distance": whole.to_dict(), "at_lengths": {name: each.to_dict() for name, each in lengths.items()}},
        "at_batches": {str(size): each.to_dict() for size, each in at_batches.items()},
        **{
            "scores": score_changes(both),
            **costs(model, before, Embedder(bundle), timed),
        },
    }
    return Judged(parity=parity, both=both)


def original_speech(model: EmbeddingModel) -> Compute:
    """The network in torch, float32, as `angulus embed` runs it: recordings of one length to vectors of length 1."""
    network = folded(model).cpu()  # a copy: the model may be on a GPU, or in training

    def compute(examples: Examples) -> Vectors:
        with torch.inference_mode():
            found = network.embeddings_of(torch.from_numpy(np.ascontiguousarray(examples))).numpy()
        unit, norms = unit_rows(found)
        if not np.isfinite(norms).all() or not (norms > 0).all():
            raise BundleError("the model gives an embedding without a direction (NaN, infinity or zero); train it anew")
        return unit.astype(np.float32)

    return compute


def drawn_recordings(spec: SpeechInput, frames: int) -> Examples:
    """Drawn voices int16 [DRAWN, samples] of so many frames; for stored features random [DRAWN, frames, bands]."""
    length = spec.length_of(frames)
    if spec.content == "features":
        numbers = np.random.default_rng(frames).standard_normal((DRAWN, length, spec.bands), dtype=np.float32)
        return (numbers * np.float32(3 / abs(spec.scale)) + np.float32(spec.offset)).astype(np.float32)
    seconds = max(length / spec.rate, 0.5)
    drawn = [drawn_utterance(0, speaker, 0, rate=spec.rate, seconds=seconds) for speaker in range(DRAWN)]
    middle = max((len(drawn[0]) - length) // 2, 0)
    return np.stack([_filled(one[middle:], length) for one in drawn])


def _filled(samples: NDArray[np.int16], length: int) -> NDArray[np.int16]:
    return np.resize(samples, length) if len(samples) < length else samples[:length]


def _at_lengths(spec: SpeechInput, before: Compute, after: Embedder) -> tuple[dict[str, Distance], Examples]:
    """The distance at each length that the network takes, and for silence; and the longest recordings."""
    found: dict[str, Distance] = {}
    drawn: Examples | None = None
    for frames in FRAMES:
        drawn = drawn_recordings(spec, frames)
        try:
            wanted = before(drawn)
        except ModelError:  # shorter than the network takes
            continue
        found[f"{frames} frames"] = distance(wanted, after.vectors(drawn))
    assert drawn is not None
    silent = np.zeros_like(drawn[:1, : spec.length_of(SECOND)]) + drawn.dtype.type(spec.offset)
    found["silence"] = distance(before(silent), after.vectors(silent))
    return found, drawn


def _of_source(source: Source, model: EmbeddingModel, after: Embedder, progress: Progress | None) -> BothVectors:
    spec, network = model.speech_input(), folded(model).cpu()

    def by_file(batch: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(after.embeddings(batch.numpy()))

    def units(compute: Any, told: Progress | None) -> Vectors:
        with torch.inference_mode():
            found, _ = embedded_recordings(compute, spec, source, torch.device("cpu"), progress=told)
        return unit_rows(found)[0].astype(np.float32)

    labels = np.asarray(source.labels) if has_people(source) else None
    return BothVectors(before=units(network.embeddings_of, None), after=units(by_file, progress), labels=labels)
