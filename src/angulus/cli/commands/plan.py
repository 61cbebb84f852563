"""`angulus plan`: what would these recipes take, and what fits this machine?"""

from typing import Annotated

from angulus.cli.numbers import Count
from angulus.cli.options import Figures, Said, Trust, Usual, check_output, split_arguments
from angulus.cli.terminal import log_lines


def plan(
    *arguments: str,
    classes: Annotated[int | None, Count] = None,
    images: Annotated[int | None, Count] = None,
    memory: str | None = None,
    processes: Annotated[int | None, Count] = None,
    trust: Trust = Usual.trust,
    said: Said = Usual.said,
    figures: Figures = Usual.figures,
) -> None:
    """Show the memory a run would take with each strategy, what fits this machine, and about how long a step is.

    Parameters
    ----------
    arguments
        Recipes (YAML files or folders of runs) and key=value settings, as for train.
    classes
        Pretend that there are so many identities; the data need not be there.
    images
        Pretend that there are so many images.
    memory
        Pretend a device with so much memory, such as 80GB or 24GiB.
    processes
        Plan for so many processes.
    said.quiet
        Show warnings only beside the plan.
    figures.json
        Write the plan to this file as well, sizes in bytes.
    """
    check_output(figures.json)
    from angulus.cli.printing.plan_table import print_plan
    from angulus.config import load
    from angulus.training.plan.assumptions import Pretended
    from angulus.training.plan.forecast import plan as plan_run

    recipes, settings = split_arguments(arguments)
    pretended = Pretended(classes=classes, images=images, memory=memory, processes=processes)
    with log_lines(quiet=said.quiet):
        planned = plan_run(load(recipes, settings, allow=trust.allow), pretended)
    print_plan(planned)
    figures.save(planned.as_dict())
