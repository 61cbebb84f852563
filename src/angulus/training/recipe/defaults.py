"""What a recipe leaves open, filled from the data and the device by the rules of `rules` and `margin_rules`.

Every one can be overridden in the recipe.
"""

import math
from dataclasses import replace

import numpy as np
import torch

from angulus.data.examples import noun_of
from angulus.data.loading.augmentation import Augment
from angulus.data.order.recipe_records import PK
from angulus.errors import ConfigError
from angulus.margins import Softmax
from angulus.models import InputSpec, IResNet18, ModelConfig, SpeechInput, TinyNet, TinySpeech
from angulus.speech.augmentation import SpeechAugment
from angulus.training.datasets import Data, Identities, Member, NoisyData, OmniglotData, UnionData
from angulus.training.experiment import SGD, Experiment, Training
from angulus.training.recipe.choices import Choice, Value
from angulus.training.recipe.data_sources import LOOKED_AT, first_set, image_shape, open_data
from angulus.training.recipe.first_weights import network_in
from angulus.training.recipe.holding_out import fold_shares
from angulus.training.recipe.identity_rules import FEWEST
from angulus.training.recipe.margin_rules import with_margin
from angulus.training.recipe.rules import Rules
from angulus.training.recipe.stages import filled_stages


def choose_device(name: str) -> torch.device:
    """ "auto" is the first CUDA device where there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device {name} was asked for, but no CUDA device is here; set device=cpu or device=auto")
    return device


def choose_for_speech(data: Data) -> ModelConfig:
    """A small network for speech: for sound at the usual rate, or for as many stored bands as there are."""
    first = first_set(data).read(0)
    if first.ndim == 1:
        return TinySpeech()
    is_bytes = first.dtype.kind == "u"
    spec = SpeechInput(
        content="features", bands=first.shape[1], offset=128.0 * is_bytes, scale=0.5 if is_bytes else 1.0
    )
    return TinySpeech(input=spec)


def choose_model(device: torch.device, image: tuple[int, int]) -> ModelConfig:
    """A network that the device can train in reasonable time, for images of this shape (height, width).

    TinyNet with sides of 64 on a CPU, IResNet-18 with 112 on a GPU; the shorter side follows the images.
    """
    longest = 112 if device.type == "cuda" else 64
    height, width = (max(16, round(longest * side / max(image))) for side in image)
    spec = InputSpec(height=height, width=width)
    return IResNet18(input=spec) if device.type == "cuda" else TinyNet(input=spec)


def with_model(experiment: Experiment, device: torch.device) -> Experiment:
    """The experiment with its model chosen, which must happen before the data is opened at the model's size.

    Where `init` names weights, it is their network.
    """
    if experiment.model is not None:
        return with_views(experiment)
    if experiment.init is not None:
        return with_views(replace(experiment, model=network_in(experiment.init)))
    if noun_of(first_set(experiment.data)) == "recording":
        return with_views(replace(experiment, model=choose_for_speech(experiment.data)))
    return with_views(replace(experiment, model=choose_model(device, image_shape(experiment.data))))


def with_views(experiment: Experiment) -> Experiment:
    """The experiment with the view by which it is verified. Raises ConfigError for mirror images of speech."""
    is_speech = experiment.model is not None and isinstance(experiment.model.input, SpeechInput)
    views = experiment.evaluation.views
    if is_speech and views not in (None, "plain"):
        raise ConfigError(f"evaluation.views must be plain for speech, which has no mirror image, got {views}")
    wanted = views or ("plain" if is_speech else "sum")
    return replace(experiment, evaluation=replace(experiment.evaluation, views=wanted))


def filled(
    experiment: Experiment,
    num_images: int,
    num_classes: int,
    device: torch.device,
    *,
    processes: int = 1,
    model_is_open: bool = False,
) -> Experiment:
    """The experiment with nothing left open; see `with_choices`."""
    more = {"processes": processes, "model_is_open": model_is_open}
    return with_choices(experiment, num_images, num_classes, device, **more)[0]


def with_choices(
    experiment: Experiment,
    num_images: int,
    num_classes: int,
    device: torch.device,
    *,
    processes: int = 1,
    model_is_open: bool = False,
    head_classes: int | None = None,
) -> tuple[Experiment, tuple[Choice, ...]]:
    """The experiment with nothing left open, and what was chosen and why, in the order in which a person asks.

    processes: that share a batch.  model_is_open: the network was chosen, so that its dropout may be too.
    head_classes: of the largest head, where every set has its own.
    """
    rules = Rules(
        images=num_images,
        classes=num_classes,
        on_gpu=device.type == "cuda",
        is_small=isinstance(experiment.model, TinyNet | TinySpeech),
        is_tuned=experiment.init is not None,
        noun=experiment.noun,
    )
    choices: list[Choice] = []

    def take(choice: Choice[Value]) -> Value:
        choices.append(choice)
        return choice.value

    model, train, optim, rate = experiment.model, experiment.train, experiment.optim, experiment.learning_rate
    if model_is_open and isinstance(model, TinyNet | TinySpeech):
        model = replace(model, dropout=take(rules.dropout()))
    margin, of_margin = with_margin(experiment.margin, head_classes or num_classes, is_gentle=rules.is_deep)
    choices += of_margin
    if train.batch_size is None:
        least, most = least_of(train, processes), most_of(experiment, num_classes)
        train = replace(train, batch_size=take(rules.batch(multiple_of(train), least, most)))
    if train.epochs is None:
        train = replace(train, epochs=take(rules.epochs(train.batch, train.average_last)))
    is_sgd, is_plain = isinstance(optim, SGD), isinstance(margin, Softmax)
    if optim.lr is None:
        optim = replace(
            optim,
            lr=take(
                rules.rate(
                    train.batch,
                    train.epochs or 1,
                    is_sgd=is_sgd,
                    is_plain=is_plain,
                    at_means=bool(experiment.head.from_data),
                )
            ),
        )
    if rate.warmup_epochs is None:
        rate = replace(rate, warmup_epochs=take(rules.warmup(train.epochs or 1)))
    if optim.weight_decay is None:
        optim = replace(optim, weight_decay=take(rules.decay(is_sgd=is_sgd, is_plain=is_plain)))
    if isinstance(getattr(model, "input", None), SpeechInput) and train.frames is None:
        train = replace(train, frames=take(rules.frames(usual_frames(experiment))))
    augment = experiment.augment
    if augment is None:
        augment = take(augment_of(experiment, rules))
    changed = replace(
        experiment,
        data=with_fewest(experiment.data),
        model=model,
        train=train,
        optim=optim,
        learning_rate=rate,
        margin=margin,
        augment=augment,
    )
    if changed.stages:
        changed = replace(changed, stages=filled_stages(changed, head_classes or num_classes, is_gentle=rules.is_deep))
    return changed, tuple(choices)


def augment_of(experiment: Experiment, rules: Rules) -> Choice[Augment | SpeechAugment]:
    """The random changes that suit the examples."""
    spec = None if experiment.model is None else experiment.model.input
    if isinstance(spec, SpeechInput):
        return rules.speech_augment(is_sound=spec.content == "waveform")
    return rules.augment(has_characters=has_characters(experiment.data))


def usual_frames(experiment: Experiment) -> int:
    """Frames of the recording in the middle, by a few of them."""
    assert experiment.model is not None
    spec = experiment.model.input
    assert isinstance(spec, SpeechInput)
    source = open_data(experiment.data, spec)
    some = np.unique(np.linspace(0, len(source) - 1, LOOKED_AT).astype(int))
    lengths = sorted(len(source.read(int(row))) for row in some)
    middle = lengths[len(lengths) // 2]
    return max(1, middle if spec.content == "features" else spec.bank.frames_of(middle))


def multiple_of(train: Training) -> int:
    """What a batch must be a multiple of."""
    images = train.sampling.images if isinstance(train.sampling, PK) else 1
    return math.lcm(train.accumulate, images)


def least_of(train: Training, processes: int) -> int:
    """What a batch must have at the least: two examples for every pass of every process, as batch norm needs."""
    return 2 * processes * train.accumulate


def most_of(experiment: Experiment, people: int) -> int | None:
    """What a batch of P x K may have at the most: images of everybody, in the smallest fold where people are in folds.

    None for other batches.
    """
    sampling = experiment.train.sampling
    if not isinstance(sampling, PK):
        return None
    if experiment.evaluation.hold_out == "folds":
        people -= math.ceil(people / len(fold_shares(experiment, people)))
    return sampling.images * people


def with_fewest(data: Data) -> Data:
    """The data with min_images filled in: 2, and 1 for a set in a union, whose own rule comes after it."""
    if isinstance(data, NoisyData):
        return replace(data, identities=rules_with(data.identities, FEWEST))
    if not isinstance(data, UnionData):
        return member_with(data, FEWEST)
    sets = {name: member_with(member, 1) for name, member in data.sets.items()}
    return replace(data, sets=sets, identities=rules_with(data.identities, FEWEST))


def member_with(data: Member, fewest: int) -> Member:
    return replace(data, identities=rules_with(data.identities, fewest))


def rules_with(rules: Identities, fewest: int) -> Identities:
    return rules if rules.min_images is not None else replace(rules, min_images=fewest)


def plain_augment(experiment: Experiment) -> Augment:
    """The augmentation of images in the recipe, without mirror images where they are other identities (characters)."""
    augment = experiment.augment or Augment()
    if not isinstance(augment, Augment):
        raise ConfigError("augment is for speech, and the model takes images; leave augment.name out")
    return replace(augment, flip=0.0) if has_characters(experiment.data) else augment


def has_characters(data: Data) -> bool:
    data = data.base if isinstance(data, NoisyData) else data
    sets = data.sets.values() if isinstance(data, UnionData) else (data,)
    return any(isinstance(one, OmniglotData) for one in sets)
