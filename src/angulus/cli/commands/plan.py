"""`angulus plan`: what would these recipes take, and what fits this machine?"""

from dataclasses import asdict
from typing import Annotated, Literal

from angulus.cli.numbers import Count, Positive
from angulus.cli.options import Figures, Said, Trust, Usual, check_output, split_arguments
from angulus.cli.terminal import log_lines
from angulus.errors import ConfigError


def plan(
    *arguments: str,
    classes: Annotated[int | None, Count] = None,
    images: Annotated[int | None, Count] = None,
    memory: str | None = None,
    processes: Annotated[int | None, Count] = None,
    nodes: Annotated[int | None, Count] = None,
    gpus: Annotated[int, Count] = 8,
    link: Literal["infiniband", "ethernet"] = "infiniband",
    link_gbits: Annotated[float | None, Positive] = None,
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
    nodes
        Say instead how long a step would be on so many machines, by a model from measured pieces (docs/nodes.md).
    gpus
        GPUs of each machine.
    link
        What joins the machines.
    link_gbits
        Its rate for each GPU, in Gbit/s, instead of the usual one.
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
    if nodes is not None:
        if classes is None:
            raise ConfigError("--nodes needs the number of identities: give --classes, as in --classes 10000000")
        from angulus.cli.printing.step_table import print_steps
        from angulus.training.nodes.forecast import cluster_of, on_cluster

        with log_lines(quiet=said.quiet):
            cluster = cluster_of(nodes, gpus, link, link_gbits)
            step = on_cluster(load(recipes, settings, allow=trust.allow), classes, cluster)
        print_steps(step, cluster)
        figures.save(asdict(step))
        return
    pretended = Pretended(classes=classes, images=images, memory=memory, processes=processes)
    with log_lines(quiet=said.quiet):
        planned = plan_run(load(recipes, settings, allow=trust.allow), pretended)
    print_plan(planned)
    figures.save(planned.as_dict())
