"""A plan on the screen: its facts, its parts, one line for each strategy, and what to do."""

import sys

from angulus.training.plan.forecast import Plan, Row, in_time
from angulus.training.plan.machine import in_words

COLUMNS = ("strategy", "weights", "gradient", "state", "logits", "working", "total", "", "step")


def print_plan(planned: Plan) -> None:
    """Facts, parts, one line for each strategy, and what to do."""
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


def line_of(row: Row) -> list[str]:
    """The cells of a strategy."""
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
