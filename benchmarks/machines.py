"""The machine that a result was made on, in words and as a part of a file name; never its name in a network.

benchmarks/results/<what>_<slug>.json       cpu_avx2, cpu_avx512_bf16, or the GPU's name: nvidia_h100_80gb_hbm3
"""

import platform
import re
from pathlib import Path
from typing import Any

import torch

from angulus.devices.processors import bound_cores

COUNTS = {1: "one", 2: "two", 4: "four", 8: "eight"}
NATIVE = ("amx_bf16", "avx512_bf16")  # in the order of speed
CPUINFO = Path("/proc/cpuinfo")


def processor() -> str:
    """The processor's model."""
    return line("model name") or platform.processor() or platform.machine()


def native_bfloat16() -> str | None:
    """The instructions for bfloat16 products that the processor has, None for none."""
    flags = line("flags").split()
    return next((name for name in NATIVE if name in flags), None)


def line(name: str) -> str:
    """A line of /proc/cpuinfo, the first; "" where there is none."""
    found = re.search(rf"^{name}\s*: (.*)$", CPUINFO.read_text(), re.MULTILINE) if CPUINFO.exists() else None
    return found[1].strip() if found else ""


def gpu(device: str) -> str | None:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else None


def slug(device: str = "cpu") -> str:
    """The machine as a part of a file name."""
    native = native_bfloat16()
    on_cpu = "_".join(["cpu", torch.backends.cpu.get_cpu_capability(), *([native.split("_")[-1]] if native else [])])
    return re.sub(r"[^a-z0-9]+", "_", (gpu(device) or on_cpu).lower()).strip("_")


def words(device: str = "cpu") -> str:
    """The machine in words."""
    cores = bound_cores()
    own = f"{COUNTS.get(cores, cores)} {processor()} {'core' if cores == 1 else 'cores'}"
    native = native_bfloat16()
    bfloat16 = f"bfloat16 by {native}" if native else "no native bf16"
    on_cpu = f"{own}, {torch.backends.cpu.get_cpu_capability()}, {bfloat16}"
    name = gpu(device)
    return f"{name} beside {on_cpu}" if name else on_cpu


def about(device: str = "cpu") -> dict[str, Any]:
    """What decides whether two results are of the same machine."""
    return {
        "machine": words(device),
        "cpu": processor(),
        "cores": bound_cores(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "gpu": gpu(device),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
