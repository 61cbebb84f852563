"""Where the stages of a run begin and end, counted in steps and epochs of the whole run, and their margins in steps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from angulus.data import Sampler
from angulus.errors import ConfigError
from angulus.margins import Margin, Schedule
from angulus.margins.schedules import Delayed
from angulus.plain_numbers import counted
from angulus.training.assembly import in_steps
from angulus.training.batch_order import sampler_of
from angulus.training.experiment import Experiment, FineTuning
from angulus.training.optimization import learning_rate
from angulus.training.recipe.data_sources import Sources


@dataclass(frozen=True, kw_only=True)
class Leg:
    """A stage of a run with its place in it. Steps and epochs count from the beginning of the run.

    number: from 1; the first is the recipe itself.
    experiment: the settings of the stage.
    tuning: how the network moves in it.
    margin: with every schedule counted in steps of the run.
    """

    number: int
    name: str
    experiment: Experiment
    tuning: FineTuning
    margin: Margin
    sampler: Sampler
    first_step: int = 0
    first_epoch: int = 0

    @property
    def epochs(self) -> int:
        return self.experiment.train.epochs or 1

    @property
    def epoch_steps(self) -> int:
        return self.sampler.batches_per_epoch

    @property
    def steps(self) -> int:
        return self.epoch_steps * self.epochs

    @property
    def end(self) -> int:
        return self.first_step + self.steps

    @property
    def end_epoch(self) -> int:
        return self.first_epoch + self.epochs

    def place(self, step: int) -> tuple[int, int]:
        """The epoch of a step, and how many steps of it were done before."""
        epochs, steps = divmod(step - self.first_step, self.epoch_steps)
        return self.first_epoch + epochs, steps

    def epochs_at(self, step: int) -> float:
        """How many epochs were done when so many steps were."""
        return self.first_epoch + (step - self.first_step) / self.epoch_steps

    @property
    def resting_end(self) -> int:
        """The step from which the network moves too."""
        return self.first_step + self.epoch_steps * (self.tuning.head_epochs or 0)

    def rate(self, step: int) -> float:
        """The learning rate at a step."""
        config, peak = self.experiment.learning_rate, self.experiment.optim.lr or 0.0
        return learning_rate(config, peak, step - self.first_step, self.epoch_steps, self.steps)

    def is_averaged(self, step: int) -> bool:
        """Whether the network after so many steps is one of those whose mean the stage ends with."""
        done, within = self.place(step)
        return within == 0 and self.end_epoch - done < self.experiment.train.average_last and done > self.first_epoch


def legs_of(experiment: Experiment, sources: Sources) -> tuple[Leg, ...]:
    """The stages of a run with nothing left open, one after the other."""
    names = ["first", *(stage.name for stage in experiment.stages)]
    tunings = [experiment.fine_tuning]
    for stage in experiment.stages:
        tunings.append(stage.tuning(tunings[-1]))
    legs: list[Leg] = []
    for number, (name, settings, tuning) in enumerate(zip(names, experiment.in_stages(), tunings, strict=True), 1):
        sampler = sampler_of(settings, sources)
        leg = Leg(
            number=number,
            name=name,
            experiment=settings,
            tuning=tuning,
            margin=settings.margin or Margin(),
            sampler=sampler,
            first_step=legs[-1].end if legs else 0,
            first_epoch=legs[-1].end_epoch if legs else 0,
        )
        margin = in_steps(leg.margin, leg.epoch_steps, leg.steps)
        legs.append(replace(leg, margin=gone_on(margin, leg, legs[-1]) if legs else margin))
    return tuple(legs)


def gone_on(margin: Margin, leg: Leg, before: Leg) -> Margin:
    """The margin of a later stage: a schedule that it takes over stays at its last value, others begin with the stage.

    margin: counted in steps of the stage.
    """
    asked, asked_before = leg.experiment.margin, before.experiment.margin
    changed: dict[str, Any] = {}
    for name, value in vars(margin).items():
        if not isinstance(value, Schedule):
            continue
        if type(asked) is type(asked_before) and getattr(asked, name) == getattr(asked_before, name):
            last = getattr(before.margin, name)
            changed[name] = last.at(before.end) if isinstance(last, Schedule) else last
        else:
            changed[name] = Delayed(schedule=value, by=leg.first_step)
    return replace(margin, **changed) if changed else margin


def leg_at(legs: Sequence[Leg], step: int) -> Leg:
    """The stage to which a checkpoint of a step belongs: where one ends and another begins, to the one that ends."""
    return next((leg for leg in legs if step <= leg.end), legs[-1])


def told(legs: Sequence[Leg]) -> list[str]:
    """The stages in words, one line each; nothing where there is one."""
    if len(legs) == 1:
        return []
    steps = [f"{counted(leg.epochs, 'epoch')} of {counted(leg.epoch_steps, 'step')}" for leg in legs]
    lines = [f"{leg.number}. {leg.name}: {some}" for leg, some in zip(legs, steps, strict=True)]
    return [f"{line}{changes_in_words(leg, legs[leg.number - 2])}" for line, leg in zip(lines, legs, strict=True)]


def changes_in_words(leg: Leg, before: Leg) -> str:
    """What a stage changes: ", margin, optim.lr 0.0001"."""
    if leg.number == 1:
        return ""
    now, then = leg.experiment, before.experiment
    pairs = [
        ("margin", now.margin, then.margin),
        ("head.strategy", now.head.strategy, then.head.strategy),
        ("head.filter_above", now.head.filter_above, then.head.filter_above),
        ("optim.lr", now.optim.lr, then.optim.lr),
        ("learning_rate", now.learning_rate, then.learning_rate),
        ("augment", now.augment, then.augment),
        ("train.batch_size", now.train.batch_size, then.train.batch_size),
        ("train.frames", now.train.frames, then.train.frames),
        ("train.sampling", now.train.sampling, then.train.sampling),
        ("fine_tuning", leg.tuning, before.tuning),
    ]
    changed = [f"{name}{short(value)}" for name, value, old in pairs if value != old]
    return f", with other {', '.join(changed)}" if changed else ", as before"


def short(value: Any) -> str:
    return f" {value}" if isinstance(value, int | float | tuple) else ""


def check_kinds(legs: Sequence[Leg]) -> None:
    """Raise ConfigError where a stage would change examples of another kind than the run has."""
    for leg in legs[1:]:
        if type(leg.experiment.augment) is not type(legs[0].experiment.augment):
            raise ConfigError(
                f"stages[{leg.number - 2}].augment must be of the kind of the recipe's augment, "
                f"{type(legs[0].experiment.augment).__name__}, got {type(leg.experiment.augment).__name__}"
            )
