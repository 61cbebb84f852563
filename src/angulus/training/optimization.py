"""Optimizers and learning rates: which parameter decays, and how the rate moves with the step.

An optimizer moves all parameters in one pass over their memory ("fused" in torch) where it can; a checkpoint of either
form goes on in the other.
"""

import math
from typing import Any

import torch
from torch import nn

from angulus.heads import MarginHead, RowAdamW, RowSGD
from angulus.heads.strategies.updates import RowRule
from angulus.training.experiment import SGD, AdamW, FineTuning, LearningRate


def parameter_groups(
    backbone: nn.Module, head: nn.Module, decay: float, decay_all: bool, backbone_rate: float | None = None
) -> list[dict[str, Any]]:
    """Two groups, with and without weight decay; four where the backbone has a rate or a beginning of its own.

    Without: everything with fewer than two dimensions (biases, norms, PReLU slopes, learned scales), unless
    decay_all; the class weights do decay, since it bounds their growth.
    backbone_rate: factor of the backbone's learning rate, in its groups as "rate"; None keeps it with the head.
    """
    if backbone_rate is not None:
        slow = parameter_groups(backbone, nn.Identity(), decay, decay_all)
        fast = parameter_groups(nn.Identity(), head, decay, decay_all)
        groups = [*({**group, "rate": backbone_rate} for group in slow), *({**group, "rate": 1.0} for group in fast)]
        return [group for group in groups if group["params"]]
    heads = [module for module in head.modules() if isinstance(module, MarginHead)]
    moved_elsewhere = {id(one.weight) for one in heads if one.update is not None}
    parameters = [*backbone.parameters(), *head.parameters()]
    trained = [
        parameter for parameter in parameters if parameter.requires_grad and id(parameter) not in moved_elsewhere
    ]
    shrinking = [parameter for parameter in trained if decay_all or parameter.ndim >= 2]
    kept = {id(parameter) for parameter in shrinking}
    free = [parameter for parameter in trained if id(parameter) not in kept]
    groups: list[dict[str, Any]] = [{"params": shrinking, "weight_decay": decay}]
    return [*groups, {"params": free, "weight_decay": 0.0}] if free else groups


def decay_of(config: SGD | AdamW) -> float:
    """The weight decay, the usual one where none is chosen."""
    return (5e-4 if isinstance(config, SGD) else 0.05) if config.weight_decay is None else config.weight_decay


def row_rule(config: SGD | AdamW) -> RowRule:
    """The rule that does inside the backward pass what the optimizer of a recipe would do to the class weights."""
    decay = decay_of(config)
    if isinstance(config, SGD):
        return RowSGD(momentum=config.momentum, weight_decay=decay, nesterov=config.nesterov)
    return RowAdamW(betas=config.betas, eps=config.eps, weight_decay=decay)


def build_optimizer(
    config: SGD | AdamW, backbone: nn.Module, head: nn.Module, tuning: FineTuning | None = None
) -> torch.optim.Optimizer:
    """The optimizer of a recipe over backbone and head. tuning: how the backbone's rate and beginning differ."""
    backbone_rate = None if tuning is None else separate_rate(tuning)
    groups = parameter_groups(backbone, head, decay_of(config), config.decay_all, backbone_rate)
    lr = 0.0 if config.lr is None else config.lr
    together = True if can_be_fused(backbone, head) else None
    if isinstance(config, SGD):
        moving: torch.optim.Optimizer = torch.optim.SGD(
            groups, lr=lr, momentum=config.momentum, nesterov=config.nesterov, fused=together
        )
    else:
        moving = torch.optim.AdamW(groups, lr=lr, betas=config.betas, eps=config.eps, fused=together)
    moving.register_load_state_dict_pre_hook(in_the_form_of)
    return moving


def separate_rate(tuning: FineTuning) -> float | None:
    """The factor for a backbone that needs groups of its own, None where it moves as the head does.

    One that rests at first does too: torch moves a group in one pass where all or none of it has moved before.
    """
    rate = 1.0 if tuning.backbone_rate is None else tuning.backbone_rate
    return None if rate == 1.0 and not tuning.head_epochs else rate


def can_be_fused(*modules: nn.Module) -> bool:
    """Whether torch has the one pass for parameters like these."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    return all(
        parameter.device.type in ("cpu", "cuda") and parameter.dtype in (torch.float32, torch.float64)
        for parameter in parameters
    )


def in_the_form_of(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
    """What was saved of an optimizer, with the form of the one that goes on: torch would take that of the saved one."""
    pairs = zip(saved["param_groups"], optimizer.param_groups, strict=False)  # torch says where they differ in number
    groups = [{**group, "fused": now.get("fused"), "foreach": now.get("foreach")} for group, now in pairs]
    return {**saved, "param_groups": [*groups, *saved["param_groups"][len(groups) :]]}


def state_of(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, dict[str, Any]]:
    """The optimizer's state of the parameters of one module, by the name of the parameter."""
    named = module.named_parameters()
    return {name: dict(optimizer.state[parameter]) for name, parameter in named if parameter in optimizer.state}


def set_state_of(optimizer: torch.optim.Optimizer, module: nn.Module, state: dict[str, dict[str, Any]]) -> None:
    """Put back what `state_of` gave, where the parameters are now; a count of steps stays on the CPU unless fused."""
    together = bool(optimizer.param_groups[0].get("fused"))
    for name, parameter in module.named_parameters():
        if name in state:
            kept = {key: placed(value, parameter.device, together) for key, value in state[name].items()}
            optimizer.state[parameter] = kept


def placed(value: Any, device: torch.device, together: bool) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return value.to(device) if value.ndim or together else value.cpu()


def learning_rate(config: LearningRate, peak: float, step: int, steps_per_epoch: int, total: int) -> float:
    """The learning rate at a step counted from 0; the first warm-up step has peak / warm-up steps."""
    warmup = min(
        round((1.0 if config.warmup_epochs is None else config.warmup_epochs) * steps_per_epoch), max(total - 1, 0)
    )
    if config.decay == "exponential":
        return peak * (config.final / peak) ** (step / total) * min(1.0, (step + 1) / max(warmup, 1))
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(total - warmup, 1)
    if config.decay == "polynomial":
        return peak * (1.0 - progress) ** config.power
    if config.decay == "cosine":
        return peak * (1.0 + math.cos(math.pi * progress)) / 2.0
    if config.decay == "step":
        return peak * config.factor ** sum(step >= milestone * total for milestone in config.milestones)
    return peak
