"""Are copies of recordings found, and are different ones told apart? Planted copies of real words, and of drawn speech.

    python benchmarks/speech_copies.py                       about 15 minutes on one busy core
    python benchmarks/speech_copies.py --planted 20          fewer planted copies

words: data/speech/arabic30, 1,200 words of one second said by 30 speakers, each word twice by each. drawn: sentences of
some seconds made of numbers (`angulus.speech.synthetic`), no speech of anybody. features: the first utterances of
data/speech/etri200.npz, sentences read by 200 speakers.

Planted: recordings, changed in one way each, are looked for among the whole set (`find_copies`, no model). A pair is
right when it is the original. Different: all pairs of different recordings in a set, by bits of the hashes, and the
agreement of those that are nearest by hash; two speakers who say one word, and one who says it twice, are different
recordings.

Writes benchmarks/results/speech_copies.json, speech_copies.md and speech_copies_apart.md. No sound is written anywhere.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import machines
import numpy as np
import torch
from numpy.typing import NDArray

from angulus.data import Source, open_source
from angulus.data.views.sequences import Sequences
from angulus.inspection.contents import Contents, scan, typical_spectrum
from angulus.inspection.copies import MOST_BITS, Seen, find_copies
from angulus.inspection.hashing import distances
from angulus.inspection.looks import Look, look_of
from angulus.speech.synthetic import drawn_utterance

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
RATE = 16_000
NEAREST = 200
Change = Callable[[NDArray[Any]], NDArray[Any]]


def whole(samples: NDArray[Any]) -> NDArray[np.int16]:
    """Rounded and cut to 16 bits."""
    return np.clip(np.rint(samples), -32768, 32767).astype(np.int16)


def cut(values: NDArray[Any], share: float) -> NDArray[Any]:
    """So much is cut off at both ends."""
    gone = int(len(values) * share)
    return values[gone : len(values) - gone]


def later(samples: NDArray[Any], milliseconds: int) -> NDArray[Any]:
    """Moved behind so much silence, of the old length."""
    return np.concatenate([np.zeros(RATE * milliseconds // 1000, np.int16), samples])[: len(samples)]


def encoded(samples: NDArray[Any], **how: str) -> NDArray[Any]:
    """Written in another format and read back."""
    import soundfile

    content = BytesIO()
    soundfile.write(content, samples, RATE, **how)
    content.seek(0)
    return soundfile.read(content, dtype="int16")[0]


def narrow(samples: NDArray[Any], rate: int) -> NDArray[Any]:
    """Resampled to a lower rate and back."""
    import soxr

    return whole(soxr.resample(soxr.resample(samples.astype(np.float32), RATE, rate), rate, RATE))


def noisy(samples: NDArray[Any], decibels: float) -> NDArray[Any]:
    """White noise so much below the level of the recording."""
    level = np.sqrt((samples.astype(np.float64) ** 2).mean()) * 10 ** (-decibels / 20)
    return whole(samples + level * np.random.default_rng(0).standard_normal(len(samples)))


SOUND: dict[str, Change] = {
    "gain 0.5": lambda samples: whole(samples * 0.5),
    "gain 2, clipped": lambda samples: whole(samples * 2.0),
    "steps 16 times as coarse": lambda samples: (samples // 16 * 16).astype(np.int16),
    "Ogg Vorbis": lambda samples: encoded(samples, format="OGG", subtype="VORBIS"),
    "MP3": lambda samples: encoded(samples, format="MP3"),
    "8 kHz and back": lambda samples: narrow(samples, 8000),
    "50 ms later": lambda samples: later(samples, 50),
    "200 ms later": lambda samples: later(samples, 200),
    "2 % cut off each end": lambda samples: cut(samples, 0.02),
    "5 % cut off each end": lambda samples: cut(samples, 0.05),
    "10 % cut off each end": lambda samples: cut(samples, 0.10),
    "noise at 20 dB": lambda samples: noisy(samples, 20),
}
FRAMES: dict[str, Change] = {
    "half the range": lambda frames: np.rint((frames.astype(np.float32) - 128) * 0.5 + 128).astype(np.uint8),
    "5 % cut off each end": lambda frames: cut(frames, 0.05),
    "10 % cut off each end": lambda frames: cut(frames, 0.10),
    "50 ms later": lambda frames: np.concatenate([np.repeat(frames[:1], 5, axis=0), frames])[: len(frames)],
    "noise of deviation 2": lambda frames: (
        whole(frames + np.random.default_rng(0).normal(0, 2, frames.shape)).clip(0, 255).astype(np.uint8)
    ),
}


@dataclass(frozen=True)
class Set:
    """A set, and what is done to some of its examples."""

    name: str
    source: Source
    changes: Mapping[str, Change]


def in_memory(name: str, examples: Sequence[NDArray[Any]]) -> Sequences:
    """Examples of one identity each."""
    return Sequences(
        values=np.concatenate(examples),
        ends=np.cumsum([len(each) for each in examples]),
        labels=np.arange(len(examples)),
        identities=[f"{row:06d}" for row in range(len(examples))],
        keys=[f"{row:06d}" for row in range(len(examples))],
        origin=name,
    )


def drawn(count: int) -> Sequences:
    """Sentences of 3 to 6 seconds of drawn speakers, five each."""
    made = [
        drawn_utterance(seed=0, speaker=row // 5, utterance=row % 5, seconds=3.0 + row % 4, rate=RATE)
        for row in range(count)
    ]
    return in_memory("drawn", made)


def sets(data: Path, utterances: int) -> list[Set]:
    """Those that are there."""
    found = []
    if (data / "speech" / "arabic30").is_dir():
        found.append(Set("words", open_source(data / "speech" / "arabic30"), SOUND))
    found.append(Set("drawn", drawn(min(400, utterances)), SOUND))
    if (data / "speech" / "etri200.npz").is_file():
        features = open_source(data / "speech" / "etri200.npz")
        random = np.random.default_rng(0)
        chosen = np.sort(random.choice(len(features), min(utterances, len(features)), replace=False))
        found.append(Set("features", in_memory("features", [features.read(int(row)) for row in chosen]), FRAMES))
    return found


def measured(each: Set, planted: int) -> dict[str, Any]:
    """Recall of planted copies, and how near different recordings come."""
    started = time.process_time()
    typical, look = typical_spectrum(each.source), look_of(each.source)
    seen = Seen(source=each.source, contents=scan(each.source, typical))
    seconds = time.process_time() - started
    within = find_copies(seen)
    different = apart(look, seen)
    different["called_copies"] = sum(copy.certain for copy in within)
    different["listed_as_alike"] = sum(not copy.certain for copy in within)
    chosen = np.sort(np.random.default_rng(0).choice(len(each.source), planted, replace=False))
    changes = []
    for name, change in each.changes.items():
        source = in_memory(name, [change(each.source.read(int(row))) for row in chosen])
        changed = Seen(source=source, contents=scan(source, typical))
        looked = find_copies(changed, seen)
        right = [copy for copy in looked if chosen[copy.left] == copy.right]
        sure = [copy for copy in looked if copy.certain]
        agreements = [copy.agreement for copy in right if copy.agreement == copy.agreement]
        changes.append(
            {
                "change": name,
                "found_by_hash": len({copy.left for copy in right}) / planted,
                "called_copy": len({copy.left for copy in right if copy.certain}) / planted,
                "wrong": len(sure) - sum(copy.certain for copy in right),
                "agreement_5%": round(float(np.quantile(agreements, 0.05)), 3) if agreements else None,
            }
        )
        print(each.name, json.dumps(changes[-1]), flush=True)
    return {
        "set": each.name,
        "recordings": len(each.source),
        "scan_cpu_s": round(seconds, 1),
        "planted": planted,
        "different": different,
        "changes": changes,
    }


def apart(look: Look, seen: Seen) -> dict[str, Any]:
    """How many bits different recordings differ in, and the agreement of those that are nearest by each hash."""
    rows = seen.contents.rows
    found: dict[str, Any] = {"pairs": len(rows) * (len(rows) - 1) // 2}
    for own, theirs in look.hashes:
        bits, nearest = counted(seen.contents, own, theirs)
        agreements = [
            look.agreement(seen.source.read(left), seen.source.read(right)) for _, left, right in nearest[:NEAREST]
        ]
        found[own] = {
            "least_bits": int(np.flatnonzero(bits)[0]),
            f"within_{MOST_BITS}_bits": int(bits[: MOST_BITS + 1].sum()),
            f"within_{look.bounds.few_bits}_bits": int(bits[: look.bounds.few_bits + 1].sum()),
            "nearest": len(agreements),
            "agreement_of_nearest": {
                name: round(float(np.quantile(agreements, share)), 4)
                for name, share in (("median", 0.5), ("99%", 0.99), ("most", 1.0))
            },
        }
        print(own, json.dumps(found[own]), flush=True)
    return found


def counted(contents: Contents, own: str, theirs: str) -> tuple[NDArray[np.int64], list[tuple[int, int, int]]]:
    """Pairs by the bits they differ in [257], and the nearest as (bits, left, right)."""
    one, other = contents.rows[own], contents.rows[theirs]
    bits, nearest = np.zeros(257, np.int64), []
    for left in range(len(one) - 1):
        apart = distances(one[left : left + 1], other[left + 1 :])
        bits += np.bincount(apart, minlength=257)
        places = np.argsort(apart, kind="stable")[:NEAREST]
        nearest += [(int(apart[place]), left, left + 1 + int(place)) for place in places[:20]]
        if len(nearest) > 50 * NEAREST:
            nearest = sorted(nearest)[:NEAREST]
    return bits, sorted(nearest)[:NEAREST]


def table(results: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "| set | change | found by hash | called copy | agreement of 95 % | wrong pairs |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for each in results:
        for row in each["changes"]:
            least = "" if row["agreement_5%"] is None else f"{row['agreement_5%']:.3f}"
            shares = f"{row['found_by_hash']:.0%} | {row['called_copy']:.0%}"
            lines.append(f"| {each['set']} | {row['change']} | {shares} | {least} | {row['wrong']} |")
    return "\n".join(lines) + "\n"


def apart_table(results: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "| set | pairs of different recordings | fewest bits (whole, loudest) | within 40 bits | most agreement of the "
        "nearest | called copies |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for each in results:
        different = each["different"]
        both = [different[name] for name in ("hash", "loudest_hash")]
        most = max(side["agreement_of_nearest"]["most"] for side in both)
        lines.append(
            f"| {each['set']} | {different['pairs']:,} | {both[0]['least_bits']}, {both[1]['least_bits']} | "
            f"{both[0]['within_40_bits']}, {both[1]['within_40_bits']} | {most:.3f} | {different['called_copies']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--planted", type=int, default=60, help="recordings to change in each set")
    parser.add_argument("--utterances", type=int, default=2000, help="of the drawn set (at most 400) and the features")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    results = [measured(each, options.planted) for each in sets(options.data, options.utterances)]
    written = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{machines.words()}, torch {torch.__version__}",
        "sets": results,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "speech_copies.json").write_text(json.dumps(written, indent=1) + "\n")
    for name, text in (("speech_copies.md", table(results)), ("speech_copies_apart.md", apart_table(results))):
        (options.out / name).write_text(text)
        print(text)


if __name__ == "__main__":
    main()
