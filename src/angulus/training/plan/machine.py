"""How much memory is there: free and in all, of this machine or of its CUDA device."""

import re
from dataclasses import dataclass
from pathlib import Path

import torch

from angulus.devices.control_groups import groups_of
from angulus.errors import ConfigError
from angulus.plain_numbers import counted
from angulus.training.recipe.data_sources import memory_bytes

UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
LIMITS = (  # of version 2 and 1 of control groups: limit, use, and what of the use can be taken back at once
    ("/sys/fs/cgroup{path}/memory.max", "memory.current", "inactive_file"),
    ("/sys/fs/cgroup/memory{path}/memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """device: "cpu" or "cuda".  total, free: bytes of memory, for each process.  here: False where it is pretended."""

    device: str
    name: str
    total: int
    free: int
    here: bool = True


def machine_of(device: torch.device, sharing: int = 1) -> Machine:
    """The machine as it is. sharing: how many processes of the run share a CPU's memory."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return Machine(device="cuda", name=torch.cuda.get_device_name(device), total=total, free=free)
    name = f"cpu, {counted(torch.get_num_threads(), 'thread')}"
    return Machine(device="cpu", name=name, total=memory_bytes() // sharing, free=available() // sharing)


def available(root: Path = Path("/")) -> int:
    """Bytes that a process can still take: what the system has, or less where a control group limits it."""
    rooms = [room for room in (room_of_group(root), room_of_system(root)) if room is not None]
    return max(0, min(rooms)) if rooms else memory_bytes()


def room_of_system(root: Path) -> int | None:
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")), None)


def room_of_group(root: Path) -> int | None:
    """What control groups leave to this process, None where they set no limit."""
    rooms: list[int] = []
    for path in groups_of("memory", root):
        for limit, use, reclaimable in LIMITS:
            file = root / limit.format(path=path).lstrip("/")
            try:
                most, used = int(file.read_text()), int(file.with_name(use).read_text())
                words = dict(line.split() for line in file.with_name("memory.stat").read_text().splitlines())
            except (OSError, ValueError):  # no such file, or "max"
                continue
            rooms.append(most - used + int(words.get(reclaimable, 0)))
    return min(rooms, default=None)


def bytes_of(text: str) -> int:
    """ "80GB" or "24 GiB" in bytes. Raises ConfigError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]I?B)\s*", text.upper())
    if match is None or not float(match[1]) > 0:
        raise ConfigError(f"a size of memory is a number above 0 and KB, MB, GB, MiB or GiB, as in 80GB; got {text!r}")
    return round(float(match[1]) * UNITS[match[2]])


def in_words(size: float) -> str:
    """Bytes for a reader: "3.8 GiB", "110 MiB"."""
    for unit, least in (("GiB", 2**30), ("MiB", 2**20)):
        if size >= 0.95 * least:
            return (
                f"{size / least:,.1f} {unit}" if size < 100 * least and unit == "GiB" else f"{size / least:,.0f} {unit}"
            )
    return f"{max(0, size) / 2**10:,.0f} KiB"
