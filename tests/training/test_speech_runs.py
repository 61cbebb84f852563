"""Runs on speech: they learn, resume to the bit with chunks of unlike lengths, and say what does not fit."""

import io
import json
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_run import stop_at

from angulus.data import SyntheticFaces, convert, open_source, subset
from angulus.data.examples import bytes_of
from angulus.data.parts import rate_of
from angulus.data.synthetic.speech import DrawnSpeech
from angulus.data.views.sequences import Sequences
from angulus.embeddings import EmbeddingSet
from angulus.errors import ConfigError, DataError, ModelError
from angulus.extract import embed
from angulus.inference import recordings
from angulus.margins import ArcFace
from angulus.models import SpeechInput, TinyNet, TinySpeech, load_model
from angulus.speech import Bank, SpeechAugment
from angulus.speech.wave_files import wave_file
from angulus.training import SGD, Evaluation, Experiment, Identities, LearningRate, SyntheticData, Training, train
from angulus.training.datasets import DrawnSpeechData, FeaturesData, FolderData
from angulus.training.experiment import Stage
from angulus.training.recipe.begun_choices import as_begun
from angulus.training.recipe.data_sources import open_sources
from angulus.training.recipe.serialization import record
from angulus.training.storage.class_names import read_classes

BANDS = 12
SPEC = SpeechInput(content="features", bands=BANDS, offset=128.0, scale=0.05)


def write_features(path: Path, speakers: int = 14, each: int = 6, seed: int = 0) -> Path:
    """Speakers differ in how their bands move together; every recording has a length and an offset of its own."""
    random = np.random.default_rng(seed)
    features, lengths, names = [], [], []
    for speaker in range(speakers):
        mixing = np.random.default_rng([seed, speaker]).normal(size=(3, BANDS))
        for _ in range(each):
            frames = int(random.integers(30, 90))
            values = random.normal(size=(frames, 3)) @ mixing * 12 + random.normal(size=(frames, BANDS)) * 4
            features.append(np.clip(values + 128 + random.normal(size=BANDS) * 10, 0, 255).astype(np.uint8))
            lengths.append(frames)
            names.append(f"s{speaker:02d}")
    np.savez(path, features=np.concatenate(features), lengths=np.array(lengths), speakers=np.array(names))
    return path


def experiment_on(path: Path, out: Path, **changes: object) -> Experiment:
    experiment = Experiment(
        data=FeaturesData(path=path, identities=Identities(parts={"train": 0.7, "test": 0.3})),
        model=TinySpeech(embedding_dim=16, input=SPEC),
        margin=ArcFace(scale=16.0, m=0.1),
        optim=SGD(lr=0.05),
        learning_rate=LearningRate(warmup_epochs=1),
        train=Training(epochs=4, batch_size=10, frames=(20, 40), precision="float32", log_every=1, checkpoint_every=4),
        evaluation=Evaluation(every=2, fars=(0.1,)),
        out=out,
    )
    return replace(experiment, **changes)  # pyrefly: ignore


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Experiment]:
    folder = tmp_path_factory.mktemp("speech")
    experiment = experiment_on(write_features(folder / "speech.npz"), folder / "run")
    train(experiment)
    return folder, experiment


def rows(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: line[key] for key in ("step", "loss", "cos_target") if key in line} for line in lines]


