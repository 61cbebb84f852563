"""From the data of a recipe to images in memory or on disk: which identities train, which are held out."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from angulus.data import (
    FolderSource,
    InMemory,
    OmniglotSource,
    Source,
    Subset,
    SyntheticFaces,
    UnionSource,
    account_of,
    add_noise,
    bytes_needed,
    join_parts,
    open_source,
    subset,
)
from angulus.data.examples import noun_of
from angulus.data.formats.catalogue import Format, format_of
from angulus.data.formats.features import open_features
from angulus.data.loading.contents import Recordings
from angulus.data.synthetic.passers import DrawnPassers
from angulus.data.synthetic.speech import DrawnSpeech
from angulus.data.views.sequences import Sequences
from angulus.data.views.speeds import AtSpeeds, at_own_speed
from angulus.errors import DataError
from angulus.inference.given_images import content_for
from angulus.models import InputSpec, Spec, SpeechInput
from angulus.training.datasets import (
    DATA,
    STORED,
    Data,
    DrawnReidData,
    DrawnSpeechData,
    FeaturesData,
    FolderData,
    Identities,
    KaldiData,
    Member,
    NoisyData,
    OmniglotData,
    StoredData,
    SyntheticData,
    UnionData,
)
from angulus.training.experiment import Experiment, HoldOut
from angulus.training.recipe.holding_out import check_comparable, fold_parts, hold_out_of, is_comparable, people_counted
from angulus.training.recipe.identity_rules import chosen, excluded, split
from angulus.training.recipe.set_unions import Mixture, by_set, mixture_of, split_apart, united

LOOKED_AT = 16  # recordings that tell how long all are


@dataclass(frozen=True)
class Sources:
    """train: what is learned.  held_out: identities never learned, None where all are learned.

    also: further sets to verify, by name.  hold_out: who is verified; never "auto".  folds: the people of `train` in
    parts, each verified by a model of its own, where hold_out is "folds".

    notes: what was kept and what was dropped and why, lines for the log.  mixture: how several sets share the batches,
    None where all images are shuffled as one set.
    """

    train: Source
    held_out: Source | None
    also: dict[str, Source]
    notes: tuple[str, ...]
    mixture: Mixture | None = None
    hold_out: HoldOut = "part"
    folds: tuple[Subset, ...] = ()


def open_sources(experiment: Experiment, spec: Spec) -> Sources:
    """Open every data set of an experiment at the size of the model's input, decoded as the recipe says.

    Raises DataError for missing or damaged data.
    """
    sources = found_sources(experiment, spec)
    held_out = None if sources.held_out is None else cached(sources.held_out, experiment)
    also = {name: cached(source, experiment) for name, source in sources.also.items()}
    if held_out is not None and sources.mixture is not None and sources.mixture.classes is not None:
        # an impostor pair across sets may be one person under two names, so that each set is verified alone as well
        found = by_set(held_out, sources.mixture.names)
        also |= {f"held-out of {name}": source for name, source in found.items() if is_comparable(source)}
    train = cached(sources.train, experiment)
    # people as they are: one of them at another speed must not be in another fold
    folds = fold_parts(at_own_speed(train), experiment) if sources.hold_out == "folds" else ()
    return replace(sources, train=train, held_out=held_out, also=also, folds=folds)


def found_sources(experiment: Experiment, spec: Spec) -> Sources:
    """The same without decoding anything."""
    whole = open_data(experiment.data, spec)
    how = hold_out_of(experiment, whole)
    train, held_out = learned_and_held_out(experiment, whole) if how == "part" else (subset(whole), None)
    if how == "folds":
        fold_parts(whole, experiment)  # now, rather than when models have been trained
    also = {name: open_evaluated(experiment, data, spec) for name, data in experiment.evaluation.also.items()}
    for name, source in also.items():
        check_comparable(source, f"the set evaluation.also.{name}")
    out = {"folds": "who are verified in folds", "nobody": "nobody held out"}
    without = out[how] if held_out is None else f"{people_counted(held_out)} held out"
    notes = [
        *account_of(whole).lines(),
        f"training on {people_counted(train)}, {without}",
        *(f"{name}: {people_counted(source)}" for name, source in also.items()),
    ]
    mixture = mixture_of(experiment.data, train) if isinstance(experiment.data, UnionData) else None
    learned = at_speeds(train, experiment)
    return Sources(train=learned, held_out=held_out, also=also, notes=tuple(notes), mixture=mixture, hold_out=how)


def at_speeds(train: Source, experiment: Experiment) -> Source:
    """What is trained on, at further speeds where the recipe names some. Raises DataError where these mean nothing."""
    speeds = experiment.train.speeds
    if not speeds:
        return train
    if noun_of(train) != "recording" or train.read(0).ndim != 1:
        raise DataError("train.speeds are for sound, and the data are not; leave train.speeds out")
    if isinstance(experiment.data, UnionData):
        raise DataError("train.speeds are for one data set; join the sets first, or leave train.speeds out")
    return AtSpeeds(source=train, speeds=speeds)


def learned_and_held_out(experiment: Experiment, whole: Source) -> tuple[Subset, Source]:
    """Who is trained on and who is verified, where a part of the people is held out."""
    rules = experiment.data.identities
    parts = parts_of(whole, experiment.data)
    learned = [parts[part] for part in dict.fromkeys(rules.train_on)]
    train = learned[0] if len(learned) == 1 else join_parts(whole, learned)
    held_out = limited(experiment, parts[rules.evaluate_on])
    check_comparable(held_out, f"the part {rules.evaluate_on} of {people_counted(whole)}", rules)
    return train, held_out


def open_data(data: Data, spec: Spec) -> Source:
    """One data set, or several as one, with its rules about identities applied, before it is split."""
    if isinstance(data, UnionData):
        return united(data, {name: open_member(name, member, spec) for name, member in data.sets.items()})
    return chosen(noisy(data, spec) if isinstance(data, NoisyData) else open_set(data, spec), data.identities)


def whole_set(data: Data, spec: Spec) -> Source:
    """A data set before any of its own rules about identities: what a list of edits is made for."""
    if isinstance(data, UnionData):
        rules = replace(data.identities, edits=(), min_images=1, max_images=None, exclude=(), exclude_from=None)
        return open_data(replace(data, identities=rules), spec)
    return noisy(data, spec) if isinstance(data, NoisyData) else open_set(data, spec)


def noisy(data: NoisyData, spec: Spec) -> Source:
    """A set with noise in the images of those identities that are trained on."""
    base, rules = open_data(data.base, spec), data.identities
    outside = None
    if data.outside is not None:
        outside = chosen_parts(open_data(data.outside, spec), data.outside.identities)
    out = frozenset(excluded(rules))
    trained = {name for name in chosen_parts(base, rules).identities if name not in out}
    return add_noise(base, data.noise(), outside=outside, among=trained)


def chosen_parts(source: Source, rules: Identities) -> Source:
    """The parts of a set that are trained on."""
    parts = split(source, rules, by_name=True)
    names = [name for part in rules.train_on for name in parts[part].identities]
    return subset(source, identities=names)


def open_member(name: str, data: Member, spec: Spec) -> Source:
    try:
        return open_set(data, spec)
    except DataError as error:
        raise DataError(f"data.sets.{name}: {error}") from error


def open_set(data: Member, spec: Spec) -> Source:
    """One data set as it is, as the model's input wants it. Raises DataError where the two are of unlike kinds."""
    if isinstance(data, FeaturesData):
        return stored_features(data, spec)
    if isinstance(data, DrawnSpeechData):
        return drawn_speech(data, spec)
    if isinstance(data, OmniglotData | SyntheticData | DrawnReidData):
        return drawings(data, spec)
    content = content_for(spec, getattr(data, "fit", None) or "proportional")
    if isinstance(data, KaldiData) and not isinstance(content, Recordings):
        raise DataError(f"{data.path} holds recordings, and the model takes {spec.describe()}")
    if content is None:
        raise DataError(f"{data.path} holds {what_it_holds(data)}, and the model takes {spec.describe()}")
    if isinstance(data, FolderData):
        return folders_of(data, content=content, on_unreadable=data.on_unreadable)
    if isinstance(data, StoredData):
        return open_source(data.path, kind=STORED[type(data)], content=content, on_unreadable=data.on_unreadable)
    if isinstance(data, KaldiData):
        return open_source(data.path, kind="kaldi", content=content, on_unreadable=data.on_unreadable)
    raise DataError(f"data must be one of {', '.join(DATA)}, got {type(data).__name__}")


