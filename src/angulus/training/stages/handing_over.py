"""What a stage takes over from the one before, beside the network: class weights, and what the margin learned."""

import torch

from angulus.heads import MarginHead, SeparateHeads, each_head


@torch.no_grad()
def hand_over(old: MarginHead | SeparateHeads, new: MarginHead | SeparateHeads) -> None:
    """Give the head of a stage what the head before it came to; both are of the same classes and processes.

    Weights, and a bias where both have one. Learned scalars and running statistics go on where the margin is of the
    same kind.
    """
    for (_, before, _), (_, now, _) in zip(each_head(old), each_head(new), strict=True):
        before.settle()
        now.weight.copy_(before.weight)
        if now.bias is not None and before.bias is not None:
            now.bias.copy_(before.bias)
        if type(now.margin) is type(before.margin):
            for name, value in now.learned.items():
                if name in before.learned:
                    value.copy_(before.learned[name])
            now.keep({name: value for name, value in before.state.items() if name in now.state_names})
