"""What a run begins with: sizes, shared names, whether labels can be seen in pixels, what augmentation leaves.

Whether labels mean anything is asked of small grey pictures: the area under the ROC curve of their correlation over
pairs of images, of one person against two. It is well above 0.5 for aligned faces and characters, and 0.5 where labels
are shuffled. The same pairs with one side mirrored, or augmented as in training, show what a change leaves of it.

How images are prepared is asked where `init` is foreign weights: a model that Angulus saved is used with its own input.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from angulus.data import Source, counts_of
from angulus.data.examples import noun_of
from angulus.data.loading.augmentation import Augment
from angulus.evaluation.rates.roc import area_under_roc
from angulus.evaluation.scores.cosines import Scores
from angulus.models import EmbeddingModel
from angulus.training.experiment import Experiment, Training
from angulus.training.recipe.data_sources import Sources
from angulus.training.recipe.defaults import plain_augment
from angulus.training.recipe.first_weights import is_saved_model, model_in
from angulus.training.recording.preprocessing_looks import preprocessing_facts
from angulus.training.recording.trained_people import chosen_images

SIDE = 16
PEOPLE, IMAGES = 96, 4
NAMES = 5


def data_facts(
    experiment: Experiment,
    sources: Sources,
    sizes: NDArray[np.int64],
    model: EmbeddingModel,
    device: torch.device,
    processes: int,
) -> dict[str, Any]:
    """sizes: [c], images of each class."""
    rows, labels = chosen_images(sources.train, sizes, PEOPLE, IMAGES, experiment.seed)
    facts: dict[str, Any] = {
        "train": amounts(sizes),
        "held_out": None if sources.held_out is None else amounts(counts_of(sources.held_out)),
        "shared": {name: shared_names(sources.train, other) for name, other in others_of(sources).items()},
        "pass": images_of_a_pass(experiment.train, processes),
        "processes": processes,
        "batch_norm": any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in model.modules()),
    }
    if len(rows) < 2 or len(np.unique(labels)) < 2:
        return facts
    if noun_of(sources.train) == "recording":  # what can be seen in pixels is asked of images only
        return facts
    images = torch.from_numpy(np.stack([sources.train.read(int(row)) for row in rows])).permute(0, 3, 1, 2)
    facts["colours"] = images.float().mean((0, 2, 3)).tolist()
    facts["pixels"] = pixel_facts(images, labels, plain_augment(experiment), experiment.seed)
    if experiment.init is not None and not is_saved_model(model_in(experiment.init)):
        facts["preprocessing"] = preprocessing_facts(model, images, device)
    return facts


def images_of_a_pass(config: Training, processes: int) -> int:
    """Of how many images a batch norm takes mean and variance: those of a process, unless it is synchronised."""
    apart = 1 if config.batch_norm == "synchronised" else processes
    return config.batch // config.accumulate // apart


def amounts(sizes: NDArray[np.int64]) -> dict[str, Any]:
    """How many people and images, images of the people in the middle, and the share of the largest tenth of them."""
    ordered = np.sort(sizes)
    tenth = ordered[-max(1, len(ordered) // 10) :]
    return {
        "people": len(sizes),
        "images": int(sizes.sum()),
        "images_each": np.quantile(sizes, (0.0, 0.25, 0.5, 0.75, 1.0)).tolist(),
        "largest_tenth": float(tenth.sum() / max(sizes.sum(), 1)),
    }


def others_of(sources: Sources) -> dict[str, Source]:
    held_out = {} if sources.held_out is None else {"held-out": sources.held_out}
    return {**held_out, **sources.also}


def shared_names(train: Source, other: Source) -> dict[str, Any]:
    """How many people of a verified set have the name of one that is trained on; how many of the names are numbers
    alone, which number the people of many sets; a few of them, the others first."""
    names = set(train.identities)
    shared = sorted((name for name in other.identities if name in names), key=str.isdecimal)
    numbers = sum(name.isdecimal() for name in shared)
    return {"people": len(other.identities), "shared": len(shared), "numbers": numbers, "names": shared[:NAMES]}


def pixel_facts(images: Tensor, labels: NDArray[np.int64], augment: Augment, seed: int) -> dict[str, float]:
    """The areas: of plain pairs, with one side mirrored, with one side augmented. images: uint8 [n, 3, h, w]."""
    plain = small_pictures(images.float())
    changed = augment.apply(images, seed=seed, step=0)
    return {
        "pairs": int(sum(count * (count - 1) // 2 for count in np.bincount(labels))),
        "plain": area(plain, plain, labels),
        "mirrored": area(plain, small_pictures(images.float().flip(3)), labels),
        "augmented": area(plain, small_pictures(changed), labels),
        "flip": augment.flip,
    }


def small_pictures(images: Tensor) -> NDArray[np.float32]:
    """[n, 256] grey pictures of 16x16, as directions: without their mean, which is the light, of length 1."""
    grey = F.adaptive_avg_pool2d(images.mean(1, keepdim=True), SIDE).flatten(1)
    grey = grey - grey.mean(1, keepdim=True)
    return F.normalize(grey, dim=1).numpy()


def area(left: NDArray[np.float32], right: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The area under the ROC curve over pairs of different rows, once the mean of all is taken off."""
    centre = left.mean(0)
    cosines = centred(left, centre) @ centred(right, centre).T
    first, second = np.triu_indices(len(labels), 1)
    same = labels[first] == labels[second]
    scores = cosines[first, second]
    return area_under_roc(Scores(scores[same], scores[~same]))


def centred(rows: NDArray[np.float32], centre: NDArray[np.float32]) -> NDArray[np.float32]:
    moved = rows - centre
    return moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)
