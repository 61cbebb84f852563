"""Hours of audio a second, and where the time goes: reading, changes, filter bank, network, on a CPU or a GPU.

    python benchmarks/speech_throughput.py                      two to four minutes on one core
    python benchmarks/speech_throughput.py --device cuda --networks tiny_speech ecapa_512 ecapa_1024 campplus

Each part is timed alone, on chunks of two seconds at 16 kHz: the middle of several rounds after one that warms up.
Reading takes a folder of drawn speech in FLAC and WAV, or --folder. "all changes" are noise, other voices, rooms,
bands, clipping and mu-law, each with probability 1. A training step is forward, loss over 5,994 speakers (ArcFace, as
VoxCeleb2 has) and backward with SGD. `x real time` is seconds of audio for each second of work.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import machines
import soundfile
import torch
from torch import Tensor

from angulus import MarginHead
from angulus.data import open_source
from angulus.models import ECAPA512, ECAPA1024, CAMPPlus, EmbeddingModel, SpeakerResNet34, TinySpeech
from angulus.speech import Bank, SpeechAugment
from angulus.speech.synthetic import drawn_utterance

RESULTS = Path(__file__).parent / "results"
RATE, SECONDS, SPEAKERS = 16_000, 2.0, 5_994
NETWORKS = {
    "tiny_speech": TinySpeech,
    "ecapa_512": ECAPA512,
    "ecapa_1024": ECAPA1024,
    "speaker_resnet34": SpeakerResNet34,
    "campplus": CAMPPlus,
}
CHANGES = {
    "published changes": SpeechAugment(),
    "noise, each": SpeechAugment(noise=1.0, babble=0.0, reverberation=0.0),
    "babble, each": SpeechAugment(noise=0.0, babble=1.0, reverberation=0.0),
    "room, each": SpeechAugment(noise=0.0, babble=0.0, reverberation=1.0),
    "band, clip, mu-law, each": SpeechAugment(noise=0.0, babble=0.0, reverberation=0.0, band=1.0, clip=1.0, mu_law=1.0),
}


def timed(work: Callable[[], Any], device: torch.device, rounds: int) -> float:
    """Seconds of the middle round, after one that warms up."""
    found = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - started)
    return median(found[1:])


class Bench:
    """Rows of parts and their seconds of audio a second; written as they come."""

    def __init__(self, device: torch.device, batch: int, rounds: int) -> None:
        self.device, self.batch, self.rounds = device, batch, rounds
        self.rows: list[dict[str, Any]] = []

    def add(self, part: str, work: Callable[[], Any], *, audio: float | None = None) -> None:
        """audio: seconds of it in one round."""
        audio = self.batch * SECONDS if audio is None else audio
        seconds = timed(work, self.device, self.rounds)
        rate = audio / seconds
        row = {"part": part, "seconds": seconds, "x_real_time": rate, "hours_a_second": rate / 3600}
        self.rows.append(row)
        print(f"{part:40} {rate:10,.0f} x real time", flush=True)

    def save(self, path: Path) -> None:
        about = {"date": datetime.now(UTC).date().isoformat(), "threads": torch.get_num_threads(), "batch": self.batch}
        about |= machines.about(self.device.type)
        path.write_text(json.dumps({"about": about, "rows": self.rows}, indent=1) + "\n")
        path.with_suffix(".md").write_text(table(self.rows))


def drawn_batch(count: int) -> Tensor:
    """Chunks of drawn speech, int16 [n, samples]."""
    made = [drawn_utterance(0, row % 16, row // 16, seconds=SECONDS, rate=RATE) for row in range(min(count, 32))]
    some = torch.stack([torch.from_numpy(each[: round(RATE * SECONDS)]) for each in made])
    return some.repeat(-(-count // len(some)), 1)[:count]


def reading(bench: Bench) -> None:
    """Chunks of two seconds out of files of eight: one file after the other, one process."""
    for ending, kind in (("flac", "PCM_16"), ("wav", "PCM_16"), ("ogg", "VORBIS"), ("mp3", None)):
        with tempfile.TemporaryDirectory() as folder:
            for number in range(32):
                samples = drawn_utterance(0, number, 0, seconds=8.0, rate=RATE)
                place = Path(folder) / f"{number % 4}" / f"{number}.{ending}"
                place.parent.mkdir(exist_ok=True)
                soundfile.write(place, samples, RATE, subtype=kind)
            source = open_source(folder)
            length = round(RATE * SECONDS)

            def read(source: Any = source, length: int = length) -> None:
                for row in range(len(source)):
                    source.read_part(row, 0.5, length)

            bench.add(f"reading 2 s out of 8 s, {ending}", read, audio=len(source) * SECONDS)


def front_end(bench: Bench, waveforms: Tensor) -> None:
    """Changes and the filter bank, on the device."""
    bank = Bank.drawn(0, RATE).to(bench.device)
    for name, augment in CHANGES.items():
        bench.add(f"changes: {name}", lambda augment=augment: augment.apply(waveforms, seed=0, step=0, bank=bank))
    spec = TinySpeech().input
    features = spec.prepare(waveforms)
    bench.add("filter bank of 80 bands and mean", lambda: spec.prepare(waveforms))
    bench.add("masks", lambda: SpeechAugment(masking=1.0).mask(features, seed=0, step=0))


def network(bench: Bench, name: str, waveforms: Tensor, *, bfloat16: bool) -> None:
    """Embedding and training steps of a network, without its front end."""
    model: EmbeddingModel = NETWORKS[name]().build().to(bench.device)
    features = model.speech_input().prepare(waveforms)
    head = MarginHead(model.embedding_dim, SPEAKERS, margin="arcface").to(bench.device)
    labels = torch.arange(len(waveforms), device=bench.device) % SPEAKERS
    optimizer = torch.optim.SGD([*model.parameters(), *head.parameters()], lr=0.01, momentum=0.9)
    words = "bfloat16" if bfloat16 else "float32"

    def embedded() -> Tensor:
        with torch.autocast(bench.device.type, torch.bfloat16, enabled=bfloat16):
            return model.encode(features)

    @torch.inference_mode()
    def embedding() -> None:
        embedded()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        head(embedded().float(), labels).loss.backward()
        optimizer.step()

    model.eval()
    bench.add(f"{name}, embedding, {words}", embedding)
    model.train()
    bench.add(f"{name}, training step, {words}", step)


def table(rows: Sequence[dict[str, Any]]) -> str:
    lines = ["| part | x real time | hours of audio a second |", "| --- | ---: | ---: |"]
    for row in rows:
        lines.append(f"| {row['part']} | {row['x_real_time']:,.0f} | {row['hours_a_second']:.4f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--networks", nargs="*", choices=list(NETWORKS), default=["tiny_speech", "ecapa_512"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bfloat16", action="store_true", help="the networks in bfloat16 too")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    device = torch.device(asked.device)
    bench = Bench(device, asked.batch, asked.rounds)
    out = asked.out or RESULTS / f"speech_throughput_{machines.slug(asked.device)}.json"
    waveforms = drawn_batch(asked.batch).to(device)
    reading(bench)
    front_end(bench, waveforms)
    for name in asked.networks:
        for bfloat16 in (False, True)[: 1 + asked.bfloat16]:
            network(bench, name, waveforms, bfloat16=bfloat16)
            bench.save(out)
    print(table(bench.rows))


if __name__ == "__main__":
    main()
