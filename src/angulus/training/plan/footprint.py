"""What a network takes while it is trained: weights, gradient, optimizer state and what forward keeps for backward."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from angulus.errors import ConfigError
from angulus.heads.memory_forecast import update_copies
from angulus.heads.strategies.updates import RowRule
from angulus.models import EmbeddingModel
from angulus.training.experiment import Experiment
from angulus.training.optimization import row_rule
from angulus.training.recipe.data_sources import Sources, keeps_decoded
from angulus.training.step import laid_out

SMALL_BATCHES = (2, 4)


@dataclass(frozen=True, kw_only=True)
class BackboneMemory:
    """Bytes of one process.

    weights: parameters and buffers.  moving: what comes and goes in the optimizer's step.
    activations_fixed, activations_each: what forward keeps, whatever the batch, and for each image.
    """

    weights: int
    gradient: int
    optimizer_state: int
    moving: int
    activations_fixed: int
    activations_each: int

    def activations(self, examples: int) -> int:
        return self.activations_fixed + examples * self.activations_each

    @property
    def lasting(self) -> int:
        """What lives between steps."""
        return self.weights + self.optimizer_state


def backbone_memory(model: EmbeddingModel, experiment: Experiment, device: torch.device) -> BackboneMemory:
    """The memory of a network, which looks at two and at four blank images where it is and stays as it was."""
    fixed, each = activation_bytes(model, half=experiment.train.precision == "bfloat16")
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    gradient = sum(sizes := [parameter.nbytes for parameter in trained])
    rule = row_rule(experiment.optim)
    on_cuda = device.type == "cuda"
    together = gradient if on_cuda else max(sizes, default=0)
    return BackboneMemory(
        weights=weight_bytes(model),
        gradient=gradient,
        optimizer_state=round(state_of(rule) * gradient),
        moving=update_copies(rule, on_cuda=on_cuda) * together,
        activations_fixed=fixed,
        activations_each=each,
    )


def built_aside(experiment: Experiment) -> EmbeddingModel:
    """A network of the experiment's kind; the random numbers of the run stay as they were."""
    if experiment.model is None:
        raise ConfigError("model must be chosen before it is measured")
    with torch.random.fork_rng([]):
        return experiment.model.build()


def weight_bytes(model: EmbeddingModel) -> int:
    """Bytes of parameters and buffers."""
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))


def state_of(rule: RowRule) -> float:
    """Numbers that an optimizer keeps for each weight."""
    return float(sum(value.numel() for value in rule.initial(torch.empty(1, 1, device="meta")).values()))


def activation_bytes(model: EmbeddingModel, *, half: bool) -> tuple[int, int]:
    """Bytes that a forward pass keeps for the backward pass: a fixed part, and more for each image."""
    few, more = SMALL_BATCHES
    least, most = (kept_bytes(model, count, half=half) for count in SMALL_BATCHES)
    each = max(0, round((most - least) / (more - few)))
    return max(0, least - few * each), each


def kept_bytes(model: EmbeddingModel, examples: int, *, half: bool) -> int:
    """Bytes of the tensors that a forward pass in training mode keeps, those of the network left out."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, Tensor] = {}  # held, so that no address is used twice

    def keep(tensor: Tensor) -> Tensor:
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with unchanged(model), torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward(model.train(), examples, half=half)
    return sum(tensor.untyped_storage().nbytes() for address, tensor in kept.items() if address not in own)


def forward(model: EmbeddingModel, examples: int, *, half: bool) -> Tensor:
    """The embeddings of blank images, as a training step computes them."""
    device = next(model.parameters()).device
    images = laid_out(torch.zeros(examples, *model.input.shape, device=device), "channels_last")
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        return model(images)


@contextmanager
def unchanged(model: EmbeddingModel) -> Generator[None, None, None]:
    """Whatever the block does with a network: its buffers and modes, and the random numbers, stay as they were."""
    device = next(model.parameters()).device
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        for module, training in modes.items():
            module.training = training
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                buffer.copy_(buffers[name])


def data_bytes(sources: Sources, experiment: Experiment, image: tuple[int, ...]) -> int:
    """Bytes of the decoded images that stay in memory. image: the shape of one."""
    each = torch.Size(image).numel()
    held_out = () if sources.held_out is None else (sources.held_out,)
    sizes = [each * len(source) for source in (sources.train, *held_out, *sources.also.values())]
    return sum(size for size in sizes if keeps_decoded(size, experiment))
