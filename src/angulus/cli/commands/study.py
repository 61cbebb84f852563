"""`angulus study`: a grid of recipes and seeds in, one table out."""

import os
import signal
from pathlib import Path
from typing import Annotated

from angulus.cli.numbers import Count
from angulus.cli.options import Figures, Flag, Said, Trust, Usual, check_output, split_arguments
from angulus.cli.terminal import log_lines

SOME_FAILED = 1


def study(
    *arguments: str,
    out: Path | None = None,
    jobs: Annotated[int, Count] = 1,
    threads: Annotated[int | None, Count] = None,
    table_only: Annotated[bool, Flag] = False,
    trust: Trust = Usual.trust,
    said: Said = Usual.said,
    figures: Figures = Usual.figures,
) -> int:
    """Run a grid of recipes and seeds and put them into one table.

    Parameters
    ----------
    arguments
        The study's YAML file, and key=value settings that are laid over every run. With --table-only, also the folder
        of a study: its table and its plot are made anew from its study.json.
    out
        The folder for the runs and the table, instead of the one that the file names.
    jobs
        How many runs at a time.
    threads
        CPU threads of each run; as a rule the cores are shared out.
    table_only
        Run nothing; write the table of what is there.
    figures.json
        Write the table with every run to this file as well.
    """
    check_output(figures.json)
    from angulus.cli.inputs.words.run_places import check_run_outside
    from angulus.errors import ConfigError
    from angulus.study import read_plan, run_study

    files, settings = split_arguments(arguments)
    if len(files) != 1:
        raise ConfigError(f"name one file of a study, such as studies/losses.yaml; got {len(files)}: {' '.join(files)}")
    if table_only and Path(files[0]).is_dir():
        from angulus.study.stored_table import renew

        renew(Path(files[0]))
        print((Path(files[0]) / "table.md").read_text(encoding="utf-8"), end="")
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no training is left behind
    with log_lines(quiet=said.quiet):
        plan = read_plan(files[0], settings, out=out, allow=trust.allow)
        for job in plan.jobs:
            check_run_outside(job.experiment, plan.out)
        try:
            outcomes = run_study(plan, jobs=jobs, threads=threads, table_only=table_only)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the same command again goes on with what is missing") from None
    print((plan.out / "table.md").read_text(encoding="utf-8"), end="")
    print(f"\nwritten: {os.path.normpath(plan.out)}/table.md, study.json, plot.svg")
    if figures.json is not None:
        from angulus.json_files import read_json

        figures.save(read_json(plan.out / "study.json"))
    return SOME_FAILED if any(outcome.error is not None for outcome in outcomes.values()) else 0
