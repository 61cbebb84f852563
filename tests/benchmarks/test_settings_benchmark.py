"""The search of settings: what is asked for in which order."""

import importlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("settings")


class Bench:
    """A bench whose searches are given."""

    def __new__(cls, script, path, steps, jobs, budget=None):
        bench = object.__new__(script.Bench)
        bench.path, bench.passes, bench.jobs, bench.budget = path, 1.0, jobs, budget
        bench.places, bench.rows, bench.counts = script.Places(Path("data")), {}, {}
        bench.asked = []

        def search(name, loss):
            for number, count in enumerate(steps):
                tasks = [script.Task(name, loss, json.dumps([number, one]), 1.0, 0) for one in range(count)]
                rows = yield tasks
                assert all(task.key in rows for task in tasks)

        bench.search = search
        return bench


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_every_step_of_every_search_is_run_once_and_in_turn(tmp_path, script, jobs):
    bench = Bench(script, tmp_path / "rows.json", [3, 1, 2], jobs)
    begun, lock = [], threading.Lock()

    def work(task, places):
        with lock:
            begun.append(task.key)
        return {"tune": 0.5, "test": 0.5}

    with ThreadPoolExecutor(jobs) as pool:
        thread = threading.Thread(target=bench.go, args=([("a", "x"), ("b", "x")], pool, work), daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
    assert len(begun) == len(set(begun)) == 12
    assert set(json.loads((tmp_path / "rows.json").read_text())["rows"]) == set(begun)
    again = Bench(script, tmp_path / "rows.json", [3, 1, 2], jobs)
    again.rows = bench.rows
    with ThreadPoolExecutor(jobs) as pool:
        again.go([("a", "x"), ("b", "x")], pool, lambda task, places: pytest.fail("run twice"))


def test_nothing_begins_after_the_budget(tmp_path, script):
    bench = Bench(script, tmp_path / "rows.json", [3], 1, budget=-1.0)
    with ThreadPoolExecutor(1) as pool:
        bench.go([("a", "x")], pool, lambda task, places: pytest.fail("begun"))
    assert bench.rows == {}


def test_what_is_drawn_does_not_depend_on_the_rules(script):
    defaults = [
        {"model": {"input": "i", "dropout": d}, "augment": {"flip": 0.5, "crop": d}, "train": {"epochs": int(9 * d)}}
        for d in (0.1, 0.7)
    ]
    first, second = (script.drawn_settings("lfw", "arcface", default, (1000, 50)) for default in defaults)
    assert first == second
    assert len({json.dumps(one) for one in first}) == 24
    assert all(one["train"]["epochs"] in (20, 40, 60) for one in first)


@pytest.mark.parametrize(
    ("images", "batches", "passes"),
    [(200, (16, 16), (96, 96)), (2_000, (32, 16), (40, 60)), (10_000, (128, 64), (16, 16))],
)
def test_rules_that_are_compared(script, images, batches, passes):
    rules = importlib.import_module("setting_rules")
    default = {"train": {}, "optim": {}, "learning_rate": {"decay": "cosine"}, "margin": {"name": "arcface"}}
    for rule in rules.RULES:
        settings = rules.ruled(default, images, 101, rule)
        assert settings["train"]["batch_size"] == batches[rule.startswith("hundredth")]
        assert abs(settings["train"]["epochs"] - passes[rule.endswith("60")]) <= 1
        assert settings["margin"] == default["margin"]
    assert rules.ruled({**default, "train": {"batch_size": 32}}, images, 101, "rate / 4")["optim"]["lr"] == 0.071 / 4
    rows = {f"lfw / fiftieth, 40 / {seed}": {"tune": 0.25 + seed / 10, "test": 0.5} for seed in (0, 1)}
    rows |= {"orl / hundredth, 60 / 0": {"tune": 0.25, "test": 0.5}}
    rows |= {"lfw, softmax / fiftieth, 40 / 0": {"tune": 0.125, "test": 0.25}}
    lines = rules.table(rows, list(rules.RULES)).splitlines()
    assert lines[0] == "| set | fiftieth, 40 | hundredth, 60 |"
    assert "| lfw | 30.0% (50.0%; 2) | - |" in lines
    assert "| lfw, softmax | 12.5% (25.0%; 1) | - |" in lines


def test_margins_are_tried_with_losses_that_have_one_that_grows(script, monkeypatch):
    rules = importlib.import_module("setting_rules")
    shared = {"train": {"batch_size": 16, "epochs": 9}, "optim": {}, "learning_rate": {"decay": "cosine"}}
    margins = {"softmax": {"name": "softmax"}, "arcface": {"name": "arcface", "m": {"end": 0.4, "until": 0.5}}}
    monkeypatch.setattr(rules, "counted", lambda domain: (200, 100))
    monkeypatch.setattr(rules, "default_settings", lambda domain, loss, *rest: {**shared, "margin": margins[loss]})
    wanted = rules.tasks(script.Places(Path("nowhere")), ["lfw"], [*margins], ["rate / 2", "margin 0.2, 0.8"], [0])
    names = [name for name, _ in wanted]
    assert names == ["lfw, softmax / rate / 2 / 0", "lfw / rate / 2 / 0", "lfw / margin 0.2, 0.8 / 0"]


def test_rules_for_changes_and_margins_change_nothing_else():
    rules = importlib.import_module("setting_rules")
    default = {
        "augment": {"flip": 0.5, "crop": 0.2, "photometric": 0.2, "low_resolution": 0.1, "erase": 0.0},
        "margin": {"name": "arcface", "scale": 10.0, "m": {"name": "linear", "end": 0.4, "until": 0.5}},
    }
    stronger = rules.ruled(default, 200, 100, "changes x 3, erased")
    assert stronger["margin"] == default["margin"]
    assert stronger["augment"] == pytest.approx(
        {"flip": 0.5, "crop": 0.6, "photometric": 0.6, "low_resolution": 0.3, "erase": 0.3}
    )
    later = rules.ruled(default, 200, 100, "margin 0.2, 0.8")
    assert later["augment"] == default["augment"]
    assert later["margin"] == {"name": "arcface", "scale": 10.0, "m": {"name": "linear", "end": 0.2, "until": 0.8}}


@pytest.mark.parametrize("rule", ["hundredth, 60", "rate / 2", "margin 0.4, 0.5"])
def test_rules_for_few_people_with_many_images_are_those_for_others(rule):
    rules = importlib.import_module("setting_rules")
    deep = {
        "train": {"batch_size": 128, "epochs": 72},
        "optim": {"lr": 0.071},
        "learning_rate": {"decay": "cosine"},
        "margin": {"name": "arcface", "m": {"name": "linear", "end": 0.2, "until": 0.8}},
    }
    settings = rules.ruled(deep, 2_144, 12, rule)
    assert settings["margin"]["m"] == {"name": "linear", "end": 0.4, "until": 0.5}
    assert settings["train"]["batch_size"] in (16, 32)
    assert settings["optim"]["lr"] < 0.06
