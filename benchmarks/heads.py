"""Time and memory of one training step of a head, Angulus's and others', as ratio to three matrix products.

    python benchmarks/heads.py                                           10k and 100k classes, N=128 and 512
    python benchmarks/heads.py --device cuda                             1M and 10M classes (N=1024), 30M (N=512)
    python benchmarks/heads.py --only dense streamed-stash --repeats 9   some heads only
    python benchmarks/heads.py --budget 600                              what fits ten minutes; again: the rest

A step is forward and backward to embeddings and weights: D=512, s=64, ArcFace m=0.5, float32 unless the name says
otherwise. Each head takes turns with the floor. The floor is three `torch.mm` with fresh outputs: forward, gradient
of the embeddings, gradient of the weights. Before it is timed, every exact head is compared with `Dense`.

The file is whole after every head. A later call with the same settings on the same machine keeps what is there and
measures the rest; --again begins anew. Heads that a --budget left out are named in the file. Where a CPU emulates
bfloat16, heads that multiply in it are not measured.

Time: CPU time on one thread, wall-clock time on several, CUDA events on a GPU. Ratio: the median over the repeats of
the head's time over the floor's in the same round.
Memory: what one step needs beyond what lives between steps. On a CPU each head has a fresh process, in which malloc
returns every freed block of 128 kB or more at once: the high-water mark of the second step less the resident size
before it. On a GPU: torch.cuda.max_memory_allocated less what was allocated before.
On a GPU there are also TFLOP/s and "time / peak", both of the 8 N D C operations that an exact head without an N x C
matrix has; the peak is that of a large bfloat16 product in the same run.
The heads are in head_candidates.py.
"""

import argparse
import gc
import itertools
import os
import shlex
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import machines
import torch
from head_candidates import CANDIDATES, Batch, Candidate, Found, Step, angulus
from head_records import Records
from torch import Tensor

from angulus.devices.bfloat16 import bfloat16_factor
from angulus.heads import Dense, Streamed
from angulus.margins import Margin

DIM = 512
SIZES = {
    "cpu": [(classes, examples) for classes in (10_000, 100_000) for examples in (128, 512)],
    "cuda": [(1_000_000, 1024), (10_000_000, 1024), (30_000_000, 512)],
}
SUBCENTERS = {"cpu": [1, 3], "cuda": [1]}
REPEATS = {"cpu": 5, "cuda": 10}
RESERVE = 2**30  # bytes left free
FLOOR_CHUNK = 2**20
EMULATED = 2.0  # so many times as long as in float32: the CPU has no instructions for bfloat16
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Problem:
    classes: int
    examples: int
    subcenters: int
    device: str

    @property
    def gradient_bytes(self) -> int:
        return 4 * DIM * self.classes * self.subcenters

    @property
    def logit_bytes(self) -> int:
        return 4 * self.examples * self.classes * self.subcenters

    @property
    def operations(self) -> int:
        """Of four products: the cosines twice, and the gradients of embeddings and weights."""
        return 8 * self.examples * DIM * self.classes * self.subcenters

    def __str__(self) -> str:
        subcenters = f", K = {self.subcenters}" if self.subcenters > 1 else ""
        return f"C = {self.classes:,}, N = {self.examples}{subcenters}"


@dataclass
class Row:
    """What is known of one head. note: why there is no time.  failed: True where that is an error.

    difference: relative differences from the reference.  memory: bytes.  seconds, floor: one for each repeat.
    """

    note: str = ""
    failed: bool = False
    difference: dict[str, float] = field(default_factory=dict)
    memory: int | None = None
    seconds: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)


# ---------------------------------------------------------------------------------------------- the problem


def available(device: str) -> int:
    """Bytes of memory that are free."""
    if device == "cuda":
        torch.cuda.empty_cache()
        return torch.cuda.mem_get_info()[0]
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))


def room_of(problem: Problem) -> int:
    """Bytes that a step may take once the weights are there."""
    return available(problem.device) - problem.gradient_bytes - RESERVE


