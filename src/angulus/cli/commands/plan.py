"""`angulus plan`: what would these recipes take, and what fits this machine?"""

import sys
from typing import TYPE_CHECKING, Annotated

from angulus.cli.options import Flag, Json, check_output, save_json, split_arguments

if TYPE_CHECKING:
    from angulus.training.plan.forecast import Plan, Row

COLUMNS = ("strategy", "weights", "gradient", "state", "logits", "working", "total", "", "step")


def plan(
    *arguments: str,
    classes: int | None = None,
    images: int | None = None,
    memory: str | None = None,
    processes: int | None = None,
    quiet: Annotated[bool, Flag] = False,
    json: Json = None,
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
    quiet
        Show warnings only beside the plan.
    json
        Write the plan to this file as well, sizes in bytes.
    """
    check_output(json)
    from angulus.cli.terminal import log_lines
    from angulus.config import load
    from angulus.training.plan.assumptions import Pretended
    from angulus.training.plan.forecast import plan as plan_run

    recipes, settings = split_arguments(arguments)
    pretended = Pretended(classes=classes, images=images, memory=memory, processes=processes)
    with log_lines(quiet=quiet):
        planned = plan_run(load(recipes, settings), pretended)
    show(planned)
    save_json(json, planned.as_dict())


def show(planned: "Plan") -> None:
    """Facts, parts, one line for each strategy, and what to do."""
    from angulus.training.plan.machine import in_words

    width = max(len(name) for name in (*planned.facts, *planned.parts))
    for name, text in planned.facts.items():
        print(f"{name:<{width}}  {text}")
    print()
    for name, size in planned.parts.items():
        print(f"{name:<{width}}  {in_words(size) if size else '-':>9}")
    print("\nThe head by strategy (> is the recipe's), and the total with all the above, for one process:")
    print_table(COLUMNS, [line_of(row) for row in planned.rows])
    print("* not the exact loss and gradient: a sample of the classes, or values rounded to bfloat16")
    print(f"\n{in_words(planned.usable)} can be planned with.")
    for note in planned.notes:
        print(f"{note[0].upper()}{note[1:]}.")
    print(f"\n{planned.recommendation}")


def line_of(row: "Row") -> list[str]:
    from angulus.training.plan.forecast import in_time
    from angulus.training.plan.machine import in_words

    sizes = (row.weights, row.gradient, row.optimizer_state, row.logits, row.working, row.total)
    fits = "fits" if row.fits else "does not fit"
    name = f"{'>' if row.is_own else ' '} {row.name}{'' if row.is_exact else ' *'}"
    return [name, *(in_words(size) if size else "-" for size in sizes), fits, in_time(row.seconds)]


def print_table(columns: tuple[str, ...], lines: list[list[str]]) -> None:
    """A table on a terminal, aligned columns elsewhere."""
    if all(not line[-1] for line in lines):
        columns, lines = columns[:-1], [line[:-1] for line in lines]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for number, column in enumerate(columns):
            table.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
        for line in lines:
            style = "bold" if line[0].startswith(">") else "dim" if "does not fit" in line else None
            table.add_row(*line, style=style)
        Console().print(table)
        return
    widths = [max(len(line[number]) for line in (columns, *lines)) for number in range(len(columns))]
    for line in (columns, *lines):
        cells = zip(columns, line, widths, strict=True)
        shown = [cell.ljust(width) if name in ("strategy", "") else cell.rjust(width) for name, cell, width in cells]
        print("  ".join(shown).rstrip())
