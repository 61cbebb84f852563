"""Which images meet in each of BLUFR's trials: the published lists, our own file, and trials drawn without them.

Published (Liao, Lei, Yi, Li, "A Benchmark Study of Large-Scale Unconstrained Face Recognition", IJCB 2014): ten
trials; in each 1,500 of LFW's 5,749 people are the training set and 4,249 people the test set (9,708 images on
average). The test set is a gallery (1,000 people, one image each) and probes: the other images of these people (4,350
on average, genuine probes) and all images of the 3,249 other people (4,357 on average, impostor probes).

Three forms are read. `blufr_lfw_config.mat` (MATLAB v5, needs scipy): imageList, labels, and the cell arrays testIndex,
galIndex and probIndex with one column of row numbers from 1 for each trial. The toolkit's folder of lists:
`image_list.txt`, `test_set.txt`, `gallery_set.txt` and `probe_set.txt`, the last three with the number of trials in
line 1 and for each trial the number of its images and lines "row, name". Ours, `.npz`: `names` [n] texts, `gallery` and
`probe` int64 [r], row numbers from 0, and `gallery_trial`, `probe_trial` int64 [r], the trial of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.array_files import read_arrays
from angulus.errors import EvaluationError
from angulus.evaluation.files.text_lists import opened


@dataclass(frozen=True, kw_only=True, eq=False)
class BlufrTrial:
    """One trial: rows of the gallery int64 [g] and of the probes int64 [p]; together they are the test set."""

    gallery: NDArray[np.int64]
    probe: NDArray[np.int64]

    @property
    def test(self) -> NDArray[np.int64]:
        """Rows of the test set, ascending."""
        return np.union1d(self.gallery, self.probe)


@dataclass(frozen=True, kw_only=True, eq=False)
class BlufrTrials:
    """Trials over a list of images. names: that list, None when the rows are those of an embedding set itself."""

    trials: tuple[BlufrTrial, ...]
    names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.trials)

    def matched(self, keys: Sequence[str] | None) -> "BlufrTrials":
        """The same trials with the row numbers of an embedding set that has these keys.

        Names are compared without folder and ending. Raises EvaluationError for an image without an embedding.
        """
        if self.names is None:
            return self
        if keys is None:
            raise EvaluationError("published trials name images, and these embeddings have no keys")
        rows = {PurePosixPath(key).stem: row for row, key in enumerate(keys)}
        if len(rows) < len(keys):
            twice = next(key for row, key in enumerate(keys) if rows[PurePosixPath(key).stem] != row)
            raise EvaluationError(
                "file names of the embeddings' keys must be distinct to be matched with trials, got"
                f" {PurePosixPath(twice).stem!r} more than once; embed the images anew or rename them"
            )
        place = np.array([rows.get(PurePosixPath(name).stem, -1) for name in self.names], dtype=np.int64)
        used = np.unique(np.concatenate([trial.test for trial in self.trials]))
        missing = used[place[used] < 0]
        if len(missing):
            raise EvaluationError(
                f"{len(missing)} images of the trials have no embedding, first {self.names[missing[0]]!r}"
            )
        return BlufrTrials(
            trials=tuple(BlufrTrial(gallery=place[t.gallery], probe=place[t.probe]) for t in self.trials)
        )

    def save(self, path: str | Path) -> None:
        """Write our `.npz` form."""
        parts = {"gallery": [t.gallery for t in self.trials], "probe": [t.probe for t in self.trials]}
        arrays = {name: np.concatenate(rows) for name, rows in parts.items()}
        for name, rows in parts.items():
            arrays[f"{name}_trial"] = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
        np.savez(path, allow_pickle=False, names=np.array(self.names or (), dtype=np.str_), **arrays)


def read_blufr_trials(path: str | Path) -> BlufrTrials:
    """Read a `.mat` or `.npz` file, or a folder of lists."""
    path = Path(path)
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        raise EvaluationError(
            f"no trials at {path}: the file does not exist; `draw_blufr_trials` makes trials of the same kind"
        )
    if path.suffix == ".mat":
        return _read_mat(path)
    if path.suffix == ".npz":
        return _read_npz(path)
    raise EvaluationError(f"trials are read from .mat, .npz or a folder of lists, got {path.name!r}")


def draw_blufr_trials(
    labels: ArrayLike, *, trials: int = 10, train_people: int = 1500, gallery_people: int = 1000, seed: int = 0
) -> BlufrTrials:
    """Draw trials of the published kind from a labelled set: rows of that set, the same for the same labels and seed.

    In each trial `train_people` people, drawn evenly from all, are left out; of the others with two or more images
    `gallery_people` are drawn, one image of each drawn for the gallery, the rest of theirs are genuine probes, and
    all images of everybody else impostor probes. Raises EvaluationError when there are too few people.
    """
    values = np.asarray(labels)
    people, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    if trials < 1 or train_people < 0 or gallery_people < 1:
        raise EvaluationError(
            "trials and gallery_people must be at least 1 and train_people at least 0, got"
            f" {trials}, {gallery_people} and {train_people}"
        )
    random = np.random.default_rng(seed)
    drawn = []
    for number in range(trials):
        test = random.permutation(len(people))[train_people:]
        candidates = test[counts[test] > 1]
        if len(candidates) < gallery_people or len(test) <= gallery_people:
            raise EvaluationError(
                f"trial {number} needs {gallery_people} people with two or more images and somebody unknown, got"
                f" {len(candidates)} such people of {len(test)}; ask for a smaller gallery or fewer training people"
            )
        chosen = random.permutation(candidates)[:gallery_people]
        in_test, in_gallery = np.isin(inverse, test), np.isin(inverse, chosen)
        shuffled = random.permutation(np.flatnonzero(in_gallery))
        gallery = np.sort(shuffled[np.unique(inverse[shuffled], return_index=True)[1]])
        drawn.append(BlufrTrial(gallery=gallery, probe=np.setdiff1d(np.flatnonzero(in_test), gallery)))
    return BlufrTrials(trials=tuple(drawn))


def _read_mat(path: Path) -> BlufrTrials:
    try:
        from scipy.io import loadmat
    except ImportError:
        raise EvaluationError(
            f"{path} is a MATLAB file and needs scipy, which is not installed: pip install scipy, or give the toolkit's"
            " folder of lists, which needs nothing"
        ) from None
    try:
        found = loadmat(path, variable_names=["imageList", "galIndex", "probIndex"])
        names = tuple(str(np.ravel(cell)[0]) for cell in np.ravel(found["imageList"]))
        sides = [[_rows_from_one(cell) for cell in np.ravel(found[name])] for name in ("galIndex", "probIndex")]
    except Exception as problem:  # scipy raises many kinds for a damaged file
        raise EvaluationError(
            f"{path} must be a MATLAB v5 file with imageList, galIndex and probIndex:"
            f" {type(problem).__name__}: {problem}"
        ) from problem
    return _checked(path, names, sides[0], sides[1])


def _rows_from_one(cell: ArrayLike) -> NDArray[np.int64]:
    return np.ravel(np.asarray(cell)).astype(np.int64) - 1


def _read_npz(path: Path) -> BlufrTrials:
    wanted = ("names", "gallery", "gallery_trial", "probe", "probe_trial")
    try:
        stored = read_arrays(path)
        arrays = {name: stored[name] for name in wanted}
    except (OSError, ValueError, KeyError) as problem:
        raise EvaluationError(f"{path} must be an .npz file with {', '.join(wanted)}: {problem}") from problem
    sides = []
    count = int(max(arrays["gallery_trial"].max(initial=-1), arrays["probe_trial"].max(initial=-1))) + 1
    for name in ("gallery", "probe"):
        rows, trial = arrays[name], arrays[f"{name}_trial"]
        if rows.shape != trial.shape:
            raise EvaluationError(
                f"{path}: {name} and {name}_trial must be of one length, got {rows.shape}, {trial.shape}"
            )
        sides.append([rows[trial == number].astype(np.int64) for number in range(count)])
    return _checked(path, tuple(str(name) for name in arrays["names"]), sides[0], sides[1])


def _read_folder(path: Path) -> BlufrTrials:
    with opened(path / "image_list.txt") as file:
        names = tuple(line.strip() for line in file if line.strip())
    return _checked(path, names, _read_list(path / "gallery_set.txt"), _read_list(path / "probe_set.txt"))


def _read_list(path: Path) -> list[NDArray[np.int64]]:
    """One trial's rows after the other, from 0."""
    with opened(path) as file:
        lines = [(number, line.strip()) for number, line in enumerate(file, start=1) if line.strip()]
    waiting = iter(lines)

    def whole(what: str) -> int:
        number, text = next(waiting, (len(lines) + 1, ""))
        field = text.split(",")[0].strip()
        if not field.isdigit():
            raise EvaluationError(f"{path}: line {number} must begin with {what}, got {text[:80]!r}")
        return int(field)

    trials = []
    for _ in range(whole("the number of trials")):
        count = whole("the number of images of a trial")
        trials.append(np.array([whole("the row of an image") for _ in range(count)], dtype=np.int64) - 1)
    extra = next(waiting, None)
    if extra is not None:
        raise EvaluationError(f"{path}: line {extra[0]} comes after the last trial, got {extra[1][:80]!r}")
    return trials


def _checked(
    path: Path, names: tuple[str, ...], gallery: list[NDArray[np.int64]], probe: list[NDArray[np.int64]]
) -> BlufrTrials:
    if len(gallery) != len(probe) or not gallery:
        raise EvaluationError(
            f"{path}: gallery and probes must have one part for each trial, got {len(gallery)}, {len(probe)}"
        )
    for number, (one, other) in enumerate(zip(gallery, probe, strict=True)):
        rows = np.concatenate([one, other])
        if not len(one) or not len(other) or rows.min() < 0 or (names and rows.max() >= len(names)):
            raise EvaluationError(
                f"{path}: trial {number + 1} must name images among the {len(names)} listed, for gallery and probes"
            )
        if len(np.unique(rows)) < len(rows):
            raise EvaluationError(f"{path}: an image must occur once in trial {number + 1}, got one twice")
    trials = tuple(BlufrTrial(gallery=one, probe=other) for one, other in zip(gallery, probe, strict=True))
    return BlufrTrials(trials=trials, names=names or None)