def folders_of(data: FolderData, **how: Any) -> FolderSource:
    """A folder with one folder for each identity. Raises DataError that names the layout where it is another one."""
    try:
        return FolderSource.open(data.path, on_empty=data.on_empty, **how)
    except DataError:
        if (kind := layout_at(data.path)) in (None, "folder"):
            raise
        raise DataError(f"{data.path} is stored as {kind}, and data is a folder here; add data={kind}") from None


def layout_at(path: Path) -> Format | None:
    """The layout of what lies there, None where nobody knows."""
    try:
        return format_of(path)
    except DataError:
        return None


def drawings(data: OmniglotData | SyntheticData | DrawnReidData, spec: Spec) -> Source:
    """Characters, drawn faces or drawn people at the size of the model's input."""
    if not isinstance(spec, InputSpec):
        what = "characters are" if isinstance(data, OmniglotData) else "drawn faces and people are"
        raise DataError(f"{what} images, and the model takes {spec.describe()}; take data=drawn_speech")
    if isinstance(data, OmniglotData):
        return OmniglotSource.open(data.path, size=(spec.height, spec.width), invert=data.invert)
    if isinstance(data, DrawnReidData):
        return DrawnPassers(
            num_identities=data.num_identities,
            images_per_identity=data.images_per_identity,
            cameras=data.cameras,
            height=spec.height,
            width=spec.width,
            seed=data.seed,
            first_identity=data.first_identity,
            nuisance=data.nuisance,
        )
    return SyntheticFaces(
        num_identities=data.num_identities,
        images_per_identity=data.images_per_identity,
        height=spec.height,
        width=spec.width,
        seed=data.seed,
        first_identity=data.first_identity,
        nuisance=data.nuisance,
    )


