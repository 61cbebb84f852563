"""Which of the nearest classes that each process found among its own are the nearest of all.

Each process looks through the candidates of its share of the examples. It gets those of all processes, and tells all
of them two numbers an example: the cosine of the last that counts, and which one of several at that cosine is the last.
With k candidates an example, W processes and n = N / W examples of each, a process sends 4 (W - 1) n (k + 2) bytes,
less than 4 N (k + 2) however many processes there are; a gather of all candidates would be 4 (W - 1) N k.
"""

import torch
import torch.distributed as dist
from torch import Tensor

from angulus.heads.sharding.exchange import Rows, dealt, padded


def among_all(cos: Tensor, group: dist.ProcessGroup) -> Tensor:
    """Whether each candidate of this process is among the k largest of all processes, [n, k].

    cos: [n, k], the same examples on every process. Of equal cosines those of the first process come first, and of one
    process those that it names first.
    """
    world, rank = dist.get_world_size(group), dist.get_rank(group)
    examples, count = cos.shape
    if examples == 0:
        return torch.zeros_like(cos, dtype=torch.bool)
    share = -(-examples // world)
    cos = cos.detach().to(torch.promote_types(cos.dtype, torch.float32))  # in which places are whole numbers too
    theirs = dealt(padded(cos, share * world).unflatten(0, (world, share)), group)
    found, places = theirs.movedim(0, 1).flatten(1).sort(dim=1, descending=True, stable=True)
    # float32 holds whole numbers up to 16 million candidates an example
    last = torch.stack([found[:, count - 1], places[:, count - 1].to(cos.dtype)], dim=1)
    least, place = Rows(group, rank, (share,) * world).join(last)[:examples, :, None].unbind(1)
    own = rank * count + torch.arange(count, device=cos.device)
    return (cos > least) | ((cos == least) & (own <= place))
