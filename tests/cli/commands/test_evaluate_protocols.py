"""`angulus evaluate identify`, `blufr`, `templates`, `retrieve`, `calibrate` and `compare` on small self-made files."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from real_data import SHARED, needs_shared

from angulus.cli import main
from angulus.embeddings import EmbeddingSet
from angulus.evaluation import CalibratedThreshold
from angulus.evaluation.files.verification_bins import write_bin
from angulus.evaluation.report.result_files import read_result
from angulus.evaluation.uncertainty.calibration import read_calibration
from angulus.models import InputSpec, TinyNet, save_model


def people_set(people=60, images=4, *, seed=0, noise=0.6, singles=20):
    """People with four images and people with one, 16 dimensions, columns camera, sex and age."""
    random = np.random.default_rng(7)
    labels = np.concatenate([np.repeat(np.arange(people), images), np.arange(people, people + singles)])
    centres = random.normal(size=(people + singles, 16))
    random = np.random.default_rng(seed)
    count = len(labels)
    return EmbeddingSet(
        embeddings=centres[labels] + noise * random.normal(size=(count, 16)),
        labels=labels,
        keys=tuple(f"p{label:03d}/{row:04d}.png" for row, label in enumerate(labels)),
        columns={"camera": np.arange(count) % 3, "sex": np.where(labels % 2, "f", "m"), "age": 20.0 + labels % 40},
    )


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A current folder with a.npz, and b.npz of a worse model with its rows in another order."""
    monkeypatch.chdir(tmp_path)
    people_set().save("a.npz")
    worse = people_set(seed=1, noise=0.9)
    worse.select(np.random.default_rng(0).permutation(len(worse))).save("b.npz")
    return tmp_path


def run(*tokens):
    """The JSON that a command wrote; it must succeed."""
    assert main(["evaluate", *tokens, "--json", "out.json"]) == 0
    return json.loads(Path("out.json").read_text())


