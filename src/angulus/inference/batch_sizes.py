"""How many images go through a network at once, where the user names no number.

On a CPU as many as keep its largest map within what the allocator uses again: the C library hands memory beyond 32 MB
back to the system every time, and fetching it anew takes as long as computing (MobileFaceNet: 128 images at once take
twice the time of 16). On CUDA as many as fit into a part of the free memory.
"""

import torch
from torch import Tensor, nn

LARGEST_MAP = 28_000_000
FEWEST, MOST = 4, 64
ON_DEVICE_FEWEST, ON_DEVICE_MOST = 32, 1024
PART_OF_FREE = 0.25
_TRIED = 8


def images_at_once(model: nn.Module, shape: tuple[int, ...], device: torch.device) -> int:
    """A power of two. shape: of a prepared image; blank ones are run once on the model's device."""
    if device.type == "cuda":
        blank = torch.zeros(_TRIED, *shape, device=device)
        return on_device(bytes_an_image(model, blank), torch.cuda.mem_get_info(device)[0])
    return on_cpu(largest_map(model, torch.zeros(1, *shape, device=device)))


def on_cpu(map_bytes: int) -> int:
    """Images at once for a network whose largest map of one image has so many bytes."""
    return _power_of_two(LARGEST_MAP // max(map_bytes, 1), FEWEST, MOST)


def on_device(image_bytes: int, free: int) -> int:
    """Images at once for a network that needs so many bytes for each, where so many are free."""
    return _power_of_two(int(PART_OF_FREE * free) // max(image_bytes, 1), ON_DEVICE_FEWEST, ON_DEVICE_MOST)


def largest_map(model: nn.Module, image: Tensor) -> int:
    """Bytes of the largest tensor that a part of the model gives for one prepared image [1, c, h, w]."""
    sizes = [image.nbytes]
    hooks = [
        part.register_forward_hook(
            lambda part, given, found: sizes.append(found.nbytes) if isinstance(found, Tensor) else None
        )
        for part in model.modules()
    ]
    try:
        with torch.inference_mode():
            model(image)
    finally:
        for hook in hooks:
            hook.remove()
    return max(sizes)


def bytes_an_image(model: nn.Module, images: Tensor) -> int:
    """Memory that a pass takes for each image on a CUDA device, beyond what is there; waits for the device."""
    device = images.device
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    with torch.inference_mode():
        model(images)
    return max(torch.cuda.max_memory_allocated(device) - before, images.nbytes) // len(images)


def _power_of_two(count: int, fewest: int, most: int) -> int:
    return max(fewest, min(most, 1 << max(count, 1).bit_length() - 1))
