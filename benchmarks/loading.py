"""How much of the decoder's speed reaches the training step, for every layout, beside DataLoader and webdataset.

    python benchmarks/loading.py                     about five minutes; writes results/loading_cpu.json and two tables

The images of a folder (data/lfw112) are converted into every layout in a temporary folder; all are in the page cache.

reads        records/s of reading encoded images in random order, without decoding
decoder      the decoder alone, bytes in memory to pixels; in two processes at once where there are two workers
end to end   batches of 128 in global random order, as the training step gets them, with 0 and with 2 workers
DataLoader   torch's, over the folder, with Pillow and its default collation, shuffled
webdataset   eight tar shards, shuffled in a buffer of 1,000 images (it has no global shuffle), with Pillow

Everything is measured in turn for a moment, `--repeats` times; rates are medians, and shares are medians of the ratios
within one turn. CPU time counts this process and its workers: on a machine with other work it says more than the rates.
Pixels stay uint8 everywhere; turning them into floats in the workers, as is often done, would add to the others' time.
"""

import argparse
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from angulus.data import EpochSampler, FolderSource, Source, batches, bytes_of, convert, decoder, open_source, select
from angulus.data import decoding as ours

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
LAYOUTS = {"folder": "people", "manifest": "list.csv", "rec": "train.rec", "tar": "people.tar"} | {
    "parquet": "people.parquet",
    "packed": "people.packed",
}
BATCH, SHARDS = 128, 8  # images of a batch; tar shards
Row = dict[str, Any]
Case = Callable[[float], tuple[int, float, float]]
"""Runs for so many seconds: images done, seconds, seconds of CPU."""


# ------------------------------------------------------------------------------------------------ time


def cpu_of(process: int) -> float:
    """Seconds on a processor of another process (all its threads); 0 where the system does not say."""
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    except OSError:
        return 0.0


def cpu() -> float:
    return time.process_time() + sum(cpu_of(child.pid) for child in active_children() if child.pid)


def timed(steps: Iterator[int], seconds: float) -> tuple[int, float, float]:
    """Go on for a while; each step says how many images it was."""
    done, used, begun = 0, cpu(), time.perf_counter()
    while (passed := time.perf_counter() - begun) < seconds or not done:
        done += next(steps)
    return done, passed, cpu() - used


# ------------------------------------------------------------------------------------------------ what is measured


