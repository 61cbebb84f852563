"""From a folder of photos to a folder of aligned crops, in the same folders under the same names.

OUT/Ada/1.jpg ...     the crops
OUT/manifest.csv      a row for each crop: source, box, landmarks, score, which face was taken and why
OUT/without_face.txt  photos on which no face was found
OUT/unreadable.txt    files that are no readable image, with the reason
OUT/ignored.txt       files that are no photos by their names, where there are any
OUT/gone.txt          crops of photos that are gone, which lie in OUT/.gone now, where there are any
"""

import multiprocessing
import signal
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from PIL import Image

from angulus.devices.processors import threads_of_torch, usable_cores
from angulus.errors import FacesError
from angulus.faces.detectors.catalogue import DetectorChoice
from angulus.faces.detectors.detection import Detector, Face, Photo
from angulus.faces.detectors.landmark_lists import ListedLandmarks
from angulus.faces.face_choice import Chosen, Rule, choose
from angulus.faces.image_warp import warp
from angulus.faces.journal import (
    Crop,
    Outcome,
    add_line,
    gone_crops,
    move_away,
    opened_journal,
    write_results,
    write_whole,
)
from angulus.faces.photos import list_files, read_photo
from angulus.faces.similarity_transform import Matrix, misfit, scale_of, similarity
from angulus.faces.templates import ARCFACE, Template
from angulus.files import read_regular
from angulus.image_files import HEIC_NEEDS
from angulus.lifelines import end_with, name_of_this_process
from angulus.text_files import is_utf8

Progress = Callable[[int, int | None], None]
_LONGEST_NAME = 255  # bytes
_TOGETHER = 8  # photos that a process takes at a time
_WORTH_A_PROCESS = 64  # photos for which starting one more takes less time than it saves


@dataclass(frozen=True, kw_only=True)
class AlignOptions:
    """template: where landmarks go. choose: which face of several. kind: of the files, JPEG of a quality or PNG."""

    template: Template = ARCFACE
    choose: Rule = "prominent"
    kind: Literal["jpg", "png"] = "jpg"
    quality: int = 95
    detector: DetectorChoice = field(default_factory=DetectorChoice)

    def __post_init__(self) -> None:
        if self.kind not in ("jpg", "png"):
            raise FacesError(f"format must be jpg or png, got {self.kind!r}")
        if not 1 <= self.quality <= 100:
            raise FacesError(f"quality must lie in 1 to 100, got {self.quality}")


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """What a run did: outcomes of all photos, by source; how many of them were done before; seconds of this run.

    gone: crops that were moved to `.gone`, now or before, because their photos are gone or were replaced.
    ignored: files that are no photos by their names.
    """

    outcomes: tuple[Outcome, ...]
    before: int
    seconds: float
    gone: int = 0
    ignored: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        """Photos, crops, photos without a face, unreadable ones (some for want of a reader), done before, the rest."""
        states = Counter(outcome.status for outcome in self.outcomes)
        crops = sum(len(outcome.crops) for outcome in self.outcomes)
        return {
            **{"photos": len(self.outcomes), "crops": crops, "without_face": states["no face"]},
            **{"unreadable": states["unreadable"], "done_before": self.before, "gone": self.gone},
            **{"ignored": len(self.ignored), "without_reader": sum(map(lacks_reader, self.outcomes))},
        }

    def worst_first(self) -> list[Crop]:
        """All crops, those whose landmarks fit the template worst first."""
        crops = [crop for outcome in self.outcomes for crop in outcome.crops]
        return sorted(crops, key=lambda crop: (-crop.misfit, crop.path))


@dataclass(frozen=True, kw_only=True)
class _Task:
    source: str
    stem: str  # of the crop, below the folder of crops