def error_of(capsys, *tokens):
    before = sorted(path.name for path in Path().rglob("*"))
    assert main(["evaluate", *tokens]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert "Traceback" not in captured.err
    assert captured.err.count("\n") == 1
    assert sorted(path.name for path in Path().rglob("*")) == before
    return captured.err


def pairs_of(found, path, count=200):
    """A CSV of genuine and impostor pairs in two folds."""
    random = np.random.default_rng(0)
    lines = ["a,b,same,fold"]
    while len(lines) <= count:
        one, other = random.integers(len(found), size=2)
        same = int(found.labels[one] == found.labels[other])
        if one != other and same == len(lines) % 2:
            lines.append(f"{found.keys[one]},{found.keys[other]},{same},{len(lines) % 4 // 2}")
    Path(path).write_text("\n".join(lines) + "\n")


def test_identify_takes_the_first_images_as_gallery(home, capsys):
    found = run("identify", "a.npz", "--fpir", "0.1", "--rank", "1", "--rank", "3", "--report", "r.html")
    assert (found["gallery"], found["known"], found["unknown"], found["distractors"]) == (60, 180, 20, 0)
    assert [point["rank"] for point in found["cmc"]] == [1, 3]
    assert found["tpir_at_fpir"][0]["false_positives"] <= 2
    rank = found["intervals"]["rank_1"]
    assert rank["low"] <= found["cmc"][0]["rate"] <= rank["high"]
    assert found["intervals"]["tpir_at_fpir"][0]["tpir"]["estimate"] == found["tpir_at_fpir"][0]["tpir"]
    assert "CMC: higher is better" in Path("r.html").read_text()
    assert "rank 1" in capsys.readouterr().out


def test_identify_in_a_gallery_with_distractors(home, capsys):
    found = people_set()
    found.select(np.arange(0, 120, 4)).save("gallery.safetensors")
    found.select(np.setdiff1d(np.arange(len(found)), np.arange(0, 120, 4))).save("probes.npz")
    np.save("strangers.npy", np.random.default_rng(5).normal(size=(500, 16)).astype(np.float32))
    alone = run("identify", "probes.npz", "gallery.safetensors", "--no-intervals")
    crowd = run("identify", "probes.npz", "gallery.safetensors", "--distractors", "strangers.npy", "--no-intervals")
    assert (alone["gallery"], crowd["distractors"]) == (30, 500)
    assert crowd["cmc"][0]["hits"] <= alone["cmc"][0]["hits"]
    assert alone["known"] == 90
    assert "30 of the 260 probes are in the gallery too" in error_of(capsys, "identify", "a.npz", "gallery.safetensors")


def test_blufr_draws_trials_or_reads_them(home):
    from angulus.evaluation.files.blufr_lists import draw_blufr_trials

    sizes = ["--train-people", "20", "--gallery-people", "20"]
    drawn = run("blufr", "a.npz", "--draw", "3", *sizes)
    assert (len(drawn["trials"]), drawn["trials_from"]) == (3, "drawn")
    found = people_set()
    trials = draw_blufr_trials(found.labels, trials=3, train_people=20, gallery_people=20)
    replace(trials, names=found.keys).save("trials.npz")
    stored = run("blufr", "a.npz", "--trials", "trials.npz")
    assert stored["rates"] == drawn["rates"]


def write_templates(found):
    """Two templates of a person with four images; two media each of one image; pairs and two galleries."""
    rows = np.arange(240)
    templates = rows // 2
    Path("tid_mid.txt").write_text("".join(f"{found.keys[r]} {templates[r]} {r}\n" for r in rows))
    pairs = [(2 * p, 2 * p + 1, 1) for p in range(60)] + [(2 * p, 2 * ((p + 1) % 60) + 1, 0) for p in range(60)]
    Path("pairs.txt").write_text("".join(f"{a} {b} {same}\n" for a, b, same in pairs))
    header = "TEMPLATE_ID,SUBJECT_ID,FILENAME\n"
    for name, people in (("g1.csv", range(30)), ("g2.csv", range(30, 60))):
        Path(name).write_text(header + "".join(f"{2 * p},{p},x.png\n" for p in people))
    Path("probes.csv").write_text(header + "".join(f"{2 * p + 1},{p},x.png\n" for p in range(60)))
    faces = "".join(f"{found.keys[r]} {' '.join(['1.0'] * 10)} 0.{1 + r % 9}\n" for r in rows)
    Path("faces.txt").write_text(faces)


def test_templates_are_compared_and_searched(home, capsys):
    write_templates(people_set())
    plain = ["templates", "a.npz", "--images", "tid_mid.txt", "--pairs", "pairs.txt"]
    found = run(*plain, "--gallery", "g1.csv", "g2.csv", "--probes", "probes.csv", "--far", "0.1")
    assert (found["verification"]["genuine"], found["verification"]["templates"]) == (60, 120)
    assert len(found["identification"]["galleries"]) == 2
    assert found["keep_norms"] is True
    weighed = run(*plain, "--detector-scores", "faces.txt", "--normalised")
    assert weighed["verification"]["eer"] != found["verification"]["eer"]
    assert "--gallery G1 G2 --probes P" in error_of(capsys, "templates", "a.npz", "--images", "tid_mid.txt")
    assert "both" in error_of(capsys, *plain, "--probes", "probes.csv")
    Path("tid_mid.txt").write_text("nobody.png 1 1\n")
    assert "first 'nobody.png'" in error_of(capsys, *plain)


def test_retrieve_with_the_rules_of_re_identification(home, capsys):
    plain = run("retrieve", "a.npz", "--at", "1")
    market = run("retrieve", "a.npz", "--rule", "msmt17", "--precision", "trapezoid")
    again = run("retrieve", "a.npz", "--rerank")
    assert (plain["rule"], plain["queries"], plain["without_match"]) == ("plain", 240, 20)
    assert (market["rule"], market["average_precision"]) == ("msmt17", "trapezoid")
    assert again["reranking"]["k1"] == 20
    replace(people_set(), columns={}).save("bare.npz")
    assert "a column named 'camera'" in error_of(capsys, "retrieve", "bare.npz", "--rule", "market-1501")


def test_calibrate_stores_a_threshold_that_is_read_back(home, capsys):
    assert main(["evaluate", "calibrate", "a.npz", "--far", "0.01", "--out", "c.json", "--report", "c.html"]) == 0
    content = json.loads(Path("c.json").read_text())
    stored = CalibratedThreshold.from_json(Path("c.json").read_text())
    assert stored.threshold == content["threshold"]
    assert stored.choosing_people == stored.reporting_people == 40
    assert content["score_to_llr"]["llr"]["slope"] > 0
    assert content["score_to_llr"]["cllr"] >= content["score_to_llr"]["min_cllr"]
    assert "Calibrated threshold" in Path("c.html").read_text()
    pairs_of(people_set(), "pairs.csv", 400)
    assert main(["evaluate", "calibrate", "a.npz", "--pairs", "pairs.csv", "--far", "0.1", "--out", "p.json"]) == 0
    assert main(["evaluate", "a.npz", "--calibration", "c.json", "--report", "v.html"]) == 0
    assert "Calibrated threshold" in Path("v.html").read_text()
    assert read_calibration("c.json") == stored
    gallery = ["calibrate", "a.npz", "--gallery-size", "10", "--fpir", "0.1", "--out", "g.json"]
    assert main(["evaluate", *gallery]) == 0
    assert json.loads(Path("g.json").read_text())["target"] == pytest.approx(1 - 0.9**0.1)
    capsys.readouterr()
    assert "say what to aim at" in error_of(capsys, "calibrate", "a.npz", "--out", "x.json")
    assert "say what to aim at" in error_of(capsys, "calibrate", "a.npz", "--fpir", "0.1", "--out", "x.json")
    assert "FAR 1e-06 needs at least" in error_of(capsys, "calibrate", "a.npz", "--far", "1e-6", "--out", "x.json")


def test_two_models_are_tested_on_the_same_people(home, capsys):
    found = run("compare", "a.npz", "b.npz", "--far", "0.01", "--report", "c.html", "--markdown", "c.md")
    assert [test["figure"] for test in found["tests"]] == ["TAR at FAR 0.01", "mean TAR of a person at FAR 0.01"]
    for test in found["tests"]:
        assert test["difference"]["low"] > 0
        assert test["p_value"] < 0.05
    assert "the first is better" in Path("c.html").read_text()
    assert Path("c.md").read_text().startswith("| figure | a | b |\n| --- | ---: | ---: |\n")
    pairs_of(people_set(), "pairs.csv")
    folded = run("compare", "a.npz", "b.npz", "--pairs", "pairs.csv", "--far", "0.1")
    assert folded["tests"][0]["figure"] == "accuracy"
    people_set(people=50).save("other.npz")
    assert "both sets must hold the same examples" in error_of(capsys, "compare", "a.npz", "other.npz")


def test_two_results_are_laid_side_by_side_or_refused(home, capsys):
    pairs_of(people_set(), "pairs.csv")
    for name in ("a", "b"):
        assert main(["evaluate", f"{name}.npz", "--pairs", "pairs.csv", "--json", f"{name}.json"]) == 0
    assert main(["evaluate", "b.npz", "--json", "all.json", "--no-curves"]) == 0
    found = run("compare", "a.json", "b.json", "--report", "c.html")
    assert found["remarks"] == []
    assert found["tests"] == []
    assert "both compared the same pairs in the same way" in capsys.readouterr().out
    assert "<svg" in Path("c.html").read_text()
    assert "compared different pairs" in error_of(capsys, "compare", "a.json", "all.json")
    assert "two results or two sets of embeddings" in error_of(capsys, "compare", "a.json", "b.npz")
    assert "results are compared as they are" in error_of(capsys, "compare", "a.json", "b.json", "--far", "0.1")
    Path("half.json").write_text(Path("a.json").read_text()[:200])
    assert "half.json is not a readable JSON file" in error_of(capsys, "compare", "a.json", "half.json")
    Path("none.json").write_text('{"name": "x"}')
    assert "none.json is no result of a verification" in error_of(capsys, "compare", "a.json", "none.json")
    assert "no result at gone.json" in error_of(capsys, "compare", "a.json", "gone.json")


def test_a_result_is_read_back_as_it_was_written(home):
    content = run("a.npz", "--far", "0.01")
    found = read_result("out.json")
    assert json.loads(json.dumps(found.as_dict())) == {name: content[name] for name in found.as_dict()}


def test_groups_and_markdown_of_a_verification(home, capsys):
    found = run("a.npz", "--groups", "sex", "--groups", "age=20,40,60", "--report", "r.html", "--markdown", "r.md")
    assert [each["column"] for each in found["breakdowns"]] == ["sex", "age"]
    page = Path("r.html").read_text()
    assert "By sex" in page
    assert "Which threshold to deploy" in page
    assert "| EER |" in Path("r.md").read_text()
    pairs_of(people_set(), "pairs.csv", 400)
    gap = run("a.npz", "--pairs", "pairs.csv", "--groups", "gap:age=0,10,40", "--far", "0.1")
    assert {rate["groups"][0] for rate in gap["breakdowns"][0]["rates"]} == {"0 to 10", "10 to 40"}
    assert "no column 'height'; columns: camera, sex, age" in error_of(capsys, "a.npz", "--groups", "height")
    assert "groups are written sex" in error_of(capsys, "a.npz", "--groups", "age=x")
    assert "holds text" in error_of(capsys, "a.npz", "--groups", "sex=1,2")
    assert "needs a pair list" in error_of(capsys, "a.npz", "--groups", "gap:age=0,10")


def test_every_file_of_embeddings_and_trial_lists_are_taken(home):
    found = replace(people_set(), columns={})
    found.save("a.safetensors")
    replace(found, keys=None).save("a.npy")
    figures = [run(name, "--no-intervals", "--no-curves") for name in ("a.npz", "a.safetensors", "a.npy")]
    assert figures[0]["intervals"] is None
    assert "roc" not in figures[0]
    assert figures[0]["eer"] == figures[1]["eer"] == figures[2]["eer"]
    lines = [f"1 {found.keys[4 * p]} {found.keys[4 * p + 1]}" for p in range(50)]
    lines += [f"0 {found.keys[4 * p]} {found.keys[4 * p + 4]}" for p in range(50)]
    Path("trials.txt").write_text("\n".join(lines) + "\n")
    assert run("a.npz", "--pairs", "trials.txt")["genuine"] == 50
    Path("people.txt").write_text("\n".join(f"name{label}" for label in found.labels) + "\n")
    assert run("a.npy", "--labels", "people.txt", "--no-intervals")["eer"] == figures[0]["eer"]


@pytest.fixture
def model(home):
    config = TinyNet(channels=(4, 8), units=(0, 0), embedding_dim=8, input=InputSpec(height=24, width=16))
    save_model(home / "model", config.build(), config)
    return home


def encoded(count):
    import io

    random = np.random.default_rng(0)
    for _ in range(count):
        file = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (24, 16, 3), dtype=np.uint8)).save(file, "PNG")
        yield file.getvalue()


