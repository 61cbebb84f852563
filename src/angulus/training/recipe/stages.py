"""The stages of a recipe with nothing left open: each as it comes out of its changes and the stage before it."""

from dataclasses import replace

from angulus.training.experiment import Experiment, Stage, StageOptim
from angulus.training.recipe.margin_rules import with_margin


def filled_stages(experiment: Experiment, num_classes: int, *, is_gentle: bool = False) -> tuple[Stage, ...]:
    """The stages of an experiment that leaves nothing else open.

    What a stage does not say of strategy, filter and sampling stays open: it is as in the stage before.

    is_gentle: as `with_margin` takes it.
    """
    found: list[Stage] = []
    before, tuning = replace(experiment, stages=()), experiment.fine_tuning
    for stage in experiment.stages:
        now = stage.after(before)
        now = replace(now, margin=with_margin(now.margin, num_classes, is_gentle=is_gentle)[0])
        tuning = stage.tuning(tuning)
        train = replace(
            stage.train,
            batch_size=now.train.batch_size,
            frames=now.train.frames,
            average_last=now.train.average_last,
        )
        found.append(
            replace(
                stage,
                margin=now.margin,
                optim=StageOptim(lr=now.optim.lr),
                learning_rate=now.learning_rate,
                augment=now.augment,
                train=train,
                fine_tuning=tuning,
            )
        )
        before = now
    return tuple(found)
