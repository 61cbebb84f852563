"""From a model back to faces: images that the network takes for given people, made from noise.

Closed set: people that the network was trained on, by their class of its head. Open set: anybody, by one stored
embedding. The network is only asked for outputs and gradients; its batch-norm statistics say what its training images
looked like. Deng et al., "ArcFace", TPAMI 2021, sections 3.3 and 4.5.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from angulus.errors import DataError
from angulus.folder_locks import locked
from angulus.inversion.attack.batch import InvertedBatch
from angulus.inversion.attack.faces.spaces import Eigenfaces
from angulus.inversion.attack.files import InversionFolder, image_paths, sheet
from angulus.inversion.attack.frozen_network import attacked
from angulus.inversion.attack.images import as_batch, to_pixels
from angulus.inversion.attack.label_only import first_answers
from angulus.inversion.attack.objectives import check_batch_norm
from angulus.inversion.attack.options import InversionOptions
from angulus.inversion.attack.targets import Targets, fingerprint_of_model
from angulus.models import EmbeddingModel

log = logging.getLogger(__name__)

# Called with image iterations done and their total.
Progress = Callable[[int, int | None], None]


def invert(
    model: EmbeddingModel,
    targets: Targets,
    out: str | Path,
    options: InversionOptions | None = None,
    *,
    device: str | torch.device = "cpu",
    begins: NDArray[np.uint8] | None = None,
    space: Eigenfaces | None = None,
    originals: Sequence[NDArray[np.uint8]] | None = None,
    save_every: int = 200,
    picture_every: int = 500,
    facts: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Make one image for each target in the folder `out`; a folder that was interrupted is gone on with.

    begins: pictures uint8 [n, h, w, 3] of the model's size that images start from, where options.begin is not "noise".
    space: where options.space is "eigenfaces".
    originals: the attacked images uint8 [h, w, 3], for the montage.  save_every, picture_every: iterations between two
    states and two intermediate pictures.  facts: what else result.json shall say.  Returns the content of result.json.

    Raises ModelError where targets and model do not fit or the model lacks what a term needs, DataError where the
    folder holds something else, NonFiniteError where the objective becomes infinite, ValueError for begins of another
    size.
    """
    options = options or InversionOptions()
    targets.check(model)
    check_batch_norm(model, options.weights)
    _warn_of_unit_templates(targets, options)
    where = torch.device(device)
    plan = {"model": fingerprint_of_model(model), "targets": targets.record(), "options": options.as_dict()}
    if (begins is None) != (options.begin == "noise"):
        raise ValueError(f'begins must be given unless begin is "noise", which is {options.begin!r}')
    if (space is None) != (options.space == "pixels"):
        raise ValueError(f'space must be given where options.space is "eigenfaces", which is {options.space!r}')
    if space is not None:
        plan["space"] = space.digest()
    if begins is not None:
        expected = (len(targets), model.image_input().height, model.image_input().width, 3)
        if begins.shape != expected:
            raise ValueError(f"begins must have the shape {list(expected)}, got {list(begins.shape)}")
        plan["begins"] = hashlib.sha256(np.ascontiguousarray(begins).tobytes()).hexdigest()
    with locked(Path(out), DataError, "inverting into"):
        folder = InversionFolder(Path(out), plan)
        finished = folder.read("result.json")
        if finished is not None:
            log.info("%s is finished already", out)
            return finished
        work = _Work(folder, options, save_every, picture_every, len(targets), progress, begins, space)
        pictures: list[NDArray[np.uint8]] = []
        with ExitStack() as stack:
            stack.enter_context(attacked(model, where))
            if targets.head is not None:
                stack.enter_context(attacked(targets.head, where))
            for number, start in enumerate(range(0, len(targets), options.batch_size)):
                rows = slice(start, min(start + options.batch_size, len(targets)))
                pictures.append(work.run_batch(model, targets, number, rows, where))
            pixels = np.concatenate(pictures)
            rows_of_result = _judged(model, targets, pixels, options.batch_size, where)
        return _write(folder, targets, pixels, rows_of_result, plan, work, originals, facts or {})


def _warn_of_unit_templates(targets: Targets, options: InversionOptions) -> None:
    """Templates that were stored with length 1 cannot be met by embeddings of their natural length."""
    if targets.templates is None or options.normalise == "unit" or options.distance == "cosine":
        return
    if np.allclose(np.linalg.norm(targets.templates, axis=1), 1.0, atol=1e-2):
        log.warning("the templates have length 1, so only their directions can be met; set --normalise unit")