def stored_features(data: FeaturesData, spec: Spec) -> Source:
    """Stored features for a network that takes such."""
    if not isinstance(spec, SpeechInput) or spec.content != "features":
        bands = open_features(data.path).values.shape[1]
        raise DataError(
            f"{data.path} holds stored features, and the model takes {spec.describe()}; set "
            f"model.input.content=features model.input.bands={bands}"
        )
    return open_features(data.path, spec.bands)


def drawn_speech(data: DrawnSpeechData, spec: Spec) -> Source:
    """Drawn speakers at the rate of the model's input."""
    if not isinstance(spec, SpeechInput) or spec.content != "waveform":
        raise DataError(f"drawn speech is sound, and the model takes {spec.describe()}")
    return DrawnSpeech(
        num_identities=data.num_identities,
        recordings_per_identity=data.recordings_per_identity,
        rate=spec.rate,
        seconds=data.seconds,
        seed=data.seed,
        first_identity=data.first_identity,
    )


def what_it_holds(data: Member) -> str:
    """images or recordings."""
    return f"{noun_of(first_set(data))}s"


def first_set(data: Data) -> Source:
    """A data set as it is stored; of several the first of them."""
    if isinstance(data, NoisyData):
        return first_set(data.base)
    if isinstance(data, UnionData):
        return first_set(next(iter(data.sets.values())))
    if isinstance(data, FolderData):
        return folders_of(data)
    if isinstance(data, FeaturesData):
        return open_features(data.path)
    if isinstance(data, StoredData):
        return open_source(data.path, kind=STORED[type(data)])
    if isinstance(data, KaldiData):
        return open_source(data.path, kind="kaldi")
    if isinstance(data, DrawnSpeechData):
        return drawn_speech(data, SpeechInput())
    return drawings(data, InputSpec(height=64, width=64))  # of any size


def image_shape(data: Data) -> tuple[int, int]:
    """Height and width of the first image of a data set; of several, of the first of them."""
    base = data.base if isinstance(data, NoisyData) else data
    base = next(iter(base.sets.values())) if isinstance(base, UnionData) else base
    if isinstance(base, OmniglotData | SyntheticData):
        return 1, 1  # drawings and drawn faces are square and come in any size
    if isinstance(base, DrawnReidData):
        return 2, 1  # a standing person
    height, width, _ = first_set(base).read(0).shape
    return height, width


def open_evaluated(experiment: Experiment, data: Data, spec: Spec) -> Source:
    """The part of a further data set that is verified."""
    whole = open_data(data, spec)
    return limited(experiment, parts_of(whole, data)[data.identities.evaluate_on])


def parts_of(whole: Source, data: Data) -> dict[str, Subset]:
    """The parts of a data set, without a common identity."""
    if isinstance(data, UnionData) and isinstance(whole, UnionSource):
        return split_apart(whole, data)
    return split(whole, data.identities, by_name=isinstance(data, NoisyData))


def limited(experiment: Experiment, source: Source) -> Source:
    """As many images of each identity as are verified."""
    limit = experiment.evaluation.max_images
    return source if limit is None else subset(source, max_images_per_identity=limit)


def cached(source: Source, experiment: Experiment) -> Source:
    """The same examples decoded once and kept in memory, as the recipe says."""
    if noun_of(source) == "recording":
        return cached_recordings(source, experiment)
    if not keeps_decoded(bytes_needed(source), experiment):
        return source
    return InMemory.load(source, most_bytes=memory_bytes())


def cached_recordings(source: Source, experiment: Experiment) -> Source:
    """Recordings decoded once; those that are in memory already as they are."""
    if isinstance(source, AtSpeeds):
        return replace(source, source=cached_recordings(source.source, experiment))
    root = source.source if isinstance(source, Subset) else source
    if isinstance(root, Sequences) or not keeps_decoded(recorded_bytes(source), experiment):
        return source
    return Sequences.load(source)


def recorded_bytes(source: Source) -> int:
    """Memory that all recordings of a source take, by a few of them."""
    some = np.unique(np.linspace(0, len(source) - 1, LOOKED_AT).astype(int))
    return len(source) * sum(source.read(int(row)).nbytes for row in some) // len(some)


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