def align_folder(
    photos: str | Path,
    out: str | Path,
    options: AlignOptions | None = None,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Aligned:
    """Find faces on all photos below a folder and write their crops; photos that are finished are skipped.

    Crops of photos that are gone, or were replaced, are moved to `out/.gone` and listed in gone.txt.

    jobs: processes, each with one thread; None takes one for each core that may be used, fewer for few photos.
    progress: called with the photos done and their number.
    Raises FacesError: no detector, no photos, crops of other settings in `out`, a disk that is full.
    """
    options, root, folder = options or AlignOptions(), Path(photos), Path(out)
    if jobs is not None and jobs < 1:
        raise FacesError(f"jobs must be at least 1, got {jobs}")
    started = time.perf_counter()
    settings = settings_of(options)
    listed = list_files(root, without=folder)
    tasks = planned(listed.photos)
    with opened_journal(folder, settings, {task.source for task in tasks}) as (done, journal):
        known: dict[str, Outcome] = {}
        for task in tasks:
            before = done.get(task.source)
            kept = None if before is None else _still(before, root, folder)
            if kept is None:
                continue
            if kept is not before:
                add_line(journal, kept)
            known[task.source] = kept
        left = [task for task in tasks if task.source not in known]
        for number, outcome in enumerate(_outcomes(left, root, folder, options, jobs), start=1):
            if outcome.source in done:
                names = {crop.path for crop in outcome.crops}
                move_away(folder, (crop for crop in done[outcome.source].crops if crop.path not in names))
            add_line(journal, outcome)
            known[outcome.source] = outcome
            if progress is not None:
                progress(len(tasks) - len(left) + number, len(tasks))
        outcomes = tuple(known[task.source] for task in tasks)
        write_results(folder, outcomes, listed.ignored)
        gone = len(gone_crops(folder))
    seconds = time.perf_counter() - started
    ignored = tuple(listed.ignored)
    return Aligned(outcomes=outcomes, before=len(tasks) - len(left), seconds=seconds, gone=gone, ignored=ignored)


def lacks_reader(outcome: Outcome) -> bool:
    """Whether a photo could not be read because a package is missing, so that it is worth another try."""
    return outcome.status == "unreadable" and HEIC_NEEDS in outcome.problem


def settings_of(options: AlignOptions) -> dict[str, Any]:
    """Everything that decides how a crop looks; raises FacesError when the detector is not here."""
    template = options.template
    crop = {"template": template.name, "height": template.height, "width": template.width}
    files = {"choose": options.choose, "format": options.kind, "quality": options.quality}
    return {**opened(options.detector).settings, **crop, **files}


def planned(sources: Sequence[str]) -> list[_Task]:
    """Names for the crops: the photo's own without its ending, unless two photos differ in nothing else."""
    stems = Counter(str(PurePosixPath(source).with_suffix("")) for source in sources)
    tasks = []
    for source in sources:
        stem = str(PurePosixPath(source).with_suffix(""))
        tasks.append(_Task(source=source, stem=stem if stems[stem] == 1 else source))
    return tasks


@lru_cache(maxsize=1)
def opened(choice: DetectorChoice) -> Detector | ListedLandmarks:
    """The detector of this process."""
    return choice.open()


def align_photo(task: _Task, root: Path, folder: Path, options: AlignOptions) -> Outcome:
    """Find the faces on one photo and write their crops."""
    path = root / task.source
    stamp = stamp_of(path)
    if problem := unusable(task, options):
        return Outcome(source=task.source, **stamp, status="unreadable", problem=problem)
    try:
        photo = read_photo(path)
    except FacesError as error:
        return Outcome(source=task.source, **stamp, status="unreadable", problem=str(error))
    chosen = choose(faces_on(photo, task.source, options.detector), photo.shape[:2], options.choose)
    try:
        matrices = [similarity(one.face.landmarks, options.template.array()) for one in chosen]
    except FacesError as error:
        return Outcome(source=task.source, **stamp, status="no face", problem=str(error))
    crops = []
    for one, matrix in zip(chosen, matrices, strict=True):
        stem = f"{task.stem}_face{one.number}" if options.choose == "all" else task.stem
        name = f"{stem}.{options.kind}"
        picture = warp(photo, matrix, options.template.height, options.template.width)
        write_whole(folder / name, encoded(picture, options))
        crops.append(_crop(name, one, matrix, options.template))
    return Outcome(source=task.source, **stamp, status="aligned" if crops else "no face", crops=tuple(crops))


def unusable(task: _Task, options: AlignOptions) -> str:
    """Why a photo cannot give its name to a crop and to a line of the manifest; "" where it can."""
    if not is_utf8(task.source):
        return "its name, or that of a folder above it, is not UTF-8, as in old archives: rename it"
    number = "_face99" if options.choose == "all" else ""
    if len(f"{PurePosixPath(task.stem).name}{number}.{options.kind}".encode()) > _LONGEST_NAME:
        return f"its name is too long for that of a crop, which has at most {_LONGEST_NAME} bytes: rename it"
    return ""


def faces_on(photo: Photo, source: str, choice: DetectorChoice) -> tuple[Face, ...]:
    """The faces that are found, or that the list of landmarks has for this photo."""
    detector = opened(choice)
    return detector.of(source) if isinstance(detector, ListedLandmarks) else detector.detect(photo)


def encoded(picture: Photo, options: AlignOptions) -> bytes:
    """A crop as the bytes of its file; JPEG without colour subsampling, which would blur lips and eyes."""
    file = BytesIO()
    if options.kind == "png":
        Image.fromarray(picture).save(file, "PNG")
    else:
        Image.fromarray(picture).save(file, "JPEG", quality=options.quality, subsampling=0)
    return file.getvalue()


def _crop(name: str, one: Chosen, matrix: Matrix, template: Template) -> Crop:
    face = one.face
    return Crop(
        path=name,
        box=tuple(float(value) for value in face.box),
        landmarks=tuple(float(value) for value in face.landmarks.ravel()),
        score=face.score,
        turned=face.turned,
        faces=one.found,
        chosen=one.reason,
        misfit=misfit(matrix, face.landmarks, template.array()),
        scale=scale_of(matrix),
    )


def stamp_of(path: Path) -> dict[str, Any]:
    """What tells a photo from another of its name: size, times, checksum; nothing where it cannot be read."""
    try:
        times = times_of(path)
        return {**times, "checksum": f"{zlib.crc32(read_regular(path)):08x}"}
    except OSError:
        return {"bytes": 0}


def times_of(path: Path) -> dict[str, int]:
    found = path.stat()
    return {"bytes": found.st_size, "modified": found.st_mtime_ns, "changed": found.st_ctime_ns}


def _still(outcome: Outcome, root: Path, folder: Path) -> Outcome | None:
    """What was done before, where the photo is still the same and all of its crops are there, else None.

    A photo whose times are others is read: a copy of the same content is the same photo.
    """
    if (
        not outcome.checksum
        or lacks_reader(outcome)
        or (outcome.crops and not is_utf8(outcome.source))
        or not all((folder / crop.path).is_file() for crop in outcome.crops)
    ):
        return None
    path = root / outcome.source
    try:
        times = times_of(path)
    except OSError:
        return None
    if times == {name: getattr(outcome, name) for name in times}:
        return outcome
    if times["bytes"] != outcome.bytes or stamp_of(path).get("checksum") != outcome.checksum:
        return None
    return replace(outcome, modified=times["modified"], changed=times["changed"])


def _outcomes(
    tasks: Sequence[_Task], root: Path, folder: Path, options: AlignOptions, jobs: int | None
) -> Iterator[Outcome]:
    parts = [tasks[start : start + _TOGETHER] for start in range(0, len(tasks), _TOGETHER)]
    jobs = min(_jobs_for(len(tasks), options) if jobs is None else jobs, len(parts))
    if jobs <= 1:
        with threads_of_torch(1):
            for task in tasks:
                yield align_photo(task, root, folder, options)
        return
    pool = ProcessPoolExecutor(
        jobs, multiprocessing.get_context("spawn"), initializer=end_with, initargs=(name_of_this_process(),)
    )
    try:
        with _unheard_by_children():
            waiting = [pool.submit(_align_part, part, root, folder, options) for part in parts]
        for finished in as_completed(waiting):
            yield from finished.result()
    except BrokenProcessPool as error:
        raise FacesError(
            "a process that aligned photos was killed, most likely for want of memory; what is finished is kept, "
            "give the same command again with fewer --jobs"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _jobs_for(photos: int, options: AlignOptions) -> int:
    """A process for each core, since a detector's operations are too small to be shared; fewer for few photos."""
    if options.detector.device != "cpu":
        return 1
    return max(1, min(usable_cores(), photos // _WORTH_A_PROCESS))


@contextmanager
def _unheard_by_children() -> Generator[None, None, None]:
    """Processes that start in this block ignore Ctrl-C: the first one ends them, and says so once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _align_part(tasks: Sequence[_Task], root: Path, folder: Path, options: AlignOptions) -> list[Outcome]:
    with threads_of_torch(1):
        return [align_photo(task, root, folder, options) for task in tasks]
