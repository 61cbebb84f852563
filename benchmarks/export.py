"""Does an exported file do what its model does? Accuracy on LFW, distance, time and size of each kind of file.

    python benchmarks/export.py                              068.ckpt in ONNX and OpenVINO, float32 and int8
    python benchmarks/export.py --models runs/demo           other models (a run, or weights); several may be named
    python benchmarks/export.py --only torch openvino-int8   some of the files; each takes three to eight minutes

Images: data/lfw112. The 6,000 pairs touch 4,281 people; of the 1,468 others 300 images, drawn by a seed, are what int8
is made on, and the images of people who are not among those are what each file is compared with its model on. Both
accuracies come from vectors of the exported file alone, opened by `runtime.Embedder`: plain and mirrored images, at
the lengths that the file gives, since both protocols join or add raw embeddings. The row "torch" is the model itself.
"mirror" files add both views inside, as the protocol "insightface" does. One thread. Figures are written after each
row to benchmarks/results/export_<machine>.json, and a table beside it; what is there is not measured again.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machines
import numpy as np
import torch
from numpy.typing import NDArray

from angulus.cli.inputs.models_and_images import OpenModel, open_images, open_model
from angulus.data import Source, select
from angulus.embeddings import EmbeddingSet
from angulus.evaluation import match, read_pairs, verify
from angulus.export import ExportOptions, export_model
from angulus.export.comparison import BATCH, crops_of, original
from angulus.runtime import Bundle, Embedder

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
FILES = (
    *("torch", "onnx-float32", "openvino-float32", "openvino-int8", "onnx-int8", "openvino-float32-mirror"),
    *("onnx-float16", "openvino-float16"),
)
USUAL = FILES[:6]
MADE_ON = 300
PROTOCOLS = ("mean-centred", "insightface")
Vectors = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class Material:
    """A model, LFW at its size, and who of LFW is for what."""

    def __init__(self, model: str, data: Path) -> None:
        self.opened: OpenModel = open_model(Path(model))
        self.lfw = open_images(data / "lfw112", self.opened.model.input, fit="auto")
        self.pairs = read_pairs(data / "lfw_protocol" / "pairs.txt")
        blank = EmbeddingSet(embeddings=np.zeros((len(self.lfw), 1), np.float32), keys=tuple(self.lfw.keys))
        matched = match(self.pairs, blank)
        self.rows = np.union1d(matched.left, matched.right)
        labels = np.asarray(self.lfw.labels)
        others = np.flatnonzero(~np.isin(labels, labels[self.rows]))
        drawn = np.sort(np.random.default_rng(0).permutation(others)[:MADE_ON])
        self.made_on = select(self.lfw, drawn)
        self.judged = select(self.lfw, others[~np.isin(labels[others], labels[drawn])])

    def compared(self) -> Source:
        """The images of the pairs."""
        return select(self.lfw, self.rows)


def measured(seen: Material, name: str) -> dict[str, Any]:
    """One row: the figures of a kind of file."""
    if name == "torch":
        return {"lfw": accuracies(seen, original(seen.opened.model, mirror=False, raw=True))}
    kind, precision, *mirror = name.split("-")
    options = ExportOptions(to=kind, precision=precision, mirror=bool(mirror))
    with tempfile.TemporaryDirectory() as folder:
        done = export_model(
            *(seen.opened.model, Path(folder) / "bundle", options),
            images=seen.judged,
            quantize_on=seen.made_on if precision == "int8" else None,
            detector=None,
            config=seen.opened.config,
        )
        found = accuracies(seen, Embedder(Bundle(done.path)).embeddings, mirror=bool(mirror))
    threshold = None if done.threshold is None else done.threshold.to_dict()
    return {"lfw": found, "parity": dict(done.parity), "threshold": threshold, "missing": done.missing}


def accuracies(seen: Material, vectors: Vectors, *, mirror: bool = False) -> dict[str, Any]:
    """Accuracy over the ten folds by both protocols, with intervals by people. mirror: a vector is of both views."""
    source = seen.compared()
    parts: tuple[list[Any], list[Any]] = ([], [])
    for start in range(0, len(source), BATCH):
        crops = crops_of(source, start, start + BATCH)
        for part, view in zip(parts, (crops, np.ascontiguousarray(crops[:, :, ::-1])), strict=True):
            part.append(parts[0][-1] if mirror and part is parts[1] else vectors(view))
    plain, mirrored = (np.concatenate(part) for part in parts)
    labels, names = np.asarray(source.labels), tuple(source.identities)
    found = EmbeddingSet(embeddings=plain, flipped=mirrored, labels=labels, identities=names, keys=tuple(source.keys))
    pairs = match(seen.pairs, found)
    return {protocol: accuracy_of(verify(found, pairs, protocol=protocol, intervals=None)) for protocol in PROTOCOLS}


def accuracy_of(result: Any) -> dict[str, Any]:
    interval = None if result.confidence is None else result.confidence.accuracy
    spread = {} if interval is None else {"low": interval.low, "high": interval.high}
    return {"accuracy": result.accuracy.mean, **spread}


def markdown(rows: dict[str, dict[str, Any]]) -> str:
    titles = ["model", "file", *(f"{protocol} (%)" for protocol in PROTOCOLS), "largest distance", "mean distance"]
    titles += ["largest change of a score", "ms alone", "ms in 32", "MB", "threshold at FAR"]
    lines = [f"| {' | '.join(titles)} |", f"| {' | '.join(['---'] * 4 + ['---:'] * 6 + ['---'])} |"]
    for model, files in rows.items():
        for name, row in files.items():
            lines.append(f"| {' | '.join([model, name, *cells(row, files)])} |")
    return "\n".join(lines) + "\n"


def cells(row: dict[str, Any], files: dict[str, Any]) -> list[str]:
    found = [percent(row["lfw"][protocol]) for protocol in PROTOCOLS]
    parity = row.get("parity")
    if parity is None:
        other = next((each["parity"] for each in files.values() if "parity" in each), None)
        if other is None:
            return [*found, *[""] * 7]
        seconds = other["seconds_an_image"]["before"]
        return [*found, "", "", "", *times(seconds), f"{other['bytes']['before'] / 1e6:.2f}", ""]
    threshold = row["threshold"]
    put = "" if threshold is None else f"{threshold['value']:.4f} at {threshold['target_far']:g}"
    return [
        *(*found, f"{parity['largest_distance']:.1e}", f"{parity['distance']['mean']:.1e}"),
        *(f"{parity['scores']['largest']:.1e}", *times(parity["seconds_an_image"]["after"])),
        *(f"{parity['bytes']['after'] / 1e6:.2f}", put),
    ]


def times(seconds: dict[str, float]) -> list[str]:
    return [f"{1000 * seconds[count]:.1f}" for count in ("1", "32")]


def percent(found: dict[str, float]) -> str:
    spread = f" ({100 * found['low']:.2f} to {100 * found['high']:.2f})" if "low" in found else ""
    return f"{100 * found['accuracy']:.2f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--models", nargs="*", default=None)
    parser.add_argument("--only", nargs="*", choices=FILES, default=list(USUAL))
    parser.add_argument("--note", default="", help="about the machine, kept with the figures")
    parser.add_argument("--json", type=Path, default=RESULTS / f"export_{machines.slug()}.json")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    record: dict[str, Any] = json.loads(chosen.json.read_text()) if chosen.json.exists() else {"rows": {}}
    record |= {"date": datetime.now(UTC).date().isoformat(), "command": "python benchmarks/export.py", "threads": 1}
    record |= {**machines.about(), **({"note": chosen.note} if chosen.note else {})}
    for model in chosen.models or [str(chosen.data / "mobilefacenet" / "068.ckpt")]:
        seen, rows = Material(model, chosen.data), record["rows"].setdefault(Path(model).name, {})
        for name in (name for name in chosen.only if name not in rows):
            rows[name] = measured(seen, name)
            chosen.json.parent.mkdir(parents=True, exist_ok=True)
            aside = chosen.json.with_suffix(".partial")
            aside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            aside.replace(chosen.json)
            chosen.json.with_suffix(".md").write_text(markdown(record["rows"]), encoding="utf-8")
            print(markdown({Path(model).name: {name: rows[name]}}), flush=True)


if __name__ == "__main__":
    main()
