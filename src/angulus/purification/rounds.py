"""Clean a noisy set: train with sub-centers, list what lies far from the dominant ones, train plain without it.

OUT/purify.json              what was asked for
OUT/round-1/subcenters/      the run with K sub-centers
OUT/round-1/evidence/        angles of every image, in chunks
OUT/round-1/edits.csv        the list of what goes, which a person can edit
OUT/round-1/summary.json     figures
OUT/round-2/...              the same on what is left
OUT/retrained/               the plain run on what is left after all rounds
OUT/result.json              figures of all of it

No image is touched: a list is applied when the set is opened. Every step is whole or not there, so that the same call
goes on where it was interrupted.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from angulus.config.layers import classes_named
from angulus.data import write_edits
from angulus.devices.launched import processes_launched
from angulus.errors import CheckpointError, ConfigError
from angulus.folder_locks import locked
from angulus.json_files import read_json
from angulus.purification.edit_lists import check_left, drops_of, summary_of
from angulus.purification.evidence import angles_of, gather
from angulus.purification.rules import RULES, Rule, decide, default_angle
from angulus.purification.runs import check_one_head, open_run, subcenters_of, training_images, with_edits
from angulus.training import Experiment, Progress, record, train
from angulus.training.recipe.data_sources import whole_set
from angulus.training.recipe.defaults import choose_device
from angulus.training.recipe.serialization import differences
from angulus.training.storage.atomic_files import write_json
from angulus.training.storage.run_folder import finished_figures
from angulus.whole_files import clear_partials

log = logging.getLogger(__name__)

Images = Callable[[int, int | None], None]


@dataclass(frozen=True, kw_only=True)
class Purification:
    """How a set is cleaned.

    subcenters: centers per identity in the run that finds the noise.  rule, angle: which images go, see `rules`; None
        takes 75 degrees, or "auto" for the combined rule.
    rounds: how often; each works on what the one before left.
    retrain: whether a plain run on the clean set follows.
    """

    subcenters: int = 3
    rule: Rule = "subcenter"
    angle: float | Literal["auto"] | None = None
    rounds: int = 1
    retrain: bool = True

    def __post_init__(self) -> None:
        for name in ("subcenters", "rounds"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.rule not in RULES:
            raise ConfigError(f"rule must be one of {', '.join(RULES)}, got {self.rule!r}")
        if isinstance(self.angle, float | int) and not 0 <= self.angle <= 180:
            raise ConfigError(f"angle must be between 0 and 180 degrees, or auto, got {self.angle}")
        if self.rule in ("subcenter", "strict") and self.subcenters < 2:
            raise ConfigError(needs_subcenters("the run", self.subcenters))


@dataclass(frozen=True)
class Purified:
    """lists: one for each round.  figures: by name.  retrained: the folder of the plain run, or None."""

    folder: Path
    lists: tuple[Path, ...]
    figures: dict[str, Any]
    retrained: Path | None


def needs_subcenters(what: str, subcenters: int) -> str:
    """The sentence for a run without sub-centers."""
    return (
        f"{what} must have at least 2 sub-centers for the rules subcenter and strict, got {subcenters}; take one with "
        "head.subcenters=3, name its recipe instead of the run and let purify train it, or drop by the angle to the "
        "only center with --rule nearest"
    )


def purify(
    experiment: Experiment,
    out: Path,
    options: Purification | None = None,
    *,
    run: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    images: Images | None = None,
) -> Purified:
    """Clean the training set of an experiment in `out`; what is there already of the same call is not done again.

    run: a finished run of this experiment, which takes the place of the first round's training.
    progress, images: called while a run is trained and while images are embedded.

    Raises an AngulusError: ConfigError for options that don't fit, CheckpointError where `out` holds another
    purification, DataError where nothing would be left.
    """
    options = options or Purification()
    check_alone()
    check_one_head(experiment)
    if run is not None and options.rule in ("subcenter", "strict") and subcenters_of(run) < 2:
        raise ConfigError(needs_subcenters(f"the run {run}", subcenters_of(run)))
    with locked(out, CheckpointError, "purifying in"):
        clear_partials(out)
        return purify_locked(experiment, out, options, run, progress, images)


def purify_locked(
    experiment: Experiment,
    out: Path,
    options: Purification,
    run: Path | None,
    progress: Callable[[Progress], None] | None,
    images: Images | None,
) -> Purified:
    """The same in a folder that is held."""
    start_purification(out, experiment, options, run)
    lists: tuple[Path, ...] = ()
    rounds: list[dict[str, Any]] = []
    last = experiment
    for number in range(1, options.rounds + 1):
        folder = out / f"round-{number}"
        found = run if run is not None and number == 1 else folder / "subcenters"
        if found is not run:
            wanted = replace(with_edits(experiment, lists), out=found)
            trained_once(replace(wanted, head=replace(wanted.head, subcenters=options.subcenters)), progress)
        last, summary = list_noise(found, folder, options, images, allow=classes_named(record(experiment)))
        lists = (*lists, folder / "edits.csv")
        rounds.append(summary)
    figures: dict[str, Any] = {"rounds": rounds}
    retrained = out / "retrained" if options.retrain else None
    if retrained is not None:
        # the recipe of the last run has every number filled in, so that the schedule is the same, and the lists before
        plain = with_edits(last, lists[-1:])
        plain = replace(plain, head=replace(plain.head, subcenters=1), out=retrained)
        figures["retrained"] = trained_once(plain, progress)
    write_json(out / "result.json", figures)
    return Purified(out, lists, figures, retrained)


def list_noise(
    run: Path, folder: Path, options: Purification, images: Images | None = None, *, allow: Collection[str] = ()
) -> tuple[Experiment, dict[str, Any]]:
    """Weigh every image that a run was trained on and write the list of those that go, with a summary.

    allow: classes "module:Class" that the run's recipe may name.
    Returns the recipe of the run and the summary.
    """
    opened = open_run(run, allow=allow)
    summary = folder / "summary.json"
    if summary.is_file() and (folder / "edits.csv").is_file():
        return opened.experiment, _kept(summary)
    source = training_images(opened)
    centers = opened.centers.in_order(source.identities)
    device = choose_device(opened.experiment.device)
    evidence = gather(opened.model, source, centers, folder=folder / "evidence", device=device, progress=images)
    angles = angles_of(evidence, len(source.identities))
    verdict = decide(angles, options.rule, default_angle(options.rule) if options.angle is None else options.angle)
    check_left(source, verdict, options.rule)
    rows = drops_of(source, evidence, angles, verdict)
    write_edits(folder / "edits.csv", rows, source=whole_set(opened.experiment.data, opened.model.input))
    found = summary_of(source, angles, verdict, options.rule, opened.experiment.data.identities.min_images or 1)
    write_json(summary, found)
    log.info("%s", found["sentence"])
    return opened.experiment, found


def trained_once(experiment: Experiment, progress: Callable[[Progress], None] | None) -> dict[str, float]:
    """Train, or go on with a run that was interrupted, or take the figures of one that is finished."""
    assert experiment.out is not None
    figures = finished_figures(experiment.out)
    return train(experiment, resume=True, progress=progress).figures if figures is None else figures


def start_purification(out: Path, experiment: Experiment, options: Purification, run: Path | None) -> None:
    """Keep what was asked for, or check that what is there was asked for in the same words."""
    asked = {"options": asdict(options), "run": None if run is None else str(run), "recipe": record(experiment)}
    file = out / "purify.json"
    if not file.exists():
        out.mkdir(parents=True, exist_ok=True)
        write_json(file, asked)
        return
    different = differences(_kept(file), asked)
    if different:
        raise CheckpointError(
            f"{out} holds a purification that was asked for otherwise: {'; '.join(different[:5])}; "
            "go on with the same words, or choose another folder with --out"
        )


def _kept(file: Path) -> dict[str, Any]:
    """A JSON object that was written before. Raises CheckpointError with its name where it cannot be read."""
    try:
        content = read_json(file)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read: {error}; remove it, and what it held is made anew") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file} must hold a JSON object, got {type(content).__name__}; remove it")
    return content


def check_alone() -> None:
    """Raise ConfigError where several processes share the work, which purification does not."""
    if processes_launched() > 1:
        raise ConfigError(
            "purify must run as one process; train the run with sub-centers with torchrun, then name its folder here "
            "with --no-retrain, then train with torchrun and data.identities.edits=[OUT/round-1/edits.csv]"
        )
