"""From FLAC to EER on words: train on 20 speakers, verify the 10 others, three times; beside a pretrained encoder.

    python benchmarks/speaker_words.py                                     about ten minutes on one core
    python benchmarks/speaker_words.py --encoder resemblyzer/pretrained.pt     with the encoder of `resemblyzer_encoder`

data/speech/arabic30: 20 command words, each said twice by each of 30 speakers, one second, 16 kHz. The speakers are
dealt into three folds; a pair is of two speakers of one fold, scored by the network that was trained on the two others
(`tiny_speech`, as `angulus train` chooses it, one thread, float32), and the pairs of all folds are judged together:

    one word      both recordings hold the same word
    across words  they hold different words
    eight words   eight words of one round, one after the other, against eight other words of the same or another round

The encoder was trained on much other speech (English; what it heard is not stated here), so that it stands for what
weights from elsewhere bring and not for the same task. First the filter bank is held against kaldi-native-fbank on all
recordings (--bank: that alone). Writes speaker_words_<machine>.json and .md, and speech_bank.json, to results.
"""

import argparse
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machines
import numpy as np
import torch
from numpy.typing import NDArray
from resemblyzer_encoder import Encoder

from angulus import load_model
from angulus.config import load
from angulus.data import open_source
from angulus.embeddings import EmbeddingSet
from angulus.evaluation import verify_trials
from angulus.evaluation.rates.costs import VOXCELEB_005
from angulus.evaluation.scores.enrolment import Trials
from angulus.evaluation.scores.pairs import Pairs
from angulus.extract import embed
from angulus.speech import FilterBank
from angulus.training import train

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
FOLDS, SENTENCES = 3, 4
Samples = NDArray[np.int16]
Embedding = Callable[[Sequence[Samples]], NDArray[np.float32]]


@dataclass(frozen=True)
class Words:
    """Recordings of one word each, and sentences of eight: who speaks, which words they hold."""

    samples: list[Samples]
    speakers: NDArray[np.int64]
    words: list[frozenset[str]]


def recorded(data: Path) -> tuple[Words, list[str]]:
    source = open_source(data)
    words = [frozenset([key.rpartition("/")[2].split("_")[0]]) for key in source.keys]
    samples = [source.read(row) for row in range(len(source))]
    return Words(samples, np.asarray(source.labels), words), list(source.identities)


def sentences(single: Words) -> Words:
    """For each speaker several draws of eight words and eight others, of recordings drawn among the two rounds."""
    random = np.random.default_rng(0)
    samples, speakers, words = [], [], []
    names = sorted(set().union(*single.words))
    for draw in range(SENTENCES):
        order = np.random.default_rng(draw).permutation(names)
        for half in (order[:8], order[8:16]):
            for speaker in np.unique(single.speakers):
                own = np.flatnonzero(single.speakers == speaker)
                rows = [random.choice([row for row in own if single.words[row] == {word}]) for word in half]
                samples.append(np.concatenate([single.samples[row] for row in rows]))
                speakers.append(speaker)
                words.append(frozenset(half.tolist()))
    return Words(samples, np.array(speakers), words)


def pairs_of(words: Words, fold_of: NDArray[np.int64], kind: str) -> Pairs:
    """Pairs within a fold of the kind."""
    left, right = np.triu_indices(len(words.samples), k=1)
    inside = fold_of[words.speakers[left]] == fold_of[words.speakers[right]]
    left, right = left[inside], right[inside]
    shared = np.array([bool(words.words[a] & words.words[b]) for a, b in zip(left, right, strict=True)])
    wanted = shared if kind == "one word" else ~shared
    left, right = left[wanted], right[wanted]
    return Pairs(left=left, right=right, same=words.speakers[left] == words.speakers[right])


def trained(data: Path, held_out: list[str], folder: Path) -> Embedding:
    """What a network gives that has not heard some speakers."""
    if not (folder / "result.json").exists():
        settings = {
            "data": {"name": "folder", "path": str(data), "identities": {"exclude": held_out}},
            "model": "tiny_speech",
            "train": {"threads": 1, "precision": "float32"},
            "evaluation": {"hold_out": "nobody"},
            "out": str(folder),
        }
        train(load([], [f"{key}={json.dumps(value)}" for key, value in settings.items()]), resume=folder.exists())
    model = load_model(folder / "model")
    return lambda samples: embed(model, list(samples)).embeddings


