"""SIGKILL at the places where a worker writes: nothing half-written is ever read, and the result is the same.

One process imports torch and forks the workers, each of which is to die at a place of its own; its answer is compared
with that of one worker who was left alone.
"""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, random, signal, sys, time, traceback
from pathlib import Path
import numpy as np, torch
from small_sets import array_source
from angulus import whole_files
from angulus.embeddings.shards import manifest, merge_shards, missing_shards, parts, storage
from angulus.models import InputSpec, TinyNet
from angulus.shards import embed_shards

torch.set_num_threads(1)
torch.manual_seed(3)
network = TinyNet(channels=(8,), units=(0,), embedding_dim=6, input=InputSpec(height=12, width=10)).build()
source = array_source((3, 4, 1, 5, 6, 2))

def die(*given, **more):
    os.kill(os.getpid(), signal.SIGKILL)

def half(partial, tensors, metadata):
    whole(partial, tensors, metadata)
    with open(partial, "r+b") as file:
        file.truncate(os.path.getsize(partial) // 2)
    die()

whole = parts._write
laid, moved, calls = whole_files._laid_once, Path.replace, [0]

def after(function, number):
    def call(*given, **more):
        found = function(*given, **more)
        calls[0] += 1
        return die() if calls[0] == number else found
    return call

def plant(place):
    if place == "manifest not laid":
        whole_files._laid_once = die
    if place == "manifest laid":
        whole_files._laid_once = after(laid, 1)
    if place == "half a part":
        parts._write = half
    if place == "part not moved":
        Path.replace = die
    if place == "second part moved":
        Path.replace = after(moved, 2)

def worker(folder, index, count, place=None, seconds=None):
    child = os.fork()
    if not child:
        try:
            plant(place)
            embed_shards(network, source, folder, worker=(index, count), block=4, batch_size=2, workers=0)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status == signal.SIGKILL

def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}

home = Path(sys.argv[1])
assert not worker(home / "alone", 0, 1)
places = ("manifest not laid", "manifest laid", "half a part", "part not moved", "second part moved")
for count in (1, 3):
    folder = home / f"of{count}"
    for place in places if count == 1 else places[2:]:
        assert worker(folder, 0, count, place), place
        for name in content(folder) if folder.exists() else ():
            assert name == "manifest.json" or name.endswith((".safetensors", ".partial")), name
    worker(folder, random.randrange(count), count, seconds=0.02)
    for index in range(count):
        assert not worker(folder, index, count)
    assert content(folder) == content(home / "alone"), (sorted(content(folder)), sorted(content(home / "alone")))
    merge_shards(folder, home / f"of{count}.npz")
merge_shards(home / "alone", home / "alone.npz")
assert len({path.read_bytes() for path in home.glob("*.npz")}) == 1
print("the same")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked and killed")
def test_killed_workers_change_nothing(tmp_path) -> None:
    tests = str(Path(__file__).resolve().parents[1])
    script = f"import sys; sys.path.insert(0, {tests!r})\n" + SCRIPT
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "the same", done.stderr
