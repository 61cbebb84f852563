"""kill -9 while a gallery is changed: what was acknowledged must be there, whole, and in the matrix that is searched.

    python benchmarks/gallery_kills.py --times 50 --storage float16

A child adds people, adds photos and removes people, and says of each change "? what" before and "! what" after it. It
is killed at a random moment; the gallery is opened, compared with what was acknowledged, and the next child goes on.
"""

import argparse
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Timer

import numpy as np

from angulus.gallery import Gallery, open_engine
from angulus.gallery.folder.sqlite_file import FILE

DIM = 64
KEY = bytes(range(32))


def vectors(seeds):
    drawn = np.stack([np.random.default_rng(seed).standard_normal(DIM) for seed in seeds]).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def change(gallery, what):
    """Do what a line says."""
    kind, name, *seeds = what.split()
    if kind == "remove":
        gallery.remove_person(name)
    else:
        gallery.add(name, vectors([int(seed) for seed in seeds]), notes=seeds)


def after(people, what):
    """Photos' seeds by name, after what a line says."""
    kind, name, *seeds = what.split()
    if kind == "remove":
        return {other: photos for other, photos in people.items() if other != name}
    return {**people, name: people.get(name, ()) + tuple(seeds)}


def drawn_change(people, chance, number):
    kind = chance.random()
    if people and kind < 0.35:
        return f"remove {chance.choice(sorted(people))}"
    if people and kind < 0.55:
        return f"add {chance.choice(sorted(people))} {10 * number}"
    return f"add p{number} " + " ".join(str(10 * number + place) for place in range(1 + number % 3))


def child(folder, seed, key):
    """Change a gallery until killed."""
    chance = random.Random(seed)
    with Gallery(open_engine(folder, key=key)) as gallery:
        people = {person.name: tuple(photo.note for photo in person.photos) for person in gallery.people()}
        number = 10_000 * seed
        while True:
            number += 1
            what = drawn_change(people, chance, number)
            print(f"? {what}", flush=True)
            change(gallery, what)
            print(f"! {what}", flush=True)
            people = after(people, what)
            gallery.search(vectors([number]))  # the matrix catches up


def killed(folder, seed, key, wait):
    """Lines that a child said before it was killed, some time after its first change."""
    command = [sys.executable, __file__, "--child", str(folder), str(seed), *([key.hex()] if key else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    lines = [process.stdout.readline(), process.stdout.readline()]
    timer = Timer(wait, process.kill)
    timer.start()
    lines += process.stdout.readlines()
    process.wait()
    timer.join()
    return [line.strip() for line in lines if line.endswith("\n")]


def problems(folder, people, pending, key):
    """What is not as it was acknowledged, and who is there now. pending: a change that was begun, or None."""
    found = []
    with sqlite3.connect(folder / FILE) as link:
        checked = link.execute("PRAGMA integrity_check").fetchall()
        found += [] if checked == [("ok",)] else [f"SQLite: {checked[0][0]}"]
    link.close()
    with Gallery(open_engine(folder, key=key)) as gallery:
        everybody = list(gallery.people())
        now = {person.name: tuple(photo.note for photo in person.photos) for person in everybody}
        allowed = [people] if pending is None else [people, after(people, pending)]
        if now not in allowed:
            found.append(f"people differ: {set(now.items()) ^ set(people.items())}, begun: {pending}")
        for person in everybody:
            expected = vectors([int(photo.note) for photo in person.photos])
            if np.abs(np.stack([photo.vector for photo in person.photos]) - expected).max() > 1e-3:
                found.append(f"vectors of {person.name} differ")
        if everybody:
            hits = gallery.engine.search(np.stack([person.template for person in everybody]), 2)
            wrong = [p.name for p, mine in zip(everybody, hits, strict=True) if mine[0].name != p.name]
            found += [f"not found: {name}" for name in wrong]
        rows = int(np.count_nonzero(gallery.engine._index._rows["scale"]))
        found += [] if rows == len(everybody) else [f"{rows} rows of somebody in the matrix, {len(everybody)} people"]
    return found, now


def measured(folder, times, storage="float16", key=None, seed=0, longest=0.5):
    """Kills, acknowledged changes, changes that were begun and not acknowledged, and what was wrong."""
    chance = random.Random(seed)
    with open_engine(folder, create=True, dim=DIM, storage=storage, key=key):
        pass
    people, counts = {}, {"kills": 0, "acknowledged": 0, "begun": 0, "problems": []}
    for time_ in range(times):
        lines = killed(folder, seed * 1000 + time_ + 1, key, chance.uniform(0, longest))
        done = [line[2:] for line in lines if line.startswith("! ")]
        for what in done:
            people = after(people, what)
        pending = lines[-1][2:] if lines and lines[-1].startswith("? ") else None
        found, people = problems(folder, people, pending, key)
        counts["kills"] += 1
        counts["acknowledged"] += len(done)
        counts["begun"] += pending is not None
        counts["problems"] += found
    return {**counts, "people": len(people)}


def main():
    if sys.argv[1:2] == ["--child"]:
        return child(Path(sys.argv[2]), int(sys.argv[3]), bytes.fromhex(sys.argv[4]) if sys.argv[4:] else None)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--storage", default="float16", choices=["float16", "int8"])
    parser.add_argument("--encrypted", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        found = measured(Path(folder) / "gallery", options.times, options.storage, KEY if options.encrypted else None)
        print(json.dumps({**found, "seconds": round(time.monotonic() - begun, 1)}, indent=1))
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
