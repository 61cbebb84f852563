"""From the data of a recipe to images in memory or on disk: which identities train, which are held out."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from angulus.data import (
    FolderSource,
    InMemory,
    OmniglotSource,
    Source,
    SyntheticFaces,
    account_of,
    add_noise,
    apply_edits,
    bytes_needed,
    open_source,
    read_edits,
    split_identities,
    subset,
)
from angulus.errors import DataError
from angulus.models import InputSpec
from angulus.training.experiment import (
    DATA,
    STORED,
    Data,
    Experiment,
    FolderData,
    Identities,
    NoisyData,
    OmniglotData,
    StoredData,
    SyntheticData,
)


@dataclass(frozen=True)
class Sources:
    """train: what is learned.  held_out: identities never learned.  also: further sets to verify, by name.

    notes: what was kept and what was dropped and why, lines for the log.
    """

    train: Source
    held_out: Source
    also: dict[str, Source]
    notes: tuple[str, ...]


def open_sources(experiment: Experiment, spec: InputSpec) -> Sources:
    """Open every data set of an experiment at the size of the model's input, decoded as the recipe says.

    Raises DataError for missing or damaged data.
    """
    sources = found_sources(experiment, spec)
    return replace(
        sources,
        train=cached(sources.train, experiment),
        held_out=cached(sources.held_out, experiment),
        also={name: cached(source, experiment) for name, source in sources.also.items()},
    )


def found_sources(experiment: Experiment, spec: InputSpec) -> Sources:
    """The same without decoding anything."""
    whole = open_data(experiment.data, spec)
    parts = split_identities(whole, used_parts(experiment.data.identities), seed=experiment.data.identities.split_seed)
    names = [name for part in experiment.data.identities.train_on for name in parts[part].identities]
    train = subset(whole, identities=names, seed=experiment.seed)
    held_out = held_out_of(experiment, parts[experiment.data.identities.evaluate_on])
    check_comparable(held_out, "the held-out part")
    also = {name: open_evaluated(experiment, data, spec) for name, data in experiment.evaluation.also.items()}
    for name, source in also.items():
        check_comparable(source, f"evaluation.also.{name}")
    notes = [
        *account_of(whole).lines(),
        f"training on {len(train.identities)} identities with {len(train)} images, "
        f"{len(held_out.identities)} identities with {len(held_out)} images held out",
        *(f"{name}: {len(source.identities)} identities with {len(source)} images" for name, source in also.items()),
    ]
    return Sources(train=train, held_out=held_out, also=also, notes=tuple(notes))


def open_data(data: Data, spec: InputSpec) -> Source:
    """One data set with its rules about identities applied, before it is split."""
    rules = data.identities
    source = whole_set(data, spec)
    if rules.edits:
        source = apply_edits(source, [read_edits(path) for path in rules.edits])
    return subset(
        source,
        exclude=excluded(rules),
        min_images=rules.min_images,
        max_images_per_identity=rules.max_images,
        seed=rules.split_seed,
    )


def whole_set(data: Data, spec: InputSpec) -> Source:
    """One data set before any of its rules about identities: what a list of edits is made for."""
    size = (spec.height, spec.width)
    if isinstance(data, NoisyData):
        return noisy(data, spec)
    if isinstance(data, FolderData):
        return FolderSource.open(
            data.path, size=size, fit=data.fit, on_unreadable=data.on_unreadable, on_empty=data.on_empty
        )
    if isinstance(data, OmniglotData):
        return OmniglotSource.open(data.path, size=size, invert=data.invert)
    if isinstance(data, SyntheticData):
        return SyntheticFaces(
            num_identities=data.num_identities,
            images_per_identity=data.images_per_identity,
            height=spec.height,
            width=spec.width,
            seed=data.seed,
            first_identity=data.first_identity,
            nuisance=data.nuisance,
        )
    if isinstance(data, StoredData):
        kind = STORED[type(data)]
        return open_source(data.path, kind=kind, size=size, fit=data.fit, on_unreadable=data.on_unreadable)
    raise DataError(f"data must be one of {', '.join(DATA)}, got {type(data).__name__}")


def noisy(data: NoisyData, spec: InputSpec) -> Source:
    """A set with noise in the images of those identities that are trained on."""
    base, rules = open_data(data.base, spec), data.identities
    outside = None
    if data.outside is not None:
        given = data.outside.identities
        outside = chosen_parts(open_data(data.outside, spec), given)
    out = frozenset(excluded(rules))
    trained = {name for name in chosen_parts(base, rules).identities if name not in out}
    return add_noise(base, data.noise(), outside=outside, among=trained)


def chosen_parts(source: Source, rules: Identities) -> Source:
    """The parts of a set that are trained on."""
    parts = split_identities(source, used_parts(rules), seed=rules.split_seed)
    names = [name for part in rules.train_on for name in parts[part].identities]
    return subset(source, identities=names)


def image_shape(data: Data) -> tuple[int, int]:
    """Height and width of the first image of a data set."""
    if isinstance(data, NoisyData):
        return image_shape(data.base)
    if isinstance(data, FolderData):
        height, width, _ = FolderSource.open(data.path, on_empty=data.on_empty).read(0).shape
        return height, width
    if isinstance(data, StoredData):
        height, width, _ = open_source(data.path, kind=STORED[type(data)]).read(0).shape
        return height, width
    return 1, 1  # drawings and drawn faces are square and come in any size


def excluded(rules: Identities) -> tuple[str, ...]:
    """All names that a data set leaves out."""
    if rules.exclude_from is None:
        return rules.exclude
    return (*rules.exclude, *read_names(rules.exclude_from))


def read_names(path: Path) -> tuple[str, ...]:
    """Names of identities: the sub-folders of a folder, or the lines of a text file."""
    if path.is_dir():
        return tuple(sorted(entry.name for entry in path.iterdir() if entry.is_dir()))
    if not path.exists():
        raise DataError(f"exclude_from must be a folder of identities or a text file of names; {path} does not exist")
    return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())


def used_parts(rules: Identities) -> dict[str, float]:
    # a part with the share 0 has no identity, which splitting refuses
    return {name: share for name, share in rules.parts.items() if share > 0}


def open_evaluated(experiment: Experiment, data: Data, spec: InputSpec) -> Source:
    """The part of a further data set that is verified."""
    whole = open_data(data, spec)
    rules = data.identities
    return held_out_of(experiment, split_identities(whole, used_parts(rules), seed=rules.split_seed)[rules.evaluate_on])


def held_out_of(experiment: Experiment, source: Source) -> Source:
    limit = experiment.evaluation.max_images
    return source if limit is None else subset(source, max_images_per_identity=limit)


def check_comparable(source: Source, name: str) -> None:
    """Raise DataError now, not after hours of training, where there is nothing to verify."""
    counts = np.bincount(source.labels)
    if len(counts) < 2 or counts.max() < 2:
        raise DataError(
            f"{name} has {len(counts)} identities with at most {counts.max()} images each; verification needs two "
            "identities, and one with two images. Give it a larger share in data.identities.parts, or more data"
        )


def cached(source: Source, experiment: Experiment) -> Source:
    """The same images decoded once and kept in memory, as the recipe says."""
    if not keeps_decoded(bytes_needed(source), experiment):
        return source
    return InMemory.load(source, most_bytes=memory_bytes())


def keeps_decoded(size: int, experiment: Experiment) -> bool:
    """Whether decoded images of so many bytes stay in memory, as the recipe says."""
    choice = experiment.train.cache
    return choice == "memory" or (choice == "auto" and size <= memory_bytes() // 4)


def memory_bytes() -> int:
    """The memory of this machine in bytes, or 8 GiB where it cannot be read."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 8 * 2**30
