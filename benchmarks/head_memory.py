"""Is the memory that `angulus plan` expects of a head the memory that a step takes?

    python benchmarks/head_memory.py                                     C=50k, D=256, N=64, one and three sub-centers
    python benchmarks/head_memory.py --classes 200000 --dim 512 --examples 256

A step is forward, backward and the optimizer's step (or the update inside the backward pass). All cases run in one
fresh process in which malloc returns every freed block of 128 kB or more at once: measured is the high-water mark of
the third step less the resident size before it, expected is `HeadMemory.step`.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machines
import torch

from angulus.heads import Dense, MarginHead, Panels, RowAdamW, RowSGD, Sampled, Strategy, Streamed, head_memory, size_of
from angulus.heads.strategies.updates import RowRule
from angulus.margins import ArcFace, CurricularFace, Margin, NormFace, Softmax

MIB = 2**20
LARGE = 100 * MIB  # where an error of some per cent is asked for
ARCFACE, SGD = ArcFace(scale=64, m=0.5), RowSGD()


@dataclass(frozen=True)
class Case:
    strategy: Strategy
    moved: bool = False
    rule: RowRule = SGD
    margin: Margin = ARCFACE


PANELS = Panels(products="float32", mode="recompute")
RECOMPUTE, STASH = Streamed(mode="recompute"), Streamed(mode="stash")
CASES: dict[str, Case] = {
    "dense": Case(Dense()),
    "dense, AdamW": Case(Dense(), rule=RowAdamW()),
    "dense, NormFace": Case(Dense(), margin=NormFace(scale=16.0)),
    "dense, softmax": Case(Dense(), margin=Softmax()),
    "streamed recompute": Case(RECOMPUTE),
    "streamed recompute, AdamW": Case(RECOMPUTE, rule=RowAdamW()),
    "streamed recompute, CurricularFace": Case(RECOMPUTE, margin=CurricularFace()),
    "streamed recompute, softmax": Case(RECOMPUTE, margin=Softmax()),
    "streamed stash": Case(STASH),
    "streamed stash bfloat16": Case(Streamed(mode="stash", stash="bfloat16")),
    "streamed stash, bfloat16 products": Case(Streamed(mode="stash", products="bfloat16")),
    "moved recompute": Case(RECOMPUTE, moved=True),
    "moved recompute, AdamW": Case(RECOMPUTE, moved=True, rule=RowAdamW()),
    "moved stash": Case(STASH, moved=True),
    "panels recompute": Case(PANELS),
    "panels recompute, CurricularFace": Case(PANELS, margin=CurricularFace()),
    "panels stash": Case(replace(PANELS, mode="stash")),
    "moved panels": Case(PANELS, moved=True),
    "moved panels, AdamW": Case(PANELS, moved=True, rule=RowAdamW()),
    "sampled 0.1": Case(Sampled()),
    "sampled 0.5": Case(Sampled(rate=0.5)),
    "moved sampled 0.1": Case(Sampled(), moved=True),
    "moved sampled 0.5": Case(Sampled(rate=0.5), moved=True),
}


def expected_of(case: Case, sizes: argparse.Namespace, subcenters: int) -> int:
    """Bytes that a step is expected to take."""
    size = size_of(case.margin, classes=sizes.classes, dim=sizes.dim, examples=sizes.examples, subcenters=subcenters)
    return head_memory(size, case.strategy, case.rule, moved=case.moved).step


def measured_of(case: Case, sizes: argparse.Namespace, subcenters: int) -> int:
    """Bytes that the third step takes beyond what is there before it."""
    update = case.rule if case.moved else None
    head = MarginHead(sizes.dim, sizes.classes, case.margin, subcenters, case.strategy, update)
    head.learning_rate = 0.1
    trained = [head.weight, *([] if head.bias is None else [head.bias])]
    embeddings = torch.randn(sizes.examples, sizes.dim, requires_grad=True)
    labels = torch.randint(sizes.classes, (sizes.examples,))
    optimizer: torch.optim.Optimizer | None = None
    if not case.moved:
        adam = isinstance(case.rule, RowAdamW)
        optimizer = torch.optim.AdamW(trained) if adam else torch.optim.SGD(trained, 0.1, 0.9, weight_decay=5e-4)

    def step() -> None:
        head(embeddings, labels).loss.backward()
        if optimizer is not None:
            optimizer.step()
        head.zero_grad()
        embeddings.grad = None

    for _ in range(2):
        step()
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again at the resident size
    before = resident("VmRSS")
    step()
    return resident("VmHWM") - before


def resident(name: str) -> int:
    """A line of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def compared(classes: int, dim: int, examples: int, subcenters: list[int], only: list[str]) -> list[dict[str, Any]]:
    """Expected and measured bytes of each case, from a fresh process."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    settings |= {"MALLOC_MMAP_THRESHOLD_": str(128 * 1024), "OMP_NUM_THREADS": "1"}
    sizes = ("--classes", classes, "--dim", dim, "--examples", examples, "--subcenters", *subcenters)
    command = [sys.executable, __file__, "--child", *sizes, "--only", *only]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=settings, check=False)
    if done.returncode:
        raise RuntimeError(f"the measuring process ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def rows_here(options: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    for subcenters in options.subcenters:
        for name in options.only:
            expected = expected_of(CASES[name], options, subcenters)
            measured = measured_of(CASES[name], options, subcenters)
            rows.append({"case": name, "subcenters": subcenters, "expected": expected, "measured": measured})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| head | K | expected, MiB | measured, MiB | error (%) |", "| --- | ---: | ---: | ---: | ---: |"]
    for row in rows:
        error = 100 * (row["expected"] / row["measured"] - 1)
        sizes = f"{row['expected'] / MIB:,.0f} | {row['measured'] / MIB:,.0f}"
        lines.append(f"| {row['case']} | {row['subcenters']} | {sizes} | {error:+.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--examples", type=int, default=64)
    parser.add_argument("--subcenters", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        torch.manual_seed(0)
        gc.freeze()  # so that collecting looks at what the steps leave, not at the libraries
        print(json.dumps(rows_here(options)))
        return
    rows = compared(options.classes, options.dim, options.examples, options.subcenters, options.only)
    print(f"C = {options.classes:,}, D = {options.dim}, N = {options.examples}\n\n{table(rows)}\n")
    worst = max((abs(r["expected"] / r["measured"] - 1) for r in rows if r["measured"] >= LARGE), default=0.0)
    print(f"largest error where a step takes 100 MiB or more: {100 * worst:.1f} %")
    if options.json is not None:
        about = {"classes": options.classes, "dim": options.dim, "examples": options.examples, "rows": rows}
        about |= {"torch": torch.__version__, "machine": machines.words()}
        about |= {"date": datetime.now(UTC).date().isoformat()}
        options.json.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
