"""What training came to: figures by name, and how an interrupted run goes on."""

import shlex
from collections.abc import Mapping, Sequence


def print_figures(figures: Mapping[str, float]) -> None:
    """One figure a line, names in a column."""
    width = max((len(name) for name in figures), default=0)
    for name, value in figures.items():
        print(f"{name:<{width}}  {value:.5g}")


def how_to_resume(arguments: Sequence[str]) -> str:
    """The command that goes on with an interrupted run."""
    words = [word for word in arguments if word != "--resume"]
    return f"go on with: angulus train {shlex.join(words)} --resume"
