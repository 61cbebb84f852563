"""Speech on the command line, from drawn recordings to figures: train, convert, embed, evaluate; what is refused."""

from pathlib import Path

import numpy as np
import pytest

from angulus.cli import main
from angulus.embeddings import EmbeddingSet
from angulus.speech import drawn_utterance
from angulus.speech.wave_files import wave_file

pytest.importorskip("soundfile")
RATE = 8_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten speakers with four recordings, a trial list, and a run on them."""
    home = tmp_path_factory.mktemp("speech")
    for speaker in range(10):
        for number in range(4):
            samples = drawn_utterance(0, speaker, number, rate=RATE, seconds=0.5 + 0.1 * number)
            file = home / "speech" / f"id{speaker}" / "video" / f"{number}.wav"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(wave_file(samples, rate=RATE))
    trials = [
        f"{int(left == right)} id{left}/video/0.wav id{right}/video/{2 + number}.wav"
        for left in range(10)
        for right in range(10)
        for number in range(2)
    ]
    (home / "trials.txt").write_text("\n".join(trials) + "\n")
    model = (
        f"model={{name: tiny_speech, channels: 16, wide: 32, embedding_dim: 16, input: {{rate: {RATE}, bands: 20}}}}"
    )
    words = ["train.epochs=2", "train.frames=[20, 40]", "augment={name: speech, noise: 0.5, babble: 0.2}"]
    assert main(["train", f"data.path={home / 'speech'}", model, *words, f"out={home / 'run'}"]) == 0
    return home


def test_a_page_shows_and_plays_recordings(home: Path) -> None:
    page = (home / "run" / "report.html").read_text()
    assert "data:audio/wav;base64," in page
    assert "data:image/png;base64," in page


def test_recordings_to_figures(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(home / "speech"), str(tmp_path / "set.packed")]) == 0
    assert "40 recordings of 10 identities" in capsys.readouterr().out
    for source in (home / "speech", tmp_path / "set.packed"):
        assert main(["embed", str(home / "run"), str(source), "--out", str(tmp_path / "e.npz")]) == 0
        assert "40 recordings of 10 people, 16 dimensions" in capsys.readouterr().out
        found = EmbeddingSet.load(tmp_path / "e.npz")
        assert found.flipped is None
        assert sorted({float(one) for one in np.asarray(found.columns["seconds"])}) == [0.5, 0.6, 0.7, 0.8]
    assert main(["evaluate", str(tmp_path / "e.npz"), "--pairs", str(home / "trials.txt")]) == 0
    assert "EER" in capsys.readouterr().out
    assert main(["evaluate", str(home / "run"), str(home / "speech"), "--pairs", str(home / "trials.txt")]) == 0


def test_labels_of_recordings_are_looked_at(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Recordings have no mirror image, which the labels of images are judged by too."""
    assert main(["audit", "labels", str(home / "run"), str(home / "speech"), "--out", str(tmp_path / "seen")]) == 0
    assert "of 10 identities" in capsys.readouterr().out
    assert (tmp_path / "seen" / "edits.csv").is_file()
    data = f"data.path={home / 'speech'}"
    model = f"model={{name: tiny_speech, channels: 8, wide: 8, embedding_dim: 8, input: {{rate: {RATE}, bands: 12}}}}"
    words = ["head.subcenters=2", "train.epochs=1", "train.speeds=[0.9]", "evaluation.hold_out=nobody"]
    assert main(["train", data, model, *words, f"out={tmp_path / 'run'}"]) == 0
    capsys.readouterr()
    assert main(["audit", "labels", str(tmp_path / "run"), "--out", str(tmp_path / "again")]) == 0
    assert "40 recordings of 10 identities" in capsys.readouterr().out


def test_what_has_no_meaning_for_speech(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(home / "run"), str(tmp_path / "b"), "--to", "coreml"]) != 0
    assert "exported to onnx, openvino or torch, got coreml" in capsys.readouterr().err
    (tmp_path / "photos" / "ada").mkdir(parents=True)
    (tmp_path / "photos" / "ada" / "1.jpg").write_bytes(b"x")
    assert main(["embed", str(home / "run"), str(tmp_path / "photos"), "--out", str(tmp_path / "x.npz")]) != 0
    assert "expected one sub-folder per speaker" in capsys.readouterr().err.replace("\n", " ")


def test_a_bundle_embeds_recordings_and_refuses_photos(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    bundle, speech = str(tmp_path / "x.bundle"), str(home / "speech")
    assert main(["export", str(home / "run"), bundle, "--images", speech, "--far", "0.1"]) == 0
    said = capsys.readouterr().out
    for part in ("it takes waveforms at 8,000 Hz, float32 [n, samples]", "vectors of 40 recordings lie", "threshold: "):
        assert part in said
    assert said.strip().endswith(f"next: angulus embed or evaluate {bundle} RECORDINGS")
    found = []
    for model in (bundle, str(home / "run")):
        assert main(["embed", model, speech, "--out", str(tmp_path / "x.npz")]) == 0
        found.append(EmbeddingSet.load(tmp_path / "x.npz"))
    np.testing.assert_allclose(found[0].unit(), found[1].unit(), atol=1e-4)
    assert found[0].keys == found[1].keys
    capsys.readouterr()
    photo = str(home / "speech" / "id0" / "video" / "0.wav")
    for words in (
        ["verify", photo, photo, "--bundle", bundle],
        ["gallery", "create", str(tmp_path / "g"), "--bundle", bundle],
    ):
        assert main(words) != 0
        assert "takes recordings of speech, and this works with photos" in capsys.readouterr().err.replace("\n", " ")


def test_pages_and_lines_speak_of_recordings(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "doctor.html"
    assert main(["doctor", str(home / "run"), "--report", str(page)]) in (0, 1)
    told = capsys.readouterr().out
    assert main(["evaluate", str(home / "run"), str(home / "speech"), "--report", str(tmp_path / "e.html")]) == 0
    told += capsys.readouterr().out
    assert "40 recordings" in told
    assert " images" not in told
    for file in (page, tmp_path / "e.html"):
        assert "recordings" in file.read_text()
        assert " images" not in file.read_text()
