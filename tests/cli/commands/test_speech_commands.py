"""Speech on the command line, from drawn recordings to figures: train, convert, embed, evaluate; what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest

from angulus.cli import main
from angulus.embeddings import EmbeddingSet
from angulus.speech import drawn_utterance
from angulus.speech.wave_files import wave_file

pytest.importorskip("soundfile")
RATE = 8_000
OF_IMAGES = re.compile(r"(?<![\w=.-])(?:image|photo|picture)s?\b(?! \(examples\))", re.IGNORECASE)
"""Words for pictures; "--images" and "min_images" are names, and so is what "(examples)" explains."""
ONE_OF_MANY = re.compile(r"(?<![\d,.])1 (?:recordings|identities|people|epochs|steps|seconds|threads|pairs)\b")


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
    for file in (page, tmp_path / "e.html", home / "run" / "report.html"):
        assert "recordings" in file.read_text()
        assert " images" not in file.read_text()


def run_on(home: Path, *words: str) -> list[str]:
    return ["train", f"data.path={home / 'speech'}", *words, "train.epochs=1", "train.frames=[20, 40]"]


@pytest.mark.slow
def test_no_sentence_on_recordings_speaks_of_images(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is done with recordings, rightly or wrongly, is told of recordings, and of one as of one."""
    speech, run, out = str(home / "speech"), str(home / "run"), str(tmp_path / "x.npz")
    small = f"model={{name: tiny_speech, channels: 8, wide: 8, embedding_dim: 8, input: {{rate: {RATE}, bands: 12}}}}"
    alone = tmp_path / "one" / "a" / "1.wav"
    alone.parent.mkdir(parents=True)
    alone.write_bytes((home / "speech" / "id0" / "video" / "0.wav").read_bytes())
    one = str(alone.parents[1])
    files = {
        "twice.csv": f"path,identity\n{alone},a\n{alone},a\n",
        "nothing.csv": "path,identity\n",
        "lacking.csv": "action,key\ndrop,nope.wav\n",
        "nobody.csv": "action,key\ndrop,\n",
        "all.csv": "action,identity\n" + "".join(f"drop,id{number}\n" for number in range(10)),
        "itself.txt": "1 id0/video/0.wav id0/video/0.wav\n0 id0/video/0.wav id1/video/0.wav\n",
        "unknown.txt": "1 id0/video/0.wav id0/video/9.wav\n0 id0/video/0.wav id1/video/0.wav\n",
        "ambiguous.txt": "1 0.wav 1.wav\n0 0.wav 2.wav\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    stored = str(tmp_path / "e.npz")
    assert main(["embed", run, speech, "--out", stored]) == 0
    assert main(["embed", run, one, "--out", str(tmp_path / "one.npz")]) == 0
    commands = [
        run_on(home, small, f"out={tmp_path / 'a'}"),
        run_on(home, small, "data.identities.max_images=2", "evaluation.hold_out=part", f"out={tmp_path / 'b'}"),
        run_on(home, f"init={run}/model", f"out={tmp_path / 'c'}"),
        run_on(home, small, "data.identities.min_images=9", f"out={tmp_path / 'd'}"),
        run_on(home, small, "head.triplet={margin: 0.3}", f"out={tmp_path / 'd'}"),
        run_on(home, small, "train.sampling={name: pk, images: 2}", "train.batch_size=40", f"out={tmp_path / 'd'}"),
        ["train", f"data.path={one}", small, f"out={tmp_path / 'd'}"],
        ["plan", f"data.path={speech}", small],
        ["embed", run, one, "--out", out],
        ["convert", one, str(tmp_path / "one.packed")],
        *(["embed", run, str(tmp_path / name), "--out", out] for name in ("twice.csv", "nothing.csv")),
        *(
            ["embed", run, speech, "--out", out, "--edits", str(tmp_path / f"{name}.csv")]
            for name in ("lacking", "nobody", "all")
        ),
        *(
            ["evaluate", what, "--pairs", str(tmp_path / f"{name}.txt")]
            for what in (stored,)
            for name in ("itself", "unknown", "ambiguous")
        ),
        ["evaluate", run, speech, "--pairs", str(tmp_path / "unknown.txt")],
        ["evaluate", str(tmp_path / "one.npz")],
        ["evaluate", stored, "--enrol", "2"],
        ["evaluate", "compare", stored, stored],
        ["evaluate", "compare", stored, str(tmp_path / "one.npz")],
        ["evaluate", "identify", stored],
        ["evaluate", "retrieve", stored],
        ["data", "report", one, "--out", str(tmp_path / "report")],
        ["data", "leaks", speech, one, "--out", str(tmp_path / "leaks")],
        ["audit", "labels", run, "--out", str(tmp_path / "audit")],
        ["audit", "labels", run, speech, "--out", str(tmp_path / "audit")],
        ["doctor", run],
    ]
    for words in commands:
        capsys.readouterr()
        main(words)
        told = "".join(capsys.readouterr()).replace(str(tmp_path), "").replace(str(home), "")
        assert told, words
        assert OF_IMAGES.findall(told) == [], (words, told)
        assert ONE_OF_MANY.findall(told) == [], (words, told)
