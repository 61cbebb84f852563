"""`angulus evaluate` with the scoring steps of speaker verification, on small self-made sets."""

import json
from pathlib import Path

import numpy as np
import pytest

from angulus.cli import main
from angulus.embeddings import EmbeddingSet


def speakers(seed, count=30, recordings=5):
    """Noisy recordings with durations, a common offset, and speakers of their own for each seed."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(count), recordings)
    vectors = random.normal(size=(count, 16))[labels] + random.normal(size=(len(labels), 16)) + 0.8
    return EmbeddingSet(
        embeddings=vectors,
        labels=labels,
        identities=tuple(f"v{seed}n{number:02d}" for number in range(count)),
        keys=tuple(f"v{seed}n{label:02d}/talk/{row:04d}.wav" for row, label in enumerate(labels)),
        columns={"seconds": random.uniform(0.5, 6, len(labels))},
    )


def write_trials(path, found):
    """VoxCeleb's form: every genuine pair and as many of two people, by turns."""
    random = np.random.default_rng(0)
    left, right = np.triu_indices(len(found), 1)
    same = found.labels[left] == found.labels[right]
    other = random.permutation(np.flatnonzero(~same))[: 4 * same.sum()]
    rows = [*np.flatnonzero(same), *other]
    path.write_text("".join(f"{same[row]:d} {found.keys[left[row]]} {found.keys[right[row]]}\n" for row in rows))


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A current folder with test.npz, dev.npz and their trials, and train.npz."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("test", "dev", "train")):
        found = speakers(seed)
        found.save(f"{name}.npz")
        write_trials(Path(f"{name}.txt"), found)
    return tmp_path


def run(*tokens):
    """The JSON that `angulus evaluate` wrote; it must succeed."""
    assert main(["evaluate", *tokens, "--json", "out.json"]) == 0
    return json.loads(Path("out.json").read_text())


