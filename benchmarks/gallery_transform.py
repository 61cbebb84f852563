"""What does a keyed rotation with fewer dimensions cost, and what does it hide? LFW by number of dimensions kept.

    python benchmarks/gallery_transform.py [--data DATA]     results/gallery_transform.json, .md; no timing

LFW through 068.ckpt (stored embeddings of 128 dimensions, plain and mirrored added), five keys for each number.
TAR at FAR 1e-3 and 1e-4: all pairs of the 13,233 images. TPIR at FPIR 1e-2: the first photo of each of the 1,680
people with more is enrolled, their second ones are searched, and one photo of each of the 4,069 others are strangers.
Between keys: cosines of the same image turned by two keys, the mean of their sizes and the largest; between unrelated
vectors of d dimensions they have the mean sqrt(2 / (pi d)). A thief with the key: the cosine of the image's vector to
the shortest vector that gives what was stored. What is then seen of the face is in docs/inversion.md (`angulus audit
inversion --defences none,rotated,half-with-key,quarter-with-key`).
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.evaluation import identify
from angulus.evaluation.rates.all_pairs import all_pairs
from angulus.gallery.transforms import KeyedRotation

RESULTS = Path(__file__).parent / "results"
KEPT, KEYS, FARS = (128, 96, 64, 48, 32, 16), 5, (1e-3, 1e-4)


def unit(rows: NDArray[Any]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def rates(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, float]:
    found = all_pairs(vectors, labels, fars=FARS)
    points = {f"tar@{far:g}": found.tar_at_far(far).tar for far in FARS}
    order = np.argsort(labels, kind="stable")
    starts, counts = np.unique(labels[order], return_index=True, return_counts=True)[1:]
    several = counts > 1
    first, second = order[starts[several]], order[starts[several] + 1]
    probes = np.concatenate([second, order[starts[~several]]])
    seen = identify(
        *(vectors[probes], vectors[first]),
        probe_labels=labels[probes],
        gallery_labels=labels[first],
        fpirs=(1e-2,),
        ranks=(1,),
    )
    return points | {"tpir@0.01": seen.points[0].hits / seen.points[0].known}


def measured(vectors: NDArray[np.float32], labels: NDArray[np.int64], keep: int) -> dict[str, Any]:
    """Figures of one number of dimensions: each a list over the keys."""
    keys = [bytes([number + 1]) * 32 for number in range(KEYS)]
    turns = [KeyedRotation(key, vectors.shape[1], keep) for key in keys]
    stored = [turn.apply(vectors) for turn in turns]
    found = [rates(each, labels) for each in stored]
    between = np.abs(np.concatenate([(a * b).sum(1) for a, b in zip(stored, stored[1:] + stored[:1], strict=True)]))
    thief = [unit(each @ turn.matrix) for turn, each in zip(turns, stored, strict=True)]
    shares = [float((each * vectors).sum(1).mean()) for each in thief]
    figures = {name: [each[name] for each in found] for name in found[0]}
    return {
        "keep": keep,
        **figures,
        "between_keys": {"mean": float(between.mean()), "largest": float(between.max())},
        "with_the_key": shares,
    }


def table(rows: list[dict[str, Any]]) -> str:
    titles = ["dimensions kept", *(f"TAR at FAR {far:g}" for far in FARS), "TPIR at FPIR 0.01"]
    titles += ["cosine between keys, mean (largest)", "cosine of what a thief with the key has"]
    lines = [f"| {' | '.join(titles)} |", f"| ---: {'| --- ' * (len(titles) - 1)}|"]
    for row in rows:
        spread = [percent(row[name]) for name in (*(f"tar@{far:g}" for far in FARS), "tpir@0.01")]
        between, shares = row["between_keys"], row["with_the_key"]
        spread += [f"{between['mean']:.3f} ({between['largest']:.2f})", f"{np.mean(shares):.3f}"]
        lines.append(f"| {row['keep']} | {' | '.join(spread)} |")
    return "\n".join(lines) + "\n"


def percent(values: list[float]) -> str:
    """Mean (least to most), in percent."""
    low, high = min(values), max(values)
    spread = "" if high - low < 5e-5 else f" ({100 * low:.1f} to {100 * high:.1f})"
    return f"{100 * np.mean(values):.1f} %{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    file = np.load(parser.parse_args().data / "lfw_embeddings" / "lfw_mobilefacenet128.npz", allow_pickle=False)
    vectors = unit(file["emb"].astype(np.float64) + file["emb_flip"])
    labels = file["label"].astype(np.int64)
    rows: list[dict[str, Any]] = [{"plain": rates(vectors, labels)}]
    for keep in KEPT:
        rows.append(measured(vectors, labels, keep))
        (RESULTS / "gallery_transform.json").write_text(json.dumps({"keys": KEYS, "rows": rows}, indent=1) + "\n")
        (RESULTS / "gallery_transform.md").write_text(table(rows[1:]))
        print(table(rows[-1:]), flush=True)


if __name__ == "__main__":
    main()
