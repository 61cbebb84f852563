"""A set embedded by actors of Ray: each takes shares of the set, and the folder is what `angulus embed --shard` makes.

pip install "ray[data]"
python benchmarks/shards_with_ray.py MODEL IMAGES FOLDER --tasks 64 --actors 8
"""

import argparse
from typing import Any

import ray
import ray.data

from angulus import embed_shards, load_model


class Embedder:
    """One actor: it opens the model once, and embeds one share of the set for each row."""

    def __init__(self, model: str, images: str, folder: str, tasks: int) -> None:
        self.model, self.images, self.folder, self.tasks = load_model(model), images, folder, tasks

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        done = embed_shards(self.model, self.images, self.folder, worker=(int(row["id"]), self.tasks))
        return {"worker": int(row["id"]), "made": done.made, "skipped": done.skipped, "examples": done.examples}


def embed_with_ray(model: str, images: str, folder: str, *, tasks: int, actors: int) -> list[dict[str, Any]]:
    """What each task did. A task whose actor dies is given to another by Ray, and finds what is finished."""
    rows = ray.data.range(tasks, override_num_blocks=tasks)
    return rows.map(
        Embedder, fn_constructor_args=(model, images, folder, tasks), concurrency=actors, num_cpus=1
    ).take_all()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "images", "folder"):
        parser.add_argument(name)
    parser.add_argument("--tasks", type=int, default=64)
    parser.add_argument("--actors", type=int, default=2)
    given = parser.parse_args()
    for done in embed_with_ray(given.model, given.images, given.folder, tasks=given.tasks, actors=given.actors):
        print(done)


if __name__ == "__main__":
    main()
