"""How much of the decoder's speed reaches the training step, for every layout, beside DataLoader and webdataset.

    python benchmarks/loading.py                     about five minutes; results/loading_cpu.json and three tables

The images of a folder (data/lfw112) are converted into every layout in a temporary folder; all are in the page cache.

reads        records/s of reading encoded images in random order, without decoding
parts        what loading adds to decoding, or would add if it were done as is usual
decoder      the decoder alone, bytes in memory to pixels; in two processes at once where there are two workers.
             Pixels that are dropped are written over and over to the same fast memory, which no loader can do
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
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machines
import numpy as np
import torch
from loading_cases import (
    Case,
    bare,
    data_loader,
    decoders,
    own,
    parts,
    reading,
    stream,
    twice,
    web,
    without_simplejpeg,
)

from angulus.data import FolderSource, Source, bytes_of, convert, decoder, open_source, select

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
LAYOUTS = {"folder": "people", "manifest": "list.csv", "rec": "train.rec", "tar": "people.tar"} | {
    "parquet": "people.parquet",
    "packed": "people.packed",
}
SHARDS = 8
DROPPED, KEPT = "decoder, pixels dropped", "decoder, pixels of a batch kept"
Row = dict[str, Any]


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
    cases |= {(f"part {name}", "", 0): case for name, case in parts(contents).items()}
    names = decoders()
    fastest = next(iter(names))
    for name, decode in names.items():
        cases[DROPPED, name, 0] = bare(decode, contents)
        cases[DROPPED, name, 2] = twice(bare(decode, contents))
        cases[KEPT, name, 0] = bare(decode, contents, kept=True)
        cases[KEPT, name, 2] = twice(bare(decode, contents, kept=True))
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
        for alone, suffix in ((DROPPED, ""), (KEPT, "_kept")) if name else ():
            pairs = list(zip(times, found[alone, name, workers], strict=True))
            row["share" + suffix] = statistics.median((a[0] / a[1]) / (b[0] / b[1]) for a, b in pairs)
            row["cpu_share" + suffix] = statistics.median((b[2] / b[0]) / (a[2] / a[0]) for a, b in pairs)
        rows.append(row)
    return rows


def rates_table(rows: list[Row], kind: str, title: str, unit: str) -> str:
    lines = [f"| {title} | {unit}s/s | CPU us of each |", "| --- | ---: | ---: |"]
    for row in rows:
        if row["what"].startswith(kind):
            name = row["what"].removeprefix(kind)
            lines.append(f"| {name} | {row['per_second']:,.0f} | {row['cpu_microseconds']:.1f} |")
    return "\n".join(lines) + "\n"


def loading_table(rows: list[Row]) -> str:
    lines = [
        "| what | decoder | workers | images/s | of the decoder alone, pixels dropped, kept | CPU us an image |"
        " of the decoder's CPU time, pixels dropped, kept |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in sorted((row for row in rows if row["decoder"]), key=lambda row: row["workers"]):
        wall, cpu_time = (f"{row[name]:.0%}, {row[name + '_kept']:.0%}" for name in ("share", "cpu_share"))
        cells = [row["what"], row["decoder"], str(row["workers"]), f"{row['per_second']:,.0f}", wall]
        lines.append(f"| {' | '.join(cells)} | {row['cpu_microseconds']:.1f} | {cpu_time} |")
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
        **{"date": datetime.now(UTC).date().isoformat(), "machine": machines.words(), "processors": os.cpu_count()},
        "command": f"python benchmarks/loading.py --repeats {chosen.repeats} --moment {chosen.moment:g}",
        **{"images": images, "load_before": round(load, 2), "decoder": decoder(), "torch": torch.__version__},
        "webdataset": module if isinstance(module, str) else module.__version__,
        "rows": rows,
    }
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    tables = {
        "_reads": rates_table(rows, "read ", "layout", "record"),
        "_parts": rates_table(rows, "part ", "part", "image"),
        "": loading_table(rows),
    }
    for suffix, table in tables.items():
        path = chosen.json.with_name(f"{chosen.json.stem}{suffix}.md")
        path.write_text(f"Loading of {images} images\n\n{table}", encoding="utf-8")
    about = f"{images} images, {decoder()}, webdataset: {record['webdataset']}, load before: {load:.2f}"
    print(about, *tables.values(), sep="\n\n")


if __name__ == "__main__":
    main()
