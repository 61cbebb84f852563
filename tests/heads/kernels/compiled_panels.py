"""Compiles the kernels between the products of a panel for Hopper, which needs no GPU, and prints what each takes.

    python tests/heads/kernels/compiled_panels.py

Printed as JSON: bytes of shared memory, registers and bytes of spilled registers a thread of every variant. A process
of its own, since the interpreter is chosen when triton is imported.
"""

import json
import re
import subprocess
import tempfile
from pathlib import Path

from triton import compile as compiled
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource

from angulus.heads.kernels import triton_panels as kernels
from angulus.heads.kernels.panel_launches import BLOCKS

HOPPER = GPUTarget("cuda", 90, 32)
POINTERS = {"labels": "*i64", "panel": "*bf16", "kept": "*bf16", "shares": "*bf16"}
NUMBERS = {"rate": "fp32", "momentum": "fp32", "decay": "fp32", "above": "fp32"}
INTEGERS = {"count", "start", "examples"}
FIXED = {"DIM": 512, "WIDTH": 512, "FREE": False, "BIAS": False, "STRAIGHT": False, "ONLINE": False, "TOTAL": False}
FIXED |= {"FILTER": False, "KIND": "none", "KEEP": False, "GRAD_SCALE": False, "GRAD_BIAS": False, "CENTERS": 1}
FIXED |= {"MOVE": True, "MOMENTUM": True, "NESTEROV": False, "ROWS": BLOCKS.rows, "COLUMNS": BLOCKS.columns}
FIXED |= {"TILE": BLOCKS.row_numbers // 512}
ALL = {"BIAS": True, "ONLINE": True, "TOTAL": True, "FILTER": True, "CENTERS": 3, "GRAD_SCALE": True, "GRAD_BIAS": True}
VARIANTS = [
    ("copy_rows", {}),
    ("project_rows", {}),
    ("project_rows", {"MOVE": False}),
    ("add_panel", {"KEEP": True}),
    *((name, {"KIND": kind}) for name in ("add_panel", "share_panel") for kind in ("none", "quadratic", "turned")),
    *((name, {"KIND": "weighted", **ALL}) for name in ("add_panel", "share_panel")),
]


def built(name: str, changed: dict[str, object]) -> dict[str, int]:
    values = FIXED | changed
    kernel, types, known, hints = getattr(kernels, name), {}, {}, {}
    for parameter in kernel.params:
        key = parameter.name
        if parameter.is_constexpr:
            types[key], known[(parameter.num,)] = "constexpr", values[key]
            continue
        scalar = NUMBERS.get(key, "i32" if key in INTEGERS or key.endswith("stride") else "")
        types[key] = scalar or POINTERS.get(key, "*fp32")
        if key not in ("start", *NUMBERS):
            hints[(parameter.num,)] = [["tt.divisibility", 16]]
    done = compiled(ASTSource(kernel, types, known, hints), target=HOPPER, options={"num_warps": BLOCKS.warps})
    return {"shared": done.metadata.shared, **assembled(done.asm["ptx"])}


def assembled(ptx: str) -> dict[str, int]:
    """Registers and spilled bytes a thread, as the assembler reports them."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx)
        command = [get_ptxas(90).path, "-v", "--gpu-name=sm_90a", source, "-o", source.with_suffix(".cubin")]
        words = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    registers, spilled = re.search(r"Used (\d+) registers", words), re.search(r"(\d+) bytes spill stores", words)
    return {"registers": int(registers.group(1)), "spilled": int(spilled.group(1))}


if __name__ == "__main__":
    found = {f"{name} {changed}": built(name, changed) for name, changed in VARIANTS}
    print(json.dumps(found))