def bank_differences(single: Words) -> dict[str, Any]:
    """Log energies of all recordings: ours and kaldi-native-fbank's against each other, and both against float64."""
    import kaldi_native_fbank as knf

    options = knf.FbankOptions()
    options.frame_opts.dither, options.frame_opts.window_type, options.mel_opts.num_bins = 0.0, "hamming", 80
    bank, found = FilterBank(bands=80, window="hamming"), []
    for samples in single.samples:
        theirs = knf.OnlineFbank(options)
        theirs.accept_waveform(16_000, samples.astype(np.float32).tolist())
        theirs.input_finished()
        known = np.stack([theirs.get_frame(row) for row in range(theirs.num_frames_ready)])
        waveform = torch.from_numpy(samples)[None]
        ours, exact = (bank(waveform.to(kind))[0].numpy() for kind in (torch.float32, torch.float64))
        found.append([np.abs(one - other).ravel() for one, other in ((ours, known), (ours, exact), (known, exact))])
    names = ("ours and kaldi-native-fbank", "ours and float64", "kaldi-native-fbank and float64")
    return {
        name: {"values": len(gaps), "most": float(gaps.max()), "above 1e-4": float((gaps > 1e-4).mean())}
        for name, gaps in zip(names, (np.concatenate(parts) for parts in zip(*found, strict=True)), strict=True)
    }


def judged(vectors: NDArray[np.float32], words: Words, pairs: Pairs, names: list[str]) -> dict[str, Any]:
    rows = EmbeddingSet(embeddings=vectors, labels=words.speakers, identities=tuple(names))
    step = verify_trials(Trials(recordings=rows, pairs=pairs), intervals=None).result.steps[0]
    sure = step.confidence
    assert sure is not None
    assert sure.eer is not None
    ends = [100 * sure.eer.low, 100 * sure.eer.high]
    counts = {"genuine": int(pairs.same.sum()), "impostor": int((~pairs.same).sum())}
    return {"eer": 100 * step.eer.rate, "eer_interval": ends, "min_dcf_0.05": step.min_dcf(VOXCELEB_005), **counts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--runs", type=Path, default=Path("runs/speaker_words"))
    parser.add_argument("--encoder", type=Path)
    parser.add_argument("--bank", action="store_true", help="the filter bank alone")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.WARNING)
    data = asked.data / "speech" / "arabic30"
    single, names = recorded(data)
    eight = sentences(single)
    fold_of = np.empty(len(names), np.int64)
    fold_of[np.random.default_rng(0).permutation(len(names))] = np.arange(len(names)) % FOLDS
    bank = bank_differences(single)
    print(json.dumps(bank), flush=True)
    (RESULTS / "speech_bank.json").write_text(json.dumps(bank | {"about": machines.about()}, indent=1) + "\n")
    if asked.bank:
        return
    result: dict[str, Any] = {"rows": {}}
    vectors: dict[str, list[NDArray[np.float32]]] = {}
    for fold in range(FOLDS):
        held_out = [name for name, own in zip(names, fold_of, strict=True) if own == fold]
        network = trained(data, held_out, asked.runs / f"fold-{fold}")
        for name, words in (("single", single), ("eight", eight)):
            rows = np.flatnonzero(fold_of[words.speakers] == fold)
            found = network([words.samples[row] for row in rows])
            kept = vectors.setdefault(name, [np.zeros((len(words.samples), found.shape[1]), np.float32)])
            kept[0][rows] = found
    ours = {name: kept[0] for name, kept in vectors.items()}
    of = {"tiny_speech, 20 speakers": ours}
    if asked.encoder is not None:
        encoder = Encoder(asked.encoder)
        of["resemblyzer's encoder"] = {"single": encoder.embed(single.samples), "eight": encoder.embed(eight.samples)}
    for network, found in of.items():
        for kind in ("one word", "across words", "eight words"):
            key, words = ("eight", eight) if kind == "eight words" else ("single", single)
            row = judged(found[key], words, pairs_of(words, fold_of, kind), names)
            result["rows"][f"{network} | {kind}"] = row
            print(network, kind, json.dumps(row), flush=True)
    result["about"] = {"date": datetime.now(UTC).date().isoformat(), **machines.about()}
    path = RESULTS / f"speaker_words_{machines.slug()}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    path.with_suffix(".md").write_text(table(result["rows"]))
    print(table(result["rows"]))


def table(rows: dict[str, dict[str, Any]]) -> str:
    lines = [
        "| network | pairs | of one speaker, of two | EER, % | minDCF(0.05) |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for name, row in rows.items():
        low, high = row["eer_interval"]
        rate = f"{row['eer']:.1f} ({low:.1f} to {high:.1f})"
        counts = f"{row['genuine']:,}, {row['impostor']:,}"
        lines.append(f"| {name} | {counts} | {rate} | {row['min_dcf_0.05']:.3f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
