"""What a recipe comes to before any step: everything that it leaves open, chosen from its data as a run would."""

from dataclasses import replace

from angulus.devices.launched import processes_launched
from angulus.errors import ConfigError
from angulus.training.assembly import run_folder
from angulus.training.experiment import Experiment
from angulus.training.plan.assumptions import Pretended, chosen_model
from angulus.training.recipe.choices import Choice
from angulus.training.recipe.data_sources import found_sources
from angulus.training.recipe.defaults import choose_device, with_choices
from angulus.training.recipe.fine_tuning import with_fine_tuning
from angulus.training.recipe.reasons import reasons
from angulus.training.recipe.set_unions import largest_head


def filled_recipe(experiment: Experiment) -> tuple[Experiment, tuple[Choice, ...]]:
    """The recipe with nothing left open that the data decides, and why. Nothing is decoded and nothing is written.

    What the machine decides when a run begins (precision, layout, threads) stays `auto`. Raises DataError where the
    data is missing or cannot be trained on.
    """
    device = choose_device(experiment.device)
    known = chosen_model(experiment, device, Pretended())
    if known.model is None:
        raise ConfigError("model must be chosen before the data is opened at its size")
    sources = found_sources(known, known.model.input)
    known = replace(known, evaluation=replace(known.evaluation, hold_out=sources.hold_out))
    images, classes = len(sources.train), len(sources.train.identities)
    is_open = experiment.model is None and experiment.init is None
    known, for_tuning = with_fine_tuning(known, images, device)
    heads = largest_head(sources.mixture)
    more = {"processes": processes_launched(), "model_is_open": is_open, "head_classes": heads}
    known, by_rules = with_choices(known, images, classes, device, **more)
    return replace(known, out=run_folder(known)), reasons(experiment, known, (*for_tuning, *by_rules), classes)