def make_batch(problem: Problem, room: int) -> Batch:
    """The same numbers in every run on the same kind of device."""
    generator = torch.Generator(problem.device).manual_seed(0)
    kind = {"generator": generator, "device": problem.device}
    shape = (problem.classes, problem.subcenters, DIM) if problem.subcenters > 1 else (problem.classes, DIM)
    labels = torch.randint(problem.classes, (problem.examples,), **kind)
    embeddings = torch.randn(problem.examples, DIM, **kind).requires_grad_()
    weight = torch.randn(shape, **kind).mul_(0.01).requires_grad_()
    whole = problem.gradient_bytes + problem.logit_bytes <= room
    return Batch(embeddings, weight, labels, problem.classes * problem.subcenters if whole else FLOOR_CHUNK)


def obstacle(candidate: Candidate, problem: Problem, room: int) -> str | None:
    """Why a head cannot be measured here, or None."""
    needs = candidate.needs(problem.gradient_bytes, problem.logit_bytes)
    if needs > room:
        return f"does not fit: needs about {needs / 2**30:.1f} GiB, {max(room, 0) / 2**30:.1f} GiB free"
    if candidate.multiplies_bfloat16 and problem.device == "cpu" and bfloat16_factor() > EMULATED:
        return f"not measured: bfloat16 products take {bfloat16_factor():.0f} times as long here"
    return candidate.missing()


# ---------------------------------------------------------------------------------------------- agreement


@dataclass(frozen=True)
class Summary:
    """A loss and its gradients in little memory.

    own: gradient rows of the classes in the batch.  others: those of the other classes along 8 random directions,
    whose differences have the length of the whole ones but for a few per cent; apart because they are small beside
    the own rows. Both are None where a step keeps no gradient of the weight.
    """

    loss: Tensor
    embeddings: Tensor
    own: Tensor | None
    others: Tensor | None

    @classmethod
    def of(cls, found: Found, labels: Tensor) -> "Summary":
        loss, embeddings, weight = found
        if weight is None:
            return cls(loss, embeddings, None, None)
        present = labels.unique()
        generator = torch.Generator(weight.device).manual_seed(1)
        others = weight @ torch.randn(DIM, 8, generator=generator, device=weight.device)
        others[present] = 0
        return cls(loss, embeddings, weight[present], others)

    def difference(self, wanted: "Summary") -> dict[str, float]:
        """|found - wanted| / |wanted| of each part that both have and that is not zero."""
        pairs = {name: (getattr(self, name), getattr(wanted, name)) for name in ("loss", "embeddings", "own", "others")}
        known = {name: pair for name, pair in pairs.items() if pair[0] is not None and pair[1].any()}
        return {name: float((found - right).norm() / right.norm()) for name, (found, right) in known.items()}


class References:
    """What `Dense` gives for a batch under each margin; `Streamed` where `Dense` does not fit."""

    def __init__(self, problem: Problem, batch: Batch, room: int) -> None:
        self.batch = batch
        fits = obstacle(CANDIDATES["dense"], problem, room) is None
        self.name = "dense" if fits else "streamed-recompute"
        self.strategy = Dense() if fits else Streamed(mode="recompute")
        self.known: dict[Margin, Summary] = {}

    def __getitem__(self, margin: Margin) -> Summary:
        if margin not in self.known:
            step = angulus(self.strategy, margin)(self.batch)
            self.known[margin] = Summary.of(step(), self.batch.labels)
        return self.known[margin]


def first_step(name: str, row: Row, references: References, leniency: float) -> None:
    """Run a head once, so that libraries load and programs compile, and compare it where it is exact."""
    candidate, batch = CANDIDATES[name], references.batch
    found = candidate.build(batch)()
    if candidate.margin is None:
        return
    summary = Summary.of(found, batch.labels)
    del found
    gc.collect()  # its state makes room for the reference
    row.difference = summary.difference(references[candidate.margin])
    largest = max(row.difference.values())
    if not largest <= candidate.tolerance * leniency:  # NaN too
        row.note, row.failed = f"disagrees with {references.name}: {largest:.1e}", True