def error_of(capsys, *tokens):
    before = sorted(path.name for path in Path().rglob("*"))
    assert main(["evaluate", *tokens]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert sorted(path.name for path in Path().rglob("*")) == before
    return captured.err


@pytest.mark.slow
def test_all_steps_on_the_page_the_terminal_and_in_the_table(home, capsys):
    steps = ["--center", "train.npz", "--cohort", "train.npz", "--top", "20", "--calibrate-on", "dev.npz", "dev.txt"]
    steps += ["--quality", "seconds", "--keep-calibration", "c.json"]
    found = run("test.npz", "--pairs", "test.txt", *steps, "--report", "x.html", "--markdown", "x.md")
    assert [step["name"] for step in found["steps"]] == ["raw", "+ mean", "+ AS-norm", "+ calibration"]
    assert found["steps"][1]["eer"]["eer"] < found["steps"][0]["eer"]["eer"]
    assert found["steps"][0]["intervals"]["eer"]["low"] < found["steps"][0]["eer"]["eer"]
    assert "VoxCeleb 0.05" in found["intervals"]["min_dcf"]
    assert found["costs"]["cllr"] < found["costs"]["min_cllr"] + 0.1 < found["steps"][0]["costs"]["cllr"]
    assert [cost["model"]["name"] for cost in found["costs"]["act_dcf"]] == ["SRE08", "VoxCeleb 0.01", "VoxCeleb 0.05"]
    assert (found["scoring"]["top"], found["center"], found["cohort"]) == (20, "train.npz", "train.npz")
    out = capsys.readouterr().out
    assert "+ calibration" in out
    assert "actDCF" in out
    page, table = Path("x.html").read_text(), Path("x.md").read_text()
    assert "Scoring steps" in page
    assert "DET curve" in page
    assert "log lesser seconds" in page
    assert "| + AS-norm |" in table
    again = run("test.npz", "--pairs", "test.txt", *steps[:6], "--calibrate-on", "c.json")
    assert again["costs"] == found["costs"]
    assert main(["evaluate", "compare", "out.json", "out.json"]) == 0


def test_the_prior_of_the_calibration_is_said_kept_and_used(home):
    steps = ["--pairs", "test.txt", "--no-intervals", "--calibrate-on", "dev.npz", "dev.txt"]
    usual = run("test.npz", *steps)
    found = run("test.npz", *steps, "--calibration-prior", "0.01", "--keep-calibration", "c.json")
    assert (usual["calibration prior"], found["calibration prior"]) == ("0.5", "0.01")
    assert json.loads(Path("c.json").read_text())["prior"] == 0.01
    assert found["calibration"] != usual["calibration"]
    assert found["costs"]["min_cllr"] == pytest.approx(usual["costs"]["min_cllr"])


def test_each_range_of_durations_has_its_own_figures(home, capsys):
    found = run("test.npz", "--pairs", "test.txt", "--groups", "seconds=0,2,6,9", "--report", "x.html")
    figures = found["breakdowns"][0]["figures"]
    assert [each["group"] for each in figures] == ["0 to 2", "2 to 6"]
    test = EmbeddingSet.load("test.npz")
    rows = [line.split() for line in Path("test.txt").read_text().splitlines()]
    place = {key: row for row, key in enumerate(test.keys)}
    left, right = ([place[row[side]] for row in rows] for side in (1, 2))
    same = np.array([row[0] == "1" for row in rows])
    shorter = np.minimum(test.columns["seconds"][left], test.columns["seconds"][right])
    scores = np.einsum("nd,nd->n", test.unit("plain")[left], test.unit("plain")[right])
    for each, (low, high) in zip(figures, ((0, 2), (2, 6)), strict=True):
        mine = (shorter >= low) & (shorter < high)
        assert (each["genuine"], each["impostors"]) == (int((mine & same).sum()), int((mine & ~same).sum()))
        own, other = scores[mine & same], scores[mine & ~same]
        gaps = [max((own <= t).mean(), (other > t).mean()) for t in scores[mine]]
        assert each["eer"] == pytest.approx(min(gaps), abs=1 / len(own) + 1 / len(other))
        best = min((own <= t).mean() + 99 * (other > t).mean() for t in [-2.0, *scores[mine], 2.0])
        assert each["min_dcf"]["VoxCeleb 0.01"] == pytest.approx(min(best, 1.0), abs=1e-3)
        assert each["eer_interval"]["low"] <= each["eer"] <= each["eer_interval"]["high"]
        assert set(each["min_dcf_intervals"]) == {"VoxCeleb 0.01", "VoxCeleb 0.05"}
    assert "EER  0 to 2" in capsys.readouterr().out
    assert "Each group for itself" in Path("x.html").read_text()


def test_without_a_list_the_pairs_within_a_range_are_judged(home):
    test = EmbeddingSet.load("test.npz")
    inside = np.flatnonzero(test.columns["seconds"] < 3)
    test.select(inside).save("short.npz")
    figures = run("test.npz", "--groups", "seconds=0,3,9")["breakdowns"][0]["figures"]
    whole = run("short.npz")
    assert figures[0]["eer"] == pytest.approx(whole["eer"]["eer"])
    assert figures[0]["min_dcf"]["VoxCeleb 0.05"] == pytest.approx(whole["costs"]["min_dcf"][2]["cost"])


def test_a_list_without_steps_is_as_before(home):
    plain = run("test.npz", "--pairs", "test.txt")
    assert (plain["scores"], plain["steps"], plain["costs"]["cllr"]) == ("cosine", [], None)
    raw = run("test.npz", "--pairs", "test.txt", "--center", "train.npz")["steps"][0]
    assert raw["eer"] == plain["eer"]
    assert [cost["cost"] for cost in raw["costs"]["min_dcf"]] == [cost["cost"] for cost in plain["costs"]["min_dcf"]]


@pytest.mark.slow
def test_models_of_a_list_and_models_that_are_drawn(home, capsys):
    found = EmbeddingSet.load("test.npz")
    rows = np.arange(len(found)).reshape(30, 5)
    Path("spk2utt").write_text("".join(f"m{n} {' '.join(found.keys[row] for row in rows[n][:3])}\n" for n in range(30)))
    trials = [(n, row) for n in range(30) for row in rows[:, 3:].ravel()]
    kinds = ("nontarget", "target")
    lines = [f"m{n} {found.keys[row]} {kinds[int(found.labels[row] == n)]}\n" for n, row in trials]
    Path("trials").write_text("".join(lines))
    several = run("test.npz", "--pairs", "trials", "--enrolment", "spk2utt", "--center", "train.npz")
    assert (several["compared"], several["genuine"], several["pairs"]) == ("trials of 30 models", 60, "trials")
    assert several["intervals"]["people"] == 30
    dev = EmbeddingSet.load("dev.npz")
    own = "".join(f"d{n} {' '.join(dev.keys[5 * n : 5 * n + 3])}\n" for n in range(30))
    Path("both").write_text(Path("spk2utt").read_text() + own)
    pairs = [(n, row) for n in range(30) for row in np.arange(150).reshape(30, 5)[:, 3:].ravel()]
    lines = [f"d{n} {dev.keys[row]} {kinds[int(dev.labels[row] == n)]}\n" for n, row in pairs]
    Path("dev_trials").write_text("".join(lines))
    options = ["--enrolment", "both", "--center", "train.npz", "--calibrate-on", "dev.npz", "dev_trials"]
    calibrated = run("test.npz", "--pairs", "trials", *options, "--quality", "seconds", "--quality", "norm")
    assert calibrated["costs"]["cllr"] < calibrated["costs"]["min_cllr"] + 0.1
    assert calibrated["steps"][1]["eer"] == several["eer"]
    drawn = run("test.npz", "--enrol", "3", "--center", "train.npz", "--calibrate-on", "dev.npz")
    assert (drawn["genuine"], drawn["impostors"]) == (60, 29 * 60)
    one = run("test.npz", "--enrol", "1", "--center", "train.npz")
    assert drawn["eer"]["eer"] < one["eer"]["eer"]
    Path("spk2utt").write_text("m0 nobody.wav\n" + Path("spk2utt").read_text().split("\n", 1)[1])
    assert "not in the embeddings, first 'nobody.wav'" in error_of(
        capsys, "test.npz", "--pairs", "trials", "--enrolment", "spk2utt"
    )
    Path("spk2utt").write_text("m1 " + found.keys[0])
    assert "got 'm0' (29 such names)" in error_of(capsys, "test.npz", "--pairs", "trials", "--enrolment", "spk2utt")
    for text, said in (("m1", "line 1 must be"), ("m1 a a", "'m1' twice"), ("", "lists no models")):
        Path("spk2utt").write_text(text)
        assert said in error_of(capsys, "test.npz", "--pairs", "trials", "--enrolment", "spk2utt")


@pytest.mark.slow
def test_durations_break_a_list_down_by_the_shorter_side(home):
    found = EmbeddingSet.load("test.npz")
    for steps in ((), ("--center", "train.npz")):
        groups = run("test.npz", "--pairs", "test.txt", "--groups", "seconds=0,1,2,6", *steps)["breakdowns"][0]
        trials = {rate["groups"][0]: rate["trials"] for rate in groups["rates"] if rate["rate"] == "FNMR"}
        left, right = np.triu_indices(len(found), 1)
        same = found.labels[left] == found.labels[right]
        shorter = np.minimum(*(found.columns["seconds"][side] for side in (left, right)))[same]
        assert trials == {
            f"{a} to {b}": int(((shorter >= a) & (shorter < b)).sum()) for a, b in ((0, 1), (1, 2), (2, 6))
        }


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (["--top", "20"], "--top counts the cohort scores of AS-norm; name the cohort with --cohort"),
        (["--quality", "seconds"], "--quality belongs to a calibration"),
        (["--keep-calibration", "c.json"], "--keep-calibration belongs to a calibration"),
        (["--calibration-prior", "0.1"], "--calibration-prior belongs to a calibration"),
        (["--calibrate-on", "c.json", "--calibration-prior", "0.1"], "c.json was fitted at a prior already"),
        (["--calibrate-on", "dev.npz", "dev.txt", "x"], "--calibrate-on takes embeddings and their trial list"),
        (["--calibrate-on", "c.json", "--quality", "seconds"], "c.json says which qualities it takes"),
        (["--calibrate-on", "c.json"], "no calibration of scores at c.json"),
        (["--calibrate-on", "dev.npz", "dev.txt", "--quality", "snr"], "the quality snr needs a column of this name"),
        (["--center", "train.npz", "--protocol", "insightface"], "scoring steps belong to the protocol plain"),
        (["--center", "train.npz", "--calibration", "c.json"], "c.json is a threshold for cosines"),
        (["--calibrate-on", "dev.npz", "--keep-calibration", "c.json", "--groups", "sex"], "no column 'sex'"),
        (["--enrol", "2"], "--enrol draws its own trials"),
        (["--cohort", "train.npz", "--top", "31"], "top must be at least 2 and at most the cohort's 30"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(home, capsys, tokens, said):
    assert said in error_of(capsys, "test.npz", "--pairs", "test.txt", *tokens)


def test_an_enrolment_needs_trials_and_speakers_of_the_cohort_are_told(home, capsys):
    assert "name the trials of these models" in error_of(capsys, "test.npz", "--enrolment", "spk2utt")
    found = run("test.npz", "--pairs", "test.txt", "--cohort", "test.npz", "--calibrate-on", "test.npz", "test.txt")
    assert any("30 of the speakers are in the cohort too (v0n00" in note for note in found["notes"])
    assert any("fitted on these very trials" in note for note in found["notes"])
