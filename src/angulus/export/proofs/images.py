"""The artefact for images beside the original: everything that is compared, and the refusal beyond the tolerance."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from angulus.data.examples import Source
from angulus.export.comparison import (
    BothVectors,
    Compute,
    Progress,
    both_vectors,
    crops_of,
    made_up_crops,
    original,
)
from angulus.export.parity import check_tolerance, distance, distances_at, score_changes, seconds_of
from angulus.inference.choice import one_thread
from angulus.inference.processors import compute_threads
from angulus.models import EmbeddingModel
from angulus.runtime.bundles import Bundle
from angulus.runtime.embedder import Embedder
from angulus.runtime.preparation import Crops
from angulus.runtime.speech_preparation import Examples
from angulus.runtime.thresholds import FORMAT

MOST_AT_BATCHES = 64
"""Images that are compared at each of the batches."""
Check = Callable[[Crops, Sequence[str]], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """parity: what was compared, JSON-ready.  both: the vectors; None where they were not computed."""

    parity: Mapping[str, Any]
    both: BothVectors | None = None


def proved(
    bundle: Bundle,
    model: EmbeddingModel,
    images: Source | None,
    *,
    tolerance: float,
    check: Check | None = None,
    progress: Progress | None = None,
) -> Judged:
    """Compare on these images, or on made-up pictures. BundleError beyond the tolerance, and what `check` raises."""
    artefact = bundle.artefact
    before, after = original(model, mirror=artefact.mirror), Embedder(bundle, threads=compute_threads())
    if images is None:
        crops = made_up_crops(model.image_input().height, model.image_input().width)
        both = BothVectors(before=before(crops), after=after.vectors(crops), labels=None)
    else:
        crops = crops_of(images, 0, MOST_AT_BATCHES)
        both = both_vectors(images, before, after.vectors, check=check, progress=progress)
    whole = distance(both.before, both.after)
    first = both.before[: len(crops)]
    at_batches = distances_at(crops, first, lambda part: after.vectors(part, batch=len(part)))
    largest = max([whole.largest, *(each.largest for each in at_batches.values())])
    check_tolerance(largest, tolerance, artefact.precision)
    parity = {
        **{"format": FORMAT, "artefact": artefact.name, "tolerance": tolerance, "largest_distance": largest},
        **{"images": "made up" if images is None else "given", "people": both.people, "distance": whole.to_dict()},
        "at_batches": {str(size): each.to_dict() for size, each in at_batches.items()},
        **{"scores": score_changes(both), **costs(model, before, Embedder(bundle), crops)},
    }
    return Judged(parity=parity, both=both)


def costs(model: EmbeddingModel, before: Compute, after: Embedder, examples: Crops | Examples) -> dict[str, Any]:
    """Seconds an example, on one thread on both sides, and bytes."""
    with one_thread():
        seconds = {"before": seconds_of(before, examples), "after": seconds_of(after.vectors, examples)}
    own = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    size = sum(len(after.bundle.read(name)) for name in after.artefact.files)
    return {
        **{"seconds_an_image": seconds, "threads": 1, "runtime": after.runtime, "machine": platform.machine()},
        "bytes": {"before": own, "after": size},
    }