# ---------------------------------------------------------------------------------------------- time and memory


def seconds_of(step: Step, device: str) -> float:
    """The time of one step, which frees what it made."""
    gc.collect()
    if device == "cpu":
        clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
        begin = clock()
        step()
        return clock() - begin
    torch.cuda.empty_cache()  # what the head before left in the cache may be in the way
    step()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    step()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000


def memory_of(step: Step, device: str) -> int:
    """Bytes that one step needs beyond what is there before it."""
    step()
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step()
        return torch.cuda.max_memory_allocated() - before
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again at the resident size
    before = resident("VmRSS")
    step()
    return resident("VmHWM") - before


def peak_of_products(side: int = 8192, repeats: int = 20) -> float:
    """Operations per second of a large bfloat16 product on the GPU, the median of some."""
    left, right = (torch.randn(side, side, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    out = torch.empty_like(left)
    found = []
    for _ in range(repeats):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        torch.mm(left, right, out=out)
        end.record()
        end.synchronize()
        found.append(2 * side**3 / (start.elapsed_time(end) / 1000))
    return statistics.median(found[repeats // 2 :])


def resident(name: str) -> int:
    """A line of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def memory_in_child(name: str, problem: Problem, threads: int) -> int:
    """The same in a fresh process on the CPU."""
    sizes = ("--classes", problem.classes, "--examples", problem.examples, "--subcenters", problem.subcenters)
    command = [sys.executable, __file__, "--memory-of", name, "--threads", threads, *sizes]
    settings = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    settings["MALLOC_MMAP_THRESHOLD_"] = str(128 * 1024)  # else malloc keeps freed blocks, and which is chance
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=settings, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
        raise RuntimeError(f"its process ended: {reason[0]}")
    return int(done.stdout.split()[-1])


class Budget:
    """Seconds that are left, and what a head may take, by the longest so far."""

    def __init__(self, seconds: float | None) -> None:
        self.end = None if seconds is None else time.monotonic() + seconds
        self.longest = 0.0  # seconds for an operation

    def fits(self, problem: Problem) -> bool:
        return self.end is None or time.monotonic() + self.longest * problem.operations < self.end

    def spent(self, problem: Problem, seconds: float) -> None:
        self.longest = max(self.longest, seconds / problem.operations)


class Measurement:
    """One size, head by head; what a head needs of the batch is made for the first that is measured."""

    def __init__(self, problem: Problem, options: argparse.Namespace) -> None:
        self.problem, self.options = problem, options
        self.room = room_of(problem)
        self.references: References | None = None

    def row(self, name: str) -> Row:
        """Everything about one head. One that fails is left as it is."""
        row = Row(obstacle(CANDIDATES[name], self.problem, self.room) or "")
        on_gpu = self.problem.device == "cuda"
        weigh = [] if not self.options.memory else [self.weigh] if on_gpu else [self.weigh_in_child]
        for job in ([self.check, *weigh] if on_gpu else [*weigh, self.check]) + [self.time]:
            if row.note:
                break
            print(f"{self.problem}: {job.__name__}, {name}", file=sys.stderr)
            try:
                job(name, row)
            except torch.OutOfMemoryError:
                row.note = "out of memory"
            except Exception as error:
                words = str(error).strip().splitlines() or [""]
                row.note, row.failed = f"failed: {type(error).__name__}: {words[0][:100]}", True
            gc.collect()
        return row

    def given(self) -> References:
        """The batch, and what exact heads are compared with."""
        if self.references is None:
            torch.manual_seed(0)
            self.references = References(self.problem, make_batch(self.problem, self.room), self.room)
        return self.references

    def check(self, name: str, row: Row) -> None:
        first_step(name, row, self.given(), 10.0 if self.options.tf32 else 1.0)

    def weigh(self, name: str, row: Row) -> None:
        row.memory = memory_of(CANDIDATES[name].build(self.given().batch), self.problem.device)

    def weigh_in_child(self, name: str, row: Row) -> None:
        row.memory = memory_in_child(name, self.problem, self.options.threads)

    def time(self, name: str, row: Row) -> None:
        """The head and the floor in turns, beginning with the other one each time."""
        steps = {what: CANDIDATES[what].build(self.given().batch) for what in dict.fromkeys(("floor", name))}
        for repeat in range(self.options.repeats):
            order = list(steps) if repeat % 2 == 0 else list(reversed(steps))
            found = {what: seconds_of(steps[what], self.problem.device) for what in order}
            row.seconds.append(found[name])
            row.floor.append(found["floor"])


# ---------------------------------------------------------------------------------------------- what is written


def figures(problem: Problem, row: Row, peak: float | None) -> dict[str, Any]:
    """A row as the JSON holds it. peak: operations per second, where it was measured."""
    known: dict[str, Any] = {"note": row.note, "difference": row.difference}
    if row.memory is not None:
        known |= {"memory_bytes": row.memory, "memory_gradients": row.memory / problem.gradient_bytes}
    if row.seconds and not row.note:
        ratios = [own / least for own, least in zip(row.seconds, row.floor, strict=True)]
        known |= {"ratio": statistics.median(ratios), "ratio_lowest": min(ratios), "ratio_highest": max(ratios)}
        known |= {"seconds_median": statistics.median(row.seconds), "seconds": row.seconds, "floor": row.floor}
    if peak is not None and "seconds_median" in known:
        speed = problem.operations / known["seconds_median"]
        known |= {"operations_per_second": speed, "time_over_peak": peak / speed}
    return known


def measure(
    problem: Problem, names: list[str], options: argparse.Namespace, records: Records, budget: Budget
) -> tuple[dict[str, Any], int]:
    """One size as the JSON holds it, and how many heads failed. The weights are free again afterwards."""
    run = records.run({**asdict(problem), "dim": DIM})
    run["left_out"] = [name for name in names if "ratio" not in run["heads"].get(name, {})]
    if problem.device == "cuda" and run["peak"] is None:
        run["peak"] = peak_of_products()
    measurement, failures = Measurement(problem, options), 0
    for name in list(run["left_out"]):
        begin = time.monotonic()
        if not budget.fits(problem):
            break
        row = measurement.row(name)
        failures += row.failed
        if row.seconds:
            budget.spent(problem, time.monotonic() - begin)
        run["left_out"].remove(name)
        if measurement.references is not None:
            run["compared_with"] = measurement.references.name
        records.add(run, name, figures(problem, row, run["peak"]))
    return run, failures


def table(heads: dict[str, dict[str, Any]], compared_with: str) -> str:
    """Markdown. memory: MiB, and multiples of one float32 gradient of the weights."""
    difference = f"difference from {compared_with}" if compared_with else "difference"
    names = ("head", "time / floor", "lowest - highest", "ms", "memory, MiB", "memory / gradient", difference)
    speeds = any("time_over_peak" in known for known in heads.values())
    names = (*names, "TFLOP/s", "time / peak") if speeds else names
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for name, known in heads.items():
        memory = ("", "")
        if "memory_bytes" in known:
            memory = (f"{known['memory_bytes'] / 2**20:,.0f}", f"{known['memory_gradients']:.2f}")
        time = (known["note"], "", "")
        if "ratio" in known:
            spread = f"{known['ratio_lowest']:.2f} - {known['ratio_highest']:.2f}"
            time = (f"{known['ratio']:.2f}", spread, f"{1000 * known['seconds_median']:,.1f}")
        difference = f"{max(known['difference'].values()):.0e}" if known["difference"] else ""
        speed = ("", "") if speeds else ()
        if "time_over_peak" in known:
            speed = (f"{known['operations_per_second'] / 1e12:,.0f}", f"{known['time_over_peak']:.2f}")
        lines.append(f"| {' | '.join((name, *time, *memory, difference, *speed))} |")
    return "\n".join(lines)


def conditions(options: argparse.Namespace) -> dict[str, Any]:
    """Where and how the numbers are made."""
    settings = {name: value for name, value in os.environ.items() if name.startswith(("MALLOC_", "OMP_", "MKL_"))}
    return {
        "command": shlex.join(["python", *sys.orig_argv[1:]]),
        "load_average": os.getloadavg()[0],
        "clock": clock_name(options),
        "repeats": options.repeats,
        "memory": options.memory,
        "tf32": options.tf32,
        "environment": settings,
        "machine": machines.about(options.device),
    }


def clock_name(options: argparse.Namespace) -> str:
    if options.device == "cuda":
        return "CUDA events"
    return "CPU time, 1 thread" if options.threads == 1 else f"wall-clock time, {options.threads} threads"


# ---------------------------------------------------------------------------------------------- command line


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, nargs="+", help="numbers of classes; default: see above")
    parser.add_argument("--examples", type=int, nargs="+", help="batch sizes")
    parser.add_argument("--subcenters", type=int, nargs="+", help="per class; default: 1 3, on a GPU 1")
    parser.add_argument("--repeats", type=int, help="timed rounds; default: 5, on a GPU 10")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(CANDIDATES), help="these heads, and the floor")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--tf32", action="store_true", help="float32 products in TF32 on a GPU; the floor too")
    parser.add_argument("--no-memory", dest="memory", action="store_false")
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="begin no head that is not expected to fit")
    parser.add_argument("--again", action="store_true", help="measure anew what the file holds")
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/heads_<machine>.json")
    parser.add_argument("--memory-of", choices=list(CANDIDATES), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this machine has no CUDA GPU, or torch was built without CUDA")
    options.subcenters = options.subcenters or SUBCENTERS[options.device]
    options.repeats = options.repeats or REPEATS[options.device]
    options.json = options.json or RESULTS / f"heads_{machines.slug(options.device)}.json"
    return options


def problems(options: argparse.Namespace) -> list[Problem]:
    """Every number of classes with every batch size, or the device's own list."""
    sizes = SIZES[options.device]
    if options.classes or options.examples:
        classes = options.classes or sorted({size[0] for size in sizes})
        examples = options.examples or sorted({size[1] for size in sizes})
        sizes = list(itertools.product(classes, examples))
    return [Problem(*size, subcenters, options.device) for subcenters in options.subcenters for size in sizes]


def heads_for(problem: Problem, only: list[str] | None) -> list[str]:
    """The names asked for that can have this many sub-centers, the floor first; empty where only the floor is left."""
    wanted = {*(only or CANDIDATES), "floor"}
    names = [name for name in CANDIDATES if name in wanted and problem.subcenters in CANDIDATES[name].subcenters]
    return [] if problem.subcenters > 1 and all(name.startswith("floor") for name in names) else names


def main() -> int:
    options = parsed()
    torch.set_num_threads(options.threads)
    if options.tf32:
        torch.backends.cuda.matmul.allow_tf32 = True
    if options.memory_of:
        (problem,) = problems(options)
        batch = make_batch(problem, room_of(problem))
        print(memory_of(CANDIDATES[options.memory_of].build(batch), "cpu"))
        return 0
    records = Records(options.json, conditions(options), options.again, list(CANDIDATES))
    budget, failed = Budget(options.budget), False
    for problem in problems(options):
        names = heads_for(problem, options.only)
        if not names:
            continue
        run, failures = measure(problem, names, options, records, budget)
        failed |= failures > 0
        records.write()
        title = f"{problem}; {clock_name(options)}, median of {options.repeats}; {machines.words(options.device)}"
        print(f"\n{title}\n\n{table(run['heads'], run['compared_with'])}", flush=True)
        if run["left_out"]:
            print(f"\nleft out for --budget: {', '.join(run['left_out'])}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
