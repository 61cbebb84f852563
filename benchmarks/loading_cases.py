"""What benchmarks/loading.py measures: each case runs for a moment and says how many images it was."""

import importlib
import mmap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from PIL import Image

from angulus.data import EpochSampler, FolderSource, Source, batches, bytes_of, decoder
from angulus.data.loading import decoding as ours

BATCH = 128
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


def bare(decode: Callable[[bytes], np.ndarray], contents: list[bytes], *, kept: bool = False) -> Case:
    """The decoder alone. kept: until a batch is full, as any loader must."""

    def steps() -> Iterator[int]:
        while True:
            for begin in range(0, len(contents), BATCH):
                some = contents[begin : begin + BATCH]
                if kept:
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


# ------------------------------------------------------------------------------------------------ pieces of the road


def repeated(action: Callable[[list[bytes]], Any], contents: list[bytes]) -> Case:
    """One action on a batch of encoded images after the other."""

    def steps() -> Iterator[int]:
        while True:
            for begin in range(0, len(contents) - BATCH + 1, BATCH) or [0]:
                some = contents[begin : begin + BATCH]
                action(some)
                yield len(some)

    going = steps()
    return lambda seconds: timed(going, seconds)


def parts(contents: list[bytes]) -> dict[str, Case]:
    """What loading adds to decoding, or would add if it were done as is usual."""
    shape = (BATCH, *by_pillow(contents[0]).shape)
    room, apart = np.zeros(shape, dtype=np.uint8), np.zeros((BATCH, 3, *shape[1:3]), dtype=np.uint8)
    shared = np.frombuffer(mmap.mmap(-1, room.nbytes), dtype=np.uint8).reshape(shape)

    def looked_at(some: list[bytes]) -> None:
        for content in some:
            ours._shape_of_head(content[: content.find(b"\xff\xda", 2)])

    def into_batch(some: list[bytes]) -> None:
        for row, content in enumerate(some):
            ours.decode_image(content, out=room[row])

    def fresh(some: list[bytes]) -> None:
        np.frombuffer(mmap.mmap(-1, room.nbytes), dtype=np.uint8)[:] = room.reshape(-1)

    def again(some: list[bytes]) -> None:
        shared[...] = room

    def moved_apart(some: list[bytes]) -> None:
        for row in range(len(some)):
            apart[row] = room[row].transpose(2, 0, 1)

    actions: dict[str, Callable[[list[bytes]], Any]] = {
        "a look whether it is a plain JPEG": lambda some: [
            ours._shape_of_head(one[: one.find(b"\xff\xda", 2)]) for one in some
        ],
        "checksum (packed)": lambda some: [crc32(one) for one in some],
        "decoded straight into the batch, the look included": into_batch,
        "a batch copied to fresh shared memory (not done)": fresh,
        "a batch copied to shared memory used again": again,
        "colours moved apart (not done)": moved_apart,
    }
    return {name: repeated(action, contents) for name, action in actions.items()}