def test_a_bin_brings_images_and_pairs_and_pictures_for_the_page(model, capsys):
    write_bin("set.bin", list(encoded(80)), np.arange(40) % 2 == 0)
    found = run("model", "set.bin", "--quiet", "--report", "r.html")
    assert (found["genuine"], found["impostors"], len(found["accuracy"]["folds"])) == (20, 20, 10)
    assert "neither labels nor folders say who" in found["intervals"]["notes"][0]
    page = Path("r.html").read_text()
    assert "Hardest impostor pairs" in page
    assert page.count("data:image/png") == 32
    assert "brings its own pairs" in error_of(capsys, "model", "set.bin", "--pairs", "p.csv")


class Hostile:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


def test_hostile_and_damaged_files_end_in_a_sentence(model, capsys):
    Path("hostile.bin").write_bytes(pickle.dumps(([Hostile()], [True])))
    assert "hostile.bin" in error_of(capsys, "model", "hostile.bin", "--quiet")
    assert not Path("executed").exists()
    write_bin("set.bin", list(encoded(4)), np.array([True, False]))
    Path("short.bin").write_bytes(Path("set.bin").read_bytes()[:300])
    assert "short.bin" in error_of(capsys, "model", "short.bin", "--quiet")
    Path("short.npz").write_bytes(Path("a.npz").read_bytes()[:500])
    for command in ("identify", "blufr", "retrieve"):
        assert "short.npz is not a readable .npz" in error_of(capsys, command, "short.npz")
        assert "not a file of embeddings" in error_of(capsys, command, "model")
    bad = people_set().embeddings.copy()
    bad[5] = np.nan
    np.savez("nan.npz", embeddings=bad, labels=people_set().labels)
    assert "row 5" in error_of(capsys, "nan.npz")
    bad[5] = 0
    np.savez("zero.npz", embeddings=bad, labels=people_set().labels)
    for command in (["zero.npz"], ["identify", "zero.npz"], ["retrieve", "zero.npz"]):
        assert "got all zeros in row 5" in error_of(capsys, *command)
    np.savez("unlike.npz", embeddings=bad, labels=np.arange(3))
    assert "one entry for each of the 260 embeddings, got 3" in error_of(capsys, "unlike.npz")
    Path("bad.json").write_text('{"threshold": 1}')
    assert "bad.json holds no calibrated threshold" in error_of(capsys, "a.npz", "--calibration", "bad.json")
    replace(people_set(), labels=None).save("nobody.npz")
    for command in (["nobody.npz"], ["identify", "nobody.npz"], ["blufr", "nobody.npz"], ["retrieve", "nobody.npz"]):
        assert "labels" in error_of(capsys, *command)


@needs_shared
def test_the_open_set_figures_of_the_stored_lfw_embeddings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    embeddings = str(SHARED / "lfw_embeddings" / "lfw_mobilefacenet128.npz")
    fars = ["--far", "1e-3", "--far", "1e-4", "--far", "1e-5", "--far", "1e-6"]
    found = run(embeddings, *fars, "--no-curves")
    assert (found["genuine"], found["impostors"]) == (242_257, 87_307_271)
    # the brute-force count over one big product
    assert [p["true_accepts"] for p in found["tar_at_far"]] == [238_582, 229_922, 211_046, 164_721]
    assert [p["false_accepts"] for p in found["tar_at_far"]] == [87_307, 8_730, 873, 87]
    assert len(found["intervals"]["tar_at_far"]) == 4
    searched = run("identify", embeddings)
    assert (searched["gallery"], searched["known"], searched["unknown"]) == (1680, 7484, 4069)
    assert searched["cmc"][0]["hits"] == 7195
    assert [point["hits"] for point in searched["tpir_at_fpir"]] == [6744, 5796]
