"""Runs what is missing of a study, several trainings at a time, and keeps the table up to date after each of them.

Every training is a process of its own (`angulus train`), or several under torchrun where the study says so; one that
fails takes nothing with it. A run is done
when its folder holds result.json; the folder's name carries the fingerprint of the recipe, so a changed recipe is
another run. What was interrupted is resumed from its last checkpoint. Trainings end with the study, however it ends.
"""

import itertools
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from angulus.config import to_dict, to_yaml
from angulus.config.layers import classes_named
from angulus.devices.processors import limited_to, usable_cores
from angulus.errors import AngulusError, DataError
from angulus.files import open_in_place
from angulus.folder_locks import locked
from angulus.lifelines import ends_with_me
from angulus.storage import address_of, is_address
from angulus.study.outcome import Outcome, stored_outcome
from angulus.study.plan import Job, Plan
from angulus.study.stored_table import holds_figures
from angulus.study.table import write_outputs
from angulus.training.storage.atomic_files import write_text
from angulus.whole_files import clear_partials

log = logging.getLogger(__name__)


Runner = Callable[[Job, int], Outcome]


def run_study(
    plan: Plan, *, jobs: int = 1, threads: int | None = None, run: Runner | None = None, table_only: bool = False
) -> dict[Job, Outcome]:
    """Run the missing jobs and write table.md, study.json and plot.svg after each; returns the outcome of every job.

    jobs: trainings at a time.  threads: CPU threads of each; None shares the cores.
    run: what runs one job with so many threads; None starts a process for each.
    table_only: run nothing, write the table of what is there.

    Raises DataError where there is no data for a run that is missing, and AngulusError where none is done and the
    folder holds a table with figures, which stays as it is.
    """
    if jobs < 1 or (threads is not None and threads < 1):
        raise AngulusError(f"jobs and threads must be at least 1, got {jobs} and {threads}")
    threads = threads or max(1, usable_cores() // jobs)
    with locked(plan.out, AngulusError, "running the study in"):
        return run_locked(plan, jobs, threads, run, table_only=table_only)


def run_locked(plan: Plan, jobs: int, threads: int, run: Runner | None, *, table_only: bool) -> dict[Job, Outcome]:
    """The same in a folder that is held."""
    for folder in (plan.out, *{job.folder.parent for job in plan.jobs}):
        clear_partials(folder, deep=False)
    outcomes = {job: stored_outcome(job) for job in plan.jobs}
    # by seed: a table of all rows stands early, and fills up from there
    by_seed = sorted(plan.jobs, key=lambda job: plan.seeds.index(job.seed))
    missing = [job for job in by_seed if not outcomes[job].is_done]
    log.info("%s: %d runs, %d of them done", plan.title, len(plan.jobs), len(plan.jobs) - len(missing))
    if missing and not table_only and run is None:
        check_data(missing)
    write_known(plan, outcomes)
    if missing and not table_only:
        run_all(plan, missing, outcomes, jobs, threads, run)
    if not write_known(plan, outcomes):
        raise AngulusError(
            f"no run of the study is done, and {os.path.normpath(plan.out)} holds a table with the figures of other "
            "runs, which was left as it is; name another folder with --out for a table without figures"
        )
    return outcomes


def write_known(plan: Plan, outcomes: Mapping[Job, Outcome]) -> bool:
    """Write table and plot; False where no run is done and a table with figures lies there, which stays."""
    if not any(outcome.is_done for outcome in outcomes.values()) and holds_figures(plan.out):
        return False
    write_outputs(plan, outcomes)
    return True


def check_data(jobs: list[Job]) -> None:
    """Raise DataError, before the first training, where a recipe names data of this machine that are not there."""
    lacking = {path: job for job in reversed(jobs) for path in paths_in(to_dict(job.experiment)) if is_missing(path)}
    if lacking:
        named = "; ".join(f"there is no {path}, which {job.row} reads" for path, job in sorted(lacking.items()))
        raise DataError(f"{named}. Nothing was trained: fetch the data, or name another place, as in data.path=FOLDER")


def paths_in(value: Any, key: str = "") -> Iterator[str]:
    """What stands under `path` anywhere in what describes the data of a recipe, and in its rules of identities."""
    if key in ("path", "exclude_from") and isinstance(value, str):
        yield value
    for name, inner in value.items() if isinstance(value, Mapping) else ():
        if key or name in ("data", "evaluation"):
            yield from paths_in(inner, name)


def is_missing(path: str) -> bool:
    """Whether a path of this machine, which is neither an address nor a pattern, leads to nothing."""
    return not is_address(path) and address_of(path) is None and "*" not in path and not Path(path).exists()


def run_all(
    plan: Plan, missing: list[Job], outcomes: dict[Job, Outcome], jobs: int, threads: int, run: Runner | None
) -> None:
    """Run jobs in order, so many at a time; a failed one becomes an outcome like any other."""
    processes = Processes()
    runner = run or processes.run
    numbers, lock, started = itertools.count(1), threading.Lock(), time.monotonic()

    def run_one(job: Job) -> None:
        outcome = outcome_of(runner, job, threads)
        with lock:
            if processes.stopped:
                return  # the study was interrupted: this run is missing, not failed
            outcomes[job] = outcome
            write_known(plan, outcomes)
            announce(job, outcome, next(numbers), len(missing), time.monotonic() - started)

    pool = ThreadPoolExecutor(jobs)
    futures = [pool.submit(run_one, job) for job in missing]
    try:
        for future in as_completed(futures):
            future.result()
    except BaseException:
        for future in futures:
            future.cancel()
        processes.stop()
        raise
    finally:
        pool.shutdown(wait=True)


def outcome_of(run: Runner, job: Job, threads: int) -> Outcome:
    try:
        return run(job, threads)
    except Exception as error:  # whatever a run raises is a line of the table
        return Outcome(error=str(error) or type(error).__name__)


def announce(job: Job, outcome: Outcome, number: int, total: int, seconds: float) -> None:
    remaining = seconds / number * (total - number)
    text = "done" if outcome.is_done else f"FAILED: {outcome.error}"
    log.info("%d/%d  %s, seed %d: %s (about %.0f min left)", number, total, job.row, job.seed, text, remaining / 60)


class Processes:
    """The trainings that are running; `stop` ends them, so that nothing is left behind."""

    def __init__(self) -> None:
        self.running: set[subprocess.Popen[str]] = set()
        self.stopped = False
        self.lock = threading.Lock()

    def run(self, job: Job, threads: int) -> Outcome:
        """One training as a process: its recipe in a file, its output in a log beside its folder."""
        recipe = job.folder.with_name(f"{job.folder.name}.yaml")
        write_text(recipe, to_yaml(job.experiment))
        # the study was allowed to name them; in the file, which has every field, they would be a stranger's
        classes = [f"--allow={name}" for name in sorted(classes_named(to_dict(job.experiment)))]
        record = job.folder.with_name(f"{job.folder.name}.log")
        limits = limited_to(max(1, threads // job.processes))
        with os.fdopen(open_in_place(record), "a", encoding="utf-8") as output:
            with self.lock:
                if self.stopped:
                    return Outcome(error="the study was interrupted before this run began")
                process = subprocess.Popen(
                    [*python_of(job.processes), "-m", "angulus", "train", str(recipe), "--resume", *classes],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    text=True,
                    env={**os.environ, **limits, **ends_with_me()},
                    start_new_session=True,  # Ctrl-C is for the study, which then stops its trainings itself
                )
                self.running.add(process)
            try:
                status = process.wait()
            finally:
                self.running.discard(process)
        return stored_outcome(job) if status == 0 else Outcome(error=last_words(record, status))

    def stop(self) -> None:
        with self.lock:
            self.stopped = True
        for process in list(self.running):
            process.terminate()
        for process in list(self.running):
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def python_of(processes: int) -> list[str]:
    """How Python is started, by itself or in several processes that know of each other."""
    if processes == 1:
        return [sys.executable]
    together = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [sys.executable, *together]


def last_words(record: Path, status: int) -> str:
    """Why a training ended: the sentence after "error:" in its log, or its last line."""
    lines = [line.strip() for line in record.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    for index in range(len(lines) - 1, -1, -1):
        if lines[index].startswith("error: "):
            # what follows may be the report of torchrun; the list of several problems belongs to the sentence
            listed = itertools.takewhile(lambda line: line.startswith("- "), lines[index + 1 :])
            return " ".join([lines[index].removeprefix("error: "), *listed])
    ended = f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
    return f"{ended}: {lines[-1]}" if lines else f"{ended} without a word"
