"""Compiles the kernels for Hopper, which needs no GPU, and prints the bytes of shared memory of each as JSON.

    python tests/heads/kernels/compiled_kernels.py [WIDTH] [PRODUCTS]

A process of its own, since the interpreter is chosen when triton is imported.
"""

import json
import sys

import torch
from triton import compile as compiled
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from angulus.heads.kernels import launches
from angulus.heads.kernels import triton_kernels as kernels

HOPPER = GPUTarget("cuda", 90, 32)
INTEGERS = {"labels", "own_labels", "own_examples", "own_centers", "bounds"}
OPERANDS = {"units", "panel"}
NUMBERS = {"rate": "fp32", "momentum": "fp32", "decay": "fp32"}
SCALARS = {"count", "first", "room", "examples", "tiles_each", "blocks"}
ANY = {"count", "first", "tiles_each", "blocks"}


def shared_memory(name: str, width: int, products: str, centers: int, online: bool, bias: bool) -> int:
    operand = launches.OPERANDS[products]
    tiles = launches.tiles_for(operand, width, centers, online)
    values = {"DIM": width, "WIDTH": width, "CENTERS": centers, "FREE": False, "ONLINE": online, "BIAS": bias}
    values |= {"GRADIENT": True, "MOVE": True, "MOMENTUM": True, "NESTEROV": False, "PRECISION": operand.precision}
    values |= {"OWNED": tiles.owned, "STREAMED": tiles.streamed}
    values |= {"BRANCH": tiles.repeats and operand.tensor_cores, "TILE": launches.PREPARED_TOGETHER}
    kernel, types, known, hints = getattr(kernels, name), {}, {}, {}
    for parameter in kernel.params:
        key = parameter.name
        if parameter.is_constexpr:
            types[key], known[(parameter.num,)] = "constexpr", values[key]
            continue
        scalar = NUMBERS.get(key, "i32" if key in SCALARS or key.endswith("stride") else "")
        operands = "*bf16" if operand.dtype == torch.bfloat16 else "*fp32"
        pointer = "*i64" if key in INTEGERS else operands if key in OPERANDS else "*fp32"
        types[key] = scalar or pointer
        if key not in ANY and key not in NUMBERS:
            hints[(parameter.num,)] = [["tt.divisibility", 16]]
    source = ASTSource(kernel, types, known, hints)
    options = {"num_warps": tiles.warps, "num_stages": tiles.stages, "enable_fp_fusion": True}
    return compiled(source, target=HOPPER, options=options).metadata.shared


def main(width: int = 512, products: str = "bfloat16") -> None:
    found = {}
    for name in ("prepare", "sum_classes", "move_rows"):
        for centers, online, bias in ((1, False, False), (1, True, True), (3, True, False)):
            key = f"{name}, centers={centers}, online={online}, bias={bias}"
            found[key] = shared_memory(name, width, products, centers, online, bias)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*(int(word) if word.isdigit() else word for word in sys.argv[1:]))
