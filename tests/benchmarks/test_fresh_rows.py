"""--fresh with a part of a benchmark measures that part anew and keeps every other row."""

import json
from types import SimpleNamespace

from benchmark_scripts import script


def test_rows_of_training(tmp_path, monkeypatch):
    training = script("training", monkeypatch)
    monkeypatch.setattr(training, "measured", lambda name, batch, *rest: {"own": measured[0]})
    monkeypatch.setattr(training, "table", lambda rows: "")
    monkeypatch.setattr(training.torch, "set_num_threads", lambda count: None)
    words = ["--json", str(tmp_path / "rows.json"), "--batches", "8", "--data", "memory"]
    measured = [1.0]
    training.main([*words, "--networks", "tinynet", "mobilefacenet"])
    measured = [2.0]
    training.main([*words, "--networks", "tinynet"])
    training.main([*words, "--networks", "mobilefacenet", "--fresh"])
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [(row["network"], row["own"]) for row in rows] == [("tinynet", 1.0), ("mobilefacenet", 2.0)]


def test_runs_of_the_doctor(tmp_path, monkeypatch):
    doctor = script("doctor", monkeypatch)
    made = []
    monkeypatch.setattr(
        doctor, "cases", lambda: dict.fromkeys(("rate: a", "scale: b"), ("healthy", lambda place: None))
    )
    monkeypatch.setattr(doctor, "made", lambda key, experiment, folder: made.append(key))
    monkeypatch.setattr(doctor, "ended", lambda folder: {"seconds": 1.0, "experiment": "None"} if made else {})
    monkeypatch.setattr(doctor, "diagnose", lambda folder: SimpleNamespace(findings=()))
    monkeypatch.setattr(doctor, "named", lambda *given: {"made": len(made)})
    for name in ("in_markdown", "table"):
        monkeypatch.setattr(doctor, name, lambda rows: "")
    monkeypatch.setattr(doctor.torch, "set_num_threads", lambda count: None)
    file = tmp_path / "doctor.json"
    for words in ([], ["--only", "rate"], ["--only", "scale", "--fresh"]):
        monkeypatch.setattr("sys.argv", ["doctor.py", "--data", str(tmp_path), "--json", str(file), *words])
        doctor.main()
    runs = json.loads(file.read_text())["runs"]
    assert made[-1] == "scale: b"
    assert list(runs) == ["rate: a", "scale: b"]
    assert (runs["rate: a"]["made"], runs["scale: b"]["made"]) == (1, len(made))