def by_pillow(content: bytes) -> np.ndarray:
    with Image.open(BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def decoders() -> dict[str, Callable[[bytes], np.ndarray]]:
    found = {"pillow": by_pillow}
    if decoder().startswith("simplejpeg"):
        found = {"simplejpeg": importlib.import_module("simplejpeg").decode_jpeg, **found}
    return found


def reading(source: Source) -> Case:
    """Encoded images in random order."""
    order = np.random.default_rng(0).permutation(len(source)).tolist()

    def steps() -> Iterator[int]:
        while True:
            for index in order:
                bytes_of(source, index)
                yield 1

    going = steps()
    return lambda seconds: timed(going, seconds)


def bare(decode: Callable[[bytes], np.ndarray], contents: list[bytes], *, held: bool = False) -> Case:
    """The decoder alone. held: the pixels of a batch are kept until it is full, as any loader must."""

    def steps() -> Iterator[int]:
        while True:
            for begin in range(0, len(contents), BATCH):
                some = contents[begin : begin + BATCH]
                if held:
                    _ = [decode(content) for content in some]
                else:
                    for content in some:
                        decode(content)
                yield len(some)

    going = steps()
    return lambda seconds: timed(going, seconds)


def twice(case: Case) -> Case:
    """The same in two processes at once."""

    def both(seconds: float) -> tuple[int, float, float]:
        context = get_context("fork")
        results = context.SimpleQueue()
        runners = [context.Process(target=lambda: results.put(case(seconds))) for _ in range(2)]
        for runner in runners:
            runner.start()
        found = [results.get() for _ in runners]
        for runner in runners:
            runner.join()
        # the rates are added: the processes need not begin at the same moment
        images, longest = sum(done for done, _, _ in found), max(passed for _, passed, _ in found)
        return images, longest, sum(used for _, _, used in found)

    return both


def stream(make: Callable[[], Iterator[int]], workers: int) -> Case:
    """A loader that is started anew for each turn, and measured when its workers are at full speed."""

    def run(seconds: float) -> tuple[int, float, float]:
        steps = make()
        for _ in range(1 + 6 * workers):
            next(steps)
        found = timed(steps, seconds)
        steps.close()  # type: ignore[attr-defined]
        return found

    return run


def own(source: Source, workers: int) -> Callable[[], Iterator[int]]:
    def steps() -> Iterator[int]:
        sampler = EpochSampler(num_examples=len(source), batch_size=min(BATCH, len(source)), seed=0)
        for batch in batches(source, sampler, end_epoch=10**6, num_workers=workers):
            yield len(batch)

    return steps


class Plain(torch.utils.data.Dataset):
    """A folder as one would write it down."""

    def __init__(self, source: FolderSource) -> None:
        self.files = [f"{source.root}/{key}" for key in source.keys]
        self.labels = source.labels.tolist()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        with Image.open(self.files[index]) as image:
            pixels = np.array(image.convert("RGB"))
        return torch.from_numpy(pixels).permute(2, 0, 1), self.labels[index]


def data_loader(source: FolderSource, workers: int) -> Callable[[], Iterator[int]]:
    def steps() -> Iterator[int]:
        loader = torch.utils.data.DataLoader(Plain(source), BATCH, shuffle=True, num_workers=workers)
        while True:
            for images, _ in loader:
                yield len(images)

    return steps


def web(module: Any, shards: Path, workers: int) -> Callable[[], Iterator[int]]:
    def steps() -> Iterator[int]:
        files = sorted(str(path) for path in shards.glob("*.tar"))
        images = module.WebDataset(files, shardshuffle=len(files)).shuffle(1000).decode("rgb8").to_tuple("jpg", "cls")
        loader = module.WebLoader(images.batched(BATCH).repeat(), batch_size=None, num_workers=workers)
        for some, _ in loader:
            yield len(some)

    return steps


@contextmanager
def pillow_only() -> Iterator[None]:
    """Angulus as it is without simplejpeg."""
    before = ours._simplejpeg
    ours._simplejpeg = lambda: None  # type: ignore[assignment]
    try:
        yield
    finally:
        ours._simplejpeg = before


def without_simplejpeg(case: Case) -> Case:
    def run(seconds: float) -> tuple[int, float, float]:
        with pillow_only():
            return case(seconds)

    return run


# ------------------------------------------------------------------------------------------------ the list


def find_webdataset(folder: Path) -> Any:
    """The module, installed for this run alone if it must be; a word why not, else."""
    try:
        return importlib.import_module("webdataset")
    except ImportError:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
        done = subprocess.run([*command, "webdataset", "braceexpand"], capture_output=True, text=True, check=False)
    if done.returncode:
        return "webdataset is not installed and could not be"
    sys.path.insert(0, str(folder))
    return importlib.import_module("webdataset")


def convert_all(data: Path, folder: Path) -> tuple[dict[str, Source], Path]:
    """The images of a folder in every layout, and as tar shards."""
    original = FolderSource.open(data)
    for layout, name in LAYOUTS.items():
        convert(original, folder / layout / name)
    shuffled = np.random.default_rng(0).permutation(len(original))
    for number, some in enumerate(np.array_split(shuffled, SHARDS)):
        convert(select(original, some), folder / "shards" / f"{number:02d}.tar")
    first = original.read(0).shape[:2]
    opened = {layout: open_source(folder / layout / name, size=first) for layout, name in LAYOUTS.items()}
    return opened, folder / "shards"


def cases_of(sources: dict[str, Source], shards: Path, module: Any) -> dict[tuple[str, str, int], Case]:
    """By (what, decoder, workers)."""
    packed = sources["packed"]
    chosen = np.random.default_rng(0).permutation(len(packed))
    contents = [bytes_of(packed, index) or b"" for index in chosen.tolist()]
    cases: dict[tuple[str, str, int], Case] = {}
    for layout, source in sources.items():
        cases[f"read {layout}", "", 0] = reading(source)
    names = decoders()
    fastest = next(iter(names))
    for name, decode in names.items():
        cases["decoder", name, 0] = bare(decode, contents)
        cases["decoder", name, 2] = twice(bare(decode, contents))
        cases["decoder, a batch held", name, 0] = bare(decode, contents, held=True)
        cases["decoder, a batch held", name, 2] = twice(bare(decode, contents, held=True))
    for workers in (0, 2):
        for layout, source in sources.items():
            cases[layout, fastest, workers] = stream(own(source, workers), workers)
        cases["packed", "pillow", workers] = without_simplejpeg(stream(own(packed, workers), workers))
        folder = sources["folder"]
        assert isinstance(folder, FolderSource)
        cases["torch DataLoader, folder", "pillow", workers] = stream(data_loader(folder, workers), workers)
        if not isinstance(module, str):
            cases["webdataset, tar shards", "pillow", workers] = stream(web(module, shards, workers), workers)
    return cases


def measured(cases: dict[tuple[str, str, int], Case], repeats: int, seconds: float) -> dict[Any, list[Any]]:
    """All cases in turn, again and again."""
    found: dict[Any, list[Any]] = {name: [] for name in cases}
    for turn in range(repeats):
        for name, case in cases.items():
            found[name].append(case(seconds))
            print(f"\r{turn + 1}/{repeats} {' '.join(map(str, name)):60s}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return found


def rows_of(found: dict[Any, list[Any]]) -> list[Row]:
    """A row for each case: medians, and shares of the decoder alone with the same decoder on the same cores."""
    rows: list[Row] = []
    for (what, name, workers), times in found.items():
        row: Row = {"what": what, "decoder": name, "workers": workers}
        row["per_second"] = statistics.median(done / passed for done, passed, _ in times)
        row["cpu_microseconds"] = 1e6 * statistics.median(used / done for done, _, used in times)
        row["all"] = [[done, round(passed, 4), round(used, 4)] for done, passed, used in times]
        if name:
            alone = found["decoder", name, workers]
            pairs = list(zip(times, alone, strict=True))
            row["share"] = statistics.median((a[0] / a[1]) / (b[0] / b[1]) for a, b in pairs)
            row["cpu_share"] = statistics.median((b[2] / b[0]) / (a[2] / a[0]) if a[2] else 0.0 for a, b in pairs)
        rows.append(row)
    return rows


def reads_table(rows: list[Row]) -> str:
    lines = ["| layout | records/s | CPU us a record |", "| --- | ---: | ---: |"]
    for row in rows:
        if not row["decoder"]:
            name = row["what"].removeprefix("read ")
            lines.append(f"| {name} | {row['per_second']:,.0f} | {row['cpu_microseconds']:.1f} |")
    return "\n".join(lines) + "\n"


def loading_table(rows: list[Row]) -> str:
    lines = [
        "| what | decoder | workers | images/s | of the decoder alone | CPU us an image | of the decoder's CPU time |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in sorted((row for row in rows if row["decoder"]), key=lambda row: row["workers"]):
        cells = [row["what"], row["decoder"], str(row["workers"]), f"{row['per_second']:,.0f}", f"{row['share']:.0%}"]
        lines.append(f"| {' | '.join(cells)} | {row['cpu_microseconds']:.1f} | {row['cpu_share']:.0%} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "lfw112", help="a folder of JPEGs of one size")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--moment", type=float, default=1.0, help="seconds of each measurement")
    parser.add_argument("--no-webdataset", action="store_true")
    parser.add_argument("--json", type=Path, default=RESULTS / "loading_cpu.json")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="loading_") as scratch:
        folder = Path(scratch)
        sources, shards = convert_all(chosen.data, folder)
        module = "left out" if chosen.no_webdataset else find_webdataset(folder / "site")
        rows = rows_of(measured(cases_of(sources, shards, module), chosen.repeats, chosen.moment))
        images = len(sources["packed"])
    record = {
        **{"date": datetime.now(UTC).date().isoformat(), "machine": platform.machine(), "processors": os.cpu_count()},
        **{"command": "python benchmarks/loading.py", "repeats": chosen.repeats, "moment": chosen.moment},
        **{"images": images, "load_before": round(load, 2), "decoder": decoder(), "torch": torch.__version__},
        "webdataset": module if isinstance(module, str) else module.__version__,
        "rows": rows,
    }
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    reads, loading = reads_table(rows), loading_table(rows)
    chosen.json.with_name(f"{chosen.json.stem}_reads.md").write_text(f"Reading\n\n{reads}", encoding="utf-8")
    chosen.json.with_suffix(".md").write_text(f"Loading\n\n{loading}", encoding="utf-8")
    about = f"{images} images, {decoder()}, webdataset: {record['webdataset']}, load before: {load:.2f}"
    print(f"{about}\n\n{reads}\n{loading}")


if __name__ == "__main__":
    main()
