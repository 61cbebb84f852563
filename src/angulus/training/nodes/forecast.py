"""A recipe on a cluster that is not here: the model of a step, filled with the recipe's own sizes."""

from dataclasses import replace
from math import ceil

import torch

from angulus.errors import ConfigError
from angulus.training.experiment import Experiment
from angulus.training.nodes.hardware import BETWEEN, GB, H200, Cluster
from angulus.training.nodes.step_model import Load, StepForecast, step_of
from angulus.training.plan.assumptions import Pretended, chosen_model
from angulus.training.plan.footprint import activation_bytes, built_aside

USUAL = 128
"""Images of one GPU where the recipe leaves its batch open."""


def cluster_of(nodes: int, gpus: int, link: str, gbits: float | None) -> Cluster:
    """gbits: of each GPU, one way, instead of what the link usually has."""
    between = BETWEEN[link]
    if gbits is not None:
        between = replace(between, name=f"{link}, {gbits:g} Gbit/s a GPU", rate=gbits / 8 * GB)
    return Cluster(nodes=nodes, gpus=gpus, between=between)


def on_cluster(experiment: Experiment, classes: int, cluster: Cluster) -> StepForecast:
    """A step of a recipe with a sharded head. The time of an image is that of IResNet-50: no other one was measured.

    Raises ConfigError where the recipe has fewer images in a batch than there are GPUs.
    """
    device = torch.device("cpu")
    experiment = chosen_model(experiment, device, Pretended(classes=classes, images=classes))
    model = built_aside(experiment)
    batch = experiment.train.batch_size
    if batch is not None and batch < cluster.world:
        raise ConfigError(
            f"train.batch_size must be at least one image for each of {cluster.world} GPUs, got {batch}; it is that of "
            f"all processes together: set train.batch_size={USUAL * cluster.world} for {USUAL} each"
        )
    load = Load(
        images=USUAL if batch is None else ceil(batch / cluster.world),
        dim=model.embedding_dim,
        classes=classes,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        each=activation_bytes(model, half=True)[1],
    )
    return step_of(load, cluster, H200)
