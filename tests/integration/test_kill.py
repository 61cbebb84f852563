"""A run that is killed (kill -9) at random moments, five times, ends like one that was left alone."""

import json
import random
import time

import pytest
from processes import run_python, started

RECIPE = """
data: {name: synthetic, num_identities: 40, images_per_identity: 6, identities: {parts: {train: 0.6, test: 0.4}}}
model: {name: tiny, channels: [8, 16], units: [1, 1], embedding_dim: 32, input: {height: 32, width: 32}}
margin: {name: curricularface, scale: 16, m: {name: linear, end: 0.2, until: 0.5, unit: run}}
train: {epochs: 45, batch_size: 24, log_every: 1, checkpoint_every: 3}
evaluation: {every: 5, fars: [0.1]}
"""


def rows(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    times = ("images_per_second", "waiting_for_data")
    return [{name: value for name, value in row.items() if name not in times} for row in lines]


def figures(folder):
    found = json.loads((folder / "result.json").read_text())["figures"]
    return {name: value for name, value in found.items() if name != "seconds"}


def steps_done(folder):
    file = folder / "metrics.jsonl"
    return file.read_text().count("\n") if file.exists() else 0


@pytest.mark.slow
def test_five_kills_change_nothing(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    command = ["-m", "angulus.cli", "train", str(recipe), "--quiet", "--resume"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run_python(*command, f"out={whole}")

    moments = random.Random()  # other moments each time; the seed of the run is fixed
    kills = 0
    while kills < 5:
        process = started([*command, f"out={killed}"], tmp_path / "told")
        before = steps_done(killed)
        deadline = time.monotonic() + 120
        while steps_done(killed) <= before and process.exitcode is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(moments.uniform(0.0, 0.2))
        process.kill()
        process.join()
        if process.exitcode != -9:
            break  # it was done before the kill: nothing left to interrupt
        kills += 1
    run_python(*command, f"out={killed}")

    assert kills == 5
    assert rows(killed) == rows(whole)
    assert figures(killed) == figures(whole)