def test_speakers_are_learned(finished: tuple[Path, Experiment]) -> None:
    folder, _ = finished
    figures = json.loads((folder / "run" / "result.json").read_text())["figures"]
    assert figures["held-out/auc"] > 0.75
    recipe = json.loads((folder / "run" / "result.json").read_text())["recipe"]
    assert recipe["evaluation"]["views"] == "plain"
    assert "recordings of" in (folder / "run" / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("step", [6, 13])
def test_resume_in_the_middle_of_an_epoch_is_the_uninterrupted_run(
    finished: tuple[Path, Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    folder, experiment = finished
    again = replace(experiment, out=tmp_path / "run")
    with monkeypatch.context() as patch:
        stop_at(patch, step)
        with pytest.raises(KeyboardInterrupt):
            train(again)
    train(again, resume=True)
    assert rows(tmp_path / "run") == rows(folder / "run")
    states = [load_model(place / "run" / "model").state_dict() for place in (folder, tmp_path)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_model_is_embedded_from_python_whatever_the_lengths(finished: tuple[Path, Experiment]) -> None:
    folder, _ = finished
    model = load_model(folder / "run" / "model")
    found = embed(model, folder / "speech.npz")
    assert len(found) == 84
    assert found.flipped is None
    seconds = np.load(folder / "speech.npz")["lengths"] / 100
    np.testing.assert_allclose(np.asarray(found.columns["seconds"], float), seconds)
    stored = np.load(folder / "speech.npz")
    first = stored["features"][: stored["lengths"][0]]
    alone = embed(model, [first, first[:25]])
    np.testing.assert_allclose(alone.embeddings[0], found.embeddings[0], rtol=0, atol=1e-5)
    assert isinstance(alone, EmbeddingSet)


def test_long_recordings_are_the_mean_of_their_windows(finished: tuple[Path, Experiment]) -> None:
    folder, _ = finished
    model = load_model(folder / "run" / "model")
    values = np.load(folder / "speech.npz")["features"][:100]
    windowed = embed(model, [values], window=0.5).embeddings[0]
    halves = embed(model, [values[:50], values[50:]], window=None).embeddings
    units = halves / np.linalg.norm(halves, axis=1, keepdims=True)
    np.testing.assert_allclose(windowed, units.mean(0), rtol=0, atol=1e-5)


def test_a_set_and_a_network_of_unlike_kinds(finished: tuple[Path, Experiment], tmp_path: Path) -> None:
    folder, experiment = finished
    with pytest.raises(DataError, match="drawn faces and people are images, and the model takes features of 12"):
        train(replace(experiment, data=SyntheticData(num_identities=4), out=tmp_path / "a"))
    with pytest.raises(DataError, match=r"holds stored features, and the model takes 64x64 rgb images"):
        train(replace(experiment, model=TinyNet(), evaluation=Evaluation(), out=tmp_path / "b"))
    model = TinySpeech(input=replace(SPEC, bands=40))
    with pytest.raises(DataError, match="has 12 bands and the model takes 40"):
        train(replace(experiment, model=model, out=tmp_path / "c"))
    with pytest.raises(ConfigError, match=r"evaluation.views must be plain for speech"):
        train(replace(experiment, evaluation=Evaluation(views="sum"), out=tmp_path / "d"))
    model = load_model(folder / "run" / "model")
    with pytest.raises(DataError, match="is an image, and the model takes features"):
        embed(model, SyntheticFaces(num_identities=2, images_per_identity=1))
    with pytest.raises(ModelError, match="works with networks for images, and the network takes features"):
        model.image_input()


def test_what_a_run_left_open_stays_as_it_was_chosen(finished: tuple[Path, Experiment]) -> None:
    """The changes of speech too, whatever the rules choose by now."""
    _, experiment = finished
    own = replace(SpeechAugment.off(), masking=0.25, time_masks=2)
    begun = record(replace(experiment, augment=own))
    assert as_begun(replace(experiment, augment=None), begun).augment == own


def drawn(tmp_path: Path, **changes: object) -> Experiment:
    """Six drawn speakers at 8 kHz, each at a further speed too."""
    experiment = Experiment(
        data=DrawnSpeechData(num_identities=6, recordings_per_identity=4, seconds=(0.4, 0.6)),
        model=TinySpeech(channels=8, wide=8, embedding_dim=8, input=SpeechInput(rate=8000, bands=12)),
        margin=ArcFace(scale=8.0, m=0.1),
        augment=SpeechAugment(noise=0.5, babble=0.3, reverberation=0.0),
        train=Training(epochs=1, batch_size=8, frames=(20, 20), speeds=(0.9,), precision="float32", threads=1),
        evaluation=Evaluation(hold_out="folds", folds=3, fars=(0.1,)),
        out=tmp_path / "run",
    )
    return replace(experiment, **changes)  # pyrefly: ignore


@pytest.mark.slow
def test_a_person_at_another_speed_is_in_no_other_fold(tmp_path: Path) -> None:
    """Else a fold would be verified on voices that its model has heard, played faster."""
    experiment = drawn(tmp_path)
    assert experiment.model is not None
    sources = open_sources(experiment, experiment.model.input)
    assert len(sources.train.identities) == 12
    train(experiment)
    for fold in sources.folds:
        assert not [name for name in fold.identities if "@" in name]
    verified = [set(fold.identities) for fold in sources.folds]
    for number, names in enumerate(verified, start=1):
        trained = read_classes(tmp_path / "run" / "folds" / f"fold{number}")
        assert trained is not None
        assert not names & {name.partition("@")[0] for name in trained}
    assert set().union(*verified) == set(sources.train.source.identities)  # pyrefly: ignore


def test_the_background_is_made_once_and_not_for_a_run_that_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    original = Bank.drawn

    def counted(seed: int, rate: int, **more: Any) -> Bank:
        made.append(rate)
        return original(seed, rate, noises=2, responses=0, **{**more, "seconds": 0.5})

    monkeypatch.setattr(Bank, "drawn", counted)
    later = Stage(name="louder", epochs=1, augment=SpeechAugment(noise=0.9, babble=0.0, reverberation=0.0))
    experiment = drawn(tmp_path, stages=(later,), evaluation=Evaluation(hold_out="nobody"))
    train(experiment)
    assert made == [8000]
    train(experiment, resume=True)
    assert made == [8000]


def write_sounds(folder: Path) -> Path:
    """A small MUSAN and a small RIRS_NOISES."""
    for number, name in enumerate(("musan/noise/a", "musan/music/b", "musan/speech/c", "RIRS_NOISES/simulated_rirs/d")):
        samples = np.random.default_rng(number).integers(-2000, 2000, 12_000)
        if name.startswith("RIRS"):
            samples = samples * np.exp(-np.arange(12_000) / 400.0)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.wav").write_bytes(wave_file(samples.astype(np.int16), rate=8000))
    return folder


def test_noises_and_rooms_of_folders_are_told_and_a_resumed_run_is_the_same_to_the_bit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds = write_sounds(tmp_path / "sounds")
    folders = {"noises": sounds / "musan", "rooms": sounds / "RIRS_NOISES"}
    augment = SpeechAugment(noise=0.4, babble=0.2, reverberation=0.4, **folders)
    experiment = drawn(tmp_path, augment=augment, evaluation=Evaluation(hold_out="nobody"))
    caplog.set_level("INFO", logger="angulus")
    train(replace(experiment, out=tmp_path / "whole"))
    told = [line for line in caplog.messages if " below " in line]
    assert told == [
        f"sounds    1 piece of noise of 1 file below {folders['noises']}",
        f"          1 piece of music of 1 file below {folders['noises']}",
        f"          1 piece of speech of 1 file below {folders['noises']}",
        f"          1 room response of 1 file below {folders['rooms']}",
    ]
    with monkeypatch.context() as patch:
        stop_at(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            train(experiment)
    train(experiment, resume=True)
    parts = [load_model(tmp_path / name / "model").state_dict() for name in ("whole", "run")]
    assert all(torch.equal(one, two) for one, two in zip(*(part.values() for part in parts), strict=True))


def test_folders_that_give_nothing_are_refused_before_the_first_step(tmp_path: Path) -> None:
    sounds = write_sounds(tmp_path / "sounds")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.wav").write_bytes(b"RIFF, but no more")
    cases: list[tuple[dict[str, Path], type[Exception], str]] = [
        ({"noises": tmp_path / "empty"}, DataError, "empty must hold sound files"),
        ({"rooms": tmp_path / "nowhere"}, DataError, "nowhere must be a folder of sound files"),
        ({"noises": tmp_path / "broken"}, DataError, r"a\.wav"),
        ({"noises": sounds / "musan" / "speech"}, DataError, "must hold noises or music, got speech alone"),
    ]
    for number, (folders, kind, said) in enumerate(cases):
        out = tmp_path / str(number)
        with pytest.raises(kind, match=said):
            train(drawn(tmp_path, augment=SpeechAugment(**folders), out=out, evaluation=Evaluation(hold_out="nobody")))
        assert "epoch" not in "".join(path.read_text() for path in out.glob("metrics.jsonl"))
    with pytest.raises(ValueError, match="noises is for noise or babble above 0"):
        SpeechAugment(noise=0.0, babble=0.0, noises=sounds)
    one, two = (SpeechAugment(rooms=sounds / name) for name in ("musan", "RIRS_NOISES"))
    with pytest.raises(ConfigError, match=r"augment\.rooms must be one folder in all stages"):
        train(drawn(tmp_path, augment=one, stages=(Stage(name="later", epochs=1, augment=two),)))


def test_a_recording_shorter_than_a_frame_is_refused_before_an_epoch_has_passed_or_left_out(tmp_path: Path) -> None:
    """Training repeated it, and the run ended when its people were to be verified, an epoch later."""
    random = np.random.default_rng(0)
    for speaker in range(6):
        for number in range(3):
            samples = random.normal(size=4000) * 3000 if number or speaker else np.ones(100)
            (tmp_path / "set" / f"s{speaker}").mkdir(parents=True, exist_ok=True)
            content = wave_file(samples.astype(np.int16), rate=8000)
            (tmp_path / "set" / f"s{speaker}" / f"{number}.wav").write_bytes(content)
    rules = Identities(min_images=2)
    data = FolderData(path=tmp_path / "set", identities=rules)
    plain = replace(SpeechAugment.off(), masking=0.0)
    experiment = drawn(tmp_path, data=data, augment=plain)
    assert experiment.model is not None
    said = r"0\.wav: it is too short, 100 samples at 8,000 Hz where one frame of the model takes 200; .*=skip"
    with pytest.raises(DataError, match=said):
        train(experiment)
    metrics = tmp_path / "run" / "metrics.jsonl"
    assert not metrics.exists() or "epoch_seconds" not in metrics.read_text()
    with pytest.raises(DataError, match=said):
        embed(experiment.model.build(), tmp_path / "set")
    train(replace(experiment, data=replace(data, on_unreadable="skip"), out=tmp_path / "skipped"))
    assert (tmp_path / "skipped" / "result.json").exists()


def test_pages_play_at_the_rate_of_the_recordings(tmp_path: Path) -> None:
    source = DrawnSpeech(num_identities=3, recordings_per_identity=3, rate=8000, seconds=(0.3, 0.4))
    view = subset(source, identities=source.identities[:2])
    kept = Sequences.load(view)
    assert [rate_of(one) for one in (source, view, kept, SyntheticFaces())] == [8000, 8000, 8000, 16_000]
    convert(view, tmp_path / "set.packed")
    with wave.open(io.BytesIO(bytes_of(open_source(tmp_path / "set.packed"), 0) or b"")) as file:
        assert file.getframerate() == 8000


@pytest.mark.slow
def test_few_bytes_are_held_at_once(finished: tuple[Path, Experiment], monkeypatch: pytest.MonkeyPatch) -> None:
    """A long recording is read alone; what comes out is the same."""
    folder, _ = finished
    model, path = load_model(folder / "run" / "model"), folder / "speech.npz"
    whole = embed(model, path, window=0.4)
    for held, count in ((1, 256), (2000, 256), (2**26, 3)):
        monkeypatch.setattr(recordings, "READ_BYTES", held)
        monkeypatch.setattr(recordings, "READ_AHEAD", count)
        np.testing.assert_allclose(embed(model, path, window=0.4).embeddings, whole.embeddings, rtol=0, atol=1e-5)


def test_many_windows_go_through_in_passes_of_few_seconds(
    finished: tuple[Path, Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long a recording is, what one pass holds has a bound; a size that is asked for stays."""
    folder, _ = finished
    model, seen = load_model(folder / "run" / "model"), []
    frames = np.random.default_rng(0).integers(0, 255, (400, BANDS), dtype=np.uint8)
    whole = embed(model, [frames], window=0.5).embeddings
    through = recordings._through

    def noting(compute: Any, pieces: Any, *rest: Any) -> Any:
        def counted(batch: Any) -> Any:
            seen.append(batch.shape[0] * batch.shape[1])
            return compute(batch)

        return through(counted, pieces, *rest)

    monkeypatch.setattr(recordings, "_through", noting)
    monkeypatch.setattr(recordings, "SECONDS_AT_ONCE", 1.0)
    np.testing.assert_allclose(embed(model, [frames], window=0.5).embeddings, whole, rtol=0, atol=1e-5)
    assert (len(seen), max(seen)) == (4, 100)
    seen.clear()
    embed(model, [frames], window=0.5, batch_size=8)
    assert max(seen) == 400
