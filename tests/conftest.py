"""Without a GPU Triton kernels run in Triton's interpreter, which must be chosen before triton is first imported."""

import os

import torch
from hypothesis import settings

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")


# The same examples in every run: what fails fails everywhere. HYPOTHESIS_RANDOM=1 looks for new ones.
settings.register_profile("fixed", derandomize=True)
if not os.environ.get("HYPOTHESIS_RANDOM"):
    settings.load_profile("fixed")
