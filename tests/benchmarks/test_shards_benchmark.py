"""The scripts about embedding by many workers: the one for Ray calls the library as the page shows it."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from small_sets import write_folder

from angulus.embeddings import EmbeddingSet
from angulus.models import InputSpec, TinyNet, save_model

ROOT = Path(__file__).parents[2]


class Rows:
    """A dataset of Ray as far as the script needs it, in this process."""

    def __init__(self, rows):
        self.rows = rows

    def map(self, actor, *, fn_constructor_args, concurrency, num_cpus):
        made = [actor(*fn_constructor_args) for _ in range(concurrency)]
        return Rows([made[number % concurrency](row) for number, row in enumerate(self.rows)])

    def take_all(self):
        return self.rows


@pytest.fixture
def script(monkeypatch):
    ray, data = ModuleType("ray"), ModuleType("ray.data")
    data.__dict__["range"] = lambda count, override_num_blocks: Rows([{"id": number} for number in range(count)])
    ray.__dict__["data"] = data
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.data", data)
    spec = importlib.util.spec_from_file_location("shards_with_ray", ROOT / "benchmarks" / "shards_with_ray.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_ray_actors_fill_the_folder(script, tmp_path) -> None:
    torch.manual_seed(0)
    config = TinyNet(channels=(8,), units=(0,), embedding_dim=8, input=InputSpec(height=12, width=10))
    save_model(tmp_path / "model", config.build(), config)
    people = write_folder(tmp_path / "people", {"ada": 3, "bea": 2})
    given = [str(path) for path in (tmp_path / "model", people, tmp_path / "parts")]
    done = script.embed_with_ray(*given, tasks=3, actors=2)
    assert [each["worker"] for each in done] == [0, 1, 2]
    assert sum(each["examples"] for each in done) == len(EmbeddingSet.load(tmp_path / "parts")) == 5


def test_the_page_shows_the_script() -> None:
    source = (ROOT / "benchmarks" / "shards_with_ray.py").read_text()
    shown = source[source.index("class Embedder") : source.index("def main")].strip()
    assert f"```py\n{shown}\n```" in (ROOT / "docs" / "shards.md").read_text()