class _Work:
    """The batches of one job, one after the other."""

    def __init__(
        self,
        folder: InversionFolder,
        options: InversionOptions,
        save_every: int,
        picture_every: int,
        count: int,
        progress: Progress | None,
        begins: NDArray[np.uint8] | None,
        space: Eigenfaces | None,
    ) -> None:
        self.begins, self.space = begins, space
        self.folder, self.options, self.progress = folder, options, progress
        self.save_every, self.picture_every = save_every, picture_every
        self.total, self.done = count * options.iterations, 0
        self.curves: list[list[dict[str, float]]] = []
        self.seconds: list[float] = []

    def run_batch(
        self, model: EmbeddingModel, targets: Targets, number: int, rows: slice, device: torch.device
    ) -> NDArray[np.uint8]:
        """Bring one batch to its end; its pixels [n, h, w, 3]."""
        count = rows.stop - rows.start
        pictures = None if self.begins is None else model.input.prepare(as_batch(self.begins[rows]))
        seed = (self.options.seed + 7919 * number) % 2**63
        space = None if self.space is None else self.space.to(device)
        batch = InvertedBatch(model, count, self.options, seed, device, pictures, space)
        self.folder.restore(number, batch)
        begun, base = time.perf_counter() - batch.seconds, self.done
        if batch.done:
            log.info("batch %d goes on from iteration %d", number, batch.done)

        def watch(at: InvertedBatch) -> None:
            at.seconds = time.perf_counter() - begun
            if at.done % self.save_every == 0 or at.done == self.options.iterations:
                self.folder.save(number, at)
                log.info("batch %d iteration %d %s", number, at.done, _line(at.curve[-1]))
            if at.done % self.picture_every == 0:
                pixels = to_pixels(at.images, model.image_input())
                self.folder.write_picture(f"progress/batch-{number:03d}/{at.done:06d}.png", sheet(list(pixels)))
            if self.progress is not None:
                self.progress(base + at.done * count, self.total)

        batch.run(targets.identity_term(rows, self.options, device), watch)
        self.done += count * self.options.iterations
        self.curves.append(batch.curve)
        self.seconds.append(batch.seconds)
        return to_pixels(batch.images, model.image_input())


def embed_pixels(
    model: EmbeddingModel, pixels: NDArray[np.uint8], batch_size: int, device: torch.device
) -> torch.Tensor:
    """Embeddings [n, d] on the CPU of pictures uint8 [n, h, w, 3] of the model's size."""
    with torch.inference_mode():
        parts = [
            model(model.input.prepare(as_batch(pixels[start : start + batch_size]).to(device))).float().cpu()
            for start in range(0, len(pixels), batch_size)
        ]
    return torch.cat(parts)


def _judged(
    model: EmbeddingModel, targets: Targets, pixels: NDArray[np.uint8], batch_size: int, device: torch.device
) -> list[dict[str, Any]]:
    """What the attacked model makes of the finished pictures, as they are stored: 8 bits a channel."""
    embeddings = embed_pixels(model, pixels, batch_size, device)
    term = targets.identity_term(slice(0, len(targets)), InversionOptions(), device)
    cosines = term.cosines(embeddings.to(device)).tolist()
    files = image_paths(targets.identities, targets.keys)
    rows: list[dict[str, Any]] = [
        {"identity": identity, "key": key, "file": file, "cosine": cosine}
        for identity, key, file, cosine in zip(targets.identities, targets.keys, files, cosines, strict=True)
    ]
    if targets.head is not None and targets.labels is not None:
        answers = first_answers(embeddings.to(device), targets.head).tolist()
        for row, label, answer in zip(rows, targets.labels.tolist(), answers, strict=True):
            row["answered_first"] = label == answer
    return rows


def _write(
    folder: InversionFolder,
    targets: Targets,
    pixels: NDArray[np.uint8],
    rows: list[dict[str, Any]],
    plan: dict[str, Any],
    work: _Work,
    originals: Sequence[NDArray[np.uint8]] | None,
    facts: dict[str, Any],
) -> dict[str, Any]:
    for row, picture in zip(rows, pixels, strict=True):
        folder.write_picture(row["file"], picture)
    folder.write_picture("montage.png", sheet(list(pixels), originals))
    cosines = np.array([row["cosine"] for row in rows])
    result = {
        **{"mode": targets.mode, "images": len(rows), "people": len(set(targets.identities)), **facts},
        "cosine": {"mean": float(cosines.mean()), "least": float(cosines.min()), "most": float(cosines.max())},
        **{"seconds": round(sum(work.seconds), 1), "options": plan["options"], "model_weights": plan["model"]},
        **{"targets": rows, "curves": work.curves},
    }
    folder.write("result.json", result)  # last: it says that all is done
    return result


def _line(point: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in point.items() if name != "iteration")
