"""From an experiment to the things of a run: its network, its margin counted in steps, its folder."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from angulus.data import Source
from angulus.data.loading.chunks import Chunks, repeated
from angulus.data.parts import read_part
from angulus.data.views.speeds import at_own_speed
from angulus.errors import ConfigError, DataError
from angulus.heads import MarginHead, SeparateHeads, ShardedHead
from angulus.heads.sharding.sharded import draw_blocks, seed_of_blocks
from angulus.margins import Margin, PerClass, Schedule
from angulus.models import EmbeddingModel, InputSpec, ModelConfig
from angulus.speech.augmentation import SpeechAugment
from angulus.speech.background.material import Bank
from angulus.training.changes import Changes, ImageChanges, SpeechChanges
from angulus.training.distributed import Processes
from angulus.training.experiment import Experiment
from angulus.training.optimization import row_rule
from angulus.training.recipe.defaults import plain_augment
from angulus.training.recipe.first_weights import first_network
from angulus.training.recipe.margin_rules import with_margin
from angulus.training.recipe.serialization import record
from angulus.training.recipe.set_unions import Mixture

log = logging.getLogger(__name__)

VOICES, VOICE_SECONDS = 64, 4.0  # of the people who are trained on, for the background of others


def network_of(experiment: Experiment) -> ModelConfig:
    """What the network of an experiment is built from, once it is chosen."""
    if experiment.model is None:
        raise ConfigError("model must be chosen before it is built")
    return experiment.model


def build_model(experiment: Experiment) -> tuple[EmbeddingModel, ModelConfig]:
    """The network of an experiment with fresh weights, or with those of `init`."""
    config = network_of(experiment)
    if experiment.init is None:
        return config.build(), config
    return first_network(config, experiment.init), config


def build_head(
    experiment: Experiment, embedding_dim: int, num_classes: int, margin: Margin, group: Processes
) -> MarginHead:
    """The head of an experiment: a `ShardedHead` where it is to be divided and there are several processes.

    margin: with its schedules counted in steps. The first class weights of a head that is to be divided do not depend
    on the number of processes.
    """
    config = experiment.head
    update = row_rule(experiment.optim) if config.update_in_backward else None
    sizes = (embedding_dim, num_classes, margin, config.subcenters, config.strategy, update)
    others = (config.filter_above, config.label_smoothing)
    try:
        if not config.sharded:
            return MarginHead(*sizes, group.group, *others)
        if group.group is not None:
            return ShardedHead(
                *sizes,
                process_group=group.group,
                data_parallel=True,
                filter_above=config.filter_above,
                label_smoothing=config.label_smoothing,
            )
        log.info("head.sharded: there is one process, which holds all classes; start several with torchrun")
        seed = seed_of_blocks()
        head = MarginHead(*sizes, None, *others)
        draw_blocks(head, seed)
        return head
    except ValueError as error:
        raise ConfigError(f"the head cannot be built: {error}") from error


def build_heads(
    experiment: Experiment, embedding_dim: int, mixture: Mixture, margin: Margin, group: Processes
) -> SeparateHeads:
    """A head for each set of a union. The first class weights of one depend neither on the others nor on processes."""
    assert mixture.classes is not None
    seeds = [seed_of_blocks() for _ in mixture.names]
    heads: dict[str, MarginHead] = {}
    for name, classes, seed in zip(mixture.names, mixture.classes, seeds, strict=True):
        own = of_classes(margin, classes, mixture.classes[-1].stop)
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            heads[name] = build_head(experiment, embedding_dim, len(classes), own, group)
    return SeparateHeads(heads, mixture.loss_weights)


def of_classes(margin: Margin, classes: range, total: int) -> Margin:
    """The margin for some of all classes: values per class are those of its own."""
    changed: dict[str, Any] = {}
    for name, value in vars(margin).items():
        if isinstance(value, PerClass):
            if len(value.values) != total:
                raise ConfigError(
                    f"margin.{name} must have a value for each of {total} classes, got {len(value.values)}"
                )
            changed[name] = PerClass(value.values[classes.start : classes.stop])
    return replace(margin, **changed) if changed else margin


def changes_of(experiment: Experiment, bank: Bank | None, model: EmbeddingModel) -> Changes:
    """The random changes of a stage.  bank: what speech gets as a background.

    Raises ConfigError for changes of examples of another kind.
    """
    if isinstance(model.input, InputSpec):
        return ImageChanges(augment=plain_augment(experiment))
    is_sound = model.input.content == "waveform"
    return SpeechChanges(
        augment=speech_augment(experiment),
        bank=bank if is_sound else None,
        rate=model.input.rate if is_sound else None,
    )


def speech_augment(experiment: Experiment) -> SpeechAugment:
    """The augmentation of speech in a recipe. Raises ConfigError for that of images."""
    augment = experiment.augment or SpeechAugment.off()
    if not isinstance(augment, SpeechAugment):
        raise ConfigError("augment is for images, and the model takes speech: set augment.name=speech")
    return augment


def bank_of(stages: Sequence[Experiment], train: Source, model: EmbeddingModel, device: torch.device) -> Bank | None:
    """Noises, rooms and chunks of the voices that are trained on; None where no stage of a run uses any of it.

    Noises and rooms are drawn, or read from the folders that the stages name. Raises ConfigError for two folders of one
    kind and for folders that nothing uses, DataError for one without sounds or with a file that cannot be read.
    """
    spec = model.input
    if isinstance(spec, InputSpec):
        return None
    augments = [speech_augment(stage) for stage in stages]
    noises, rooms = (_named_folder(name, [getattr(one, name) for one in augments]) for name in ("noises", "rooms"))
    if spec.content == "features":
        if named := noises or rooms:
            raise ConfigError(f"augment.noises and augment.rooms are for waveforms, got {named} for stored features")
        return None
    if not any(augment.needs_bank for augment in augments):
        return None
    seed, source = stages[0].seed, at_own_speed(train)
    read = Bank.read(noises, rooms, spec.rate, seed=seed)
    voices = read.voices if len(read.voices) else _voices(source, seed, spec.rate)
    kept = {**({"noises": 0} if noises else {}), **({"responses": 0} if rooms else {})}
    drawn = Bank.drawn(seed, spec.rate, voices=voices, **kept)
    has_noises = len(read.noises) > 0
    if noises and not has_noises and any(augment.noise > 0 for augment in augments):
        raise DataError(f"{noises} must hold noises or music, got speech alone: set augment.noise=0")
    if noises and not len(read.voices) and not any(augment.noise > 0 for augment in augments):
        raise DataError(f"{noises} must hold a folder speech for babble, got none: set augment.noise above 0")
    return Bank(
        **{"rate": spec.rate, "voices": voices, "noises": read.noises if has_noises else drawn.noises},
        **{"responses": read.responses if rooms else drawn.responses, "music": read.music, "told": read.told},
    ).to(device)


def _named_folder(name: str, named: Sequence[Path | None]) -> Path | None:
    """The folder that stages name, or None. Raises ConfigError where they name several."""
    found = sorted({folder for folder in named if folder is not None})
    if len(found) > 1:
        raise ConfigError(f"augment.{name} must be one folder in all stages, got {' and '.join(map(str, found))}")
    return found[0] if found else None


def _voices(source: Source, seed: int, rate: int) -> torch.Tensor:
    """Chunks of recordings that are trained on, int16 [n, samples]."""
    rows = np.random.default_rng([seed, 2]).choice(len(source), size=min(VOICES, len(source)), replace=False)
    length = int(VOICE_SECONDS * rate)
    pieces = [repeated(read_part(source, row, 0.5, length), length, source.keys, row) for row in rows.tolist()]
    return torch.from_numpy(np.stack(pieces))


def chunks_of(experiment: Experiment, model: EmbeddingModel) -> Chunks | None:
    """How recordings are cut; None for images."""
    if isinstance(model.input, InputSpec):
        return None
    if experiment.train.frames is None:
        raise ConfigError("train.frames must be chosen before recordings are cut")
    return Chunks(frames=experiment.train.frames, length_of=model.input.length_of, seed=experiment.seed)


def run_folder(experiment: Experiment) -> Path:
    """Where a run is kept: `out`, or a name made of data and margin under runs/."""
    if experiment.out is not None:
        return experiment.out
    data, margin = record(experiment.data)["name"], record(experiment.margin)["name"]
    return Path("runs") / f"{data}_{margin}_{experiment.seed}"


def begun_folder(experiment: Experiment) -> Path:
    """The same for a recipe that leaves its loss open."""
    return run_folder(replace(experiment, margin=with_margin(experiment.margin, 2)[0]))


def in_steps(margin: Margin, epoch: int, run: int) -> Margin:
    """The margin with every schedule counted in steps."""
    schedules = {name: value for name, value in vars(margin).items() if isinstance(value, Schedule)}
    changed: dict[str, Any] = {name: schedule.in_steps(epoch, run) for name, schedule in schedules.items()}
    return replace(margin, **changed) if changed else margin
