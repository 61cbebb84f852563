"""A recipe as text that a person reads and `angulus train` takes back: what was chosen for it, and why, as comments."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from angulus.errors import AngulusError

if TYPE_CHECKING:
    from angulus.training import Experiment
    from angulus.training.recipe.choices import Choice

OPEN = "# null: chosen from the data and the device when the run starts"


def filled_or_open(experiment: "Experiment", *, leave_open: bool) -> "tuple[Experiment, str, Sequence[Choice]]":
    """The recipe with what a run would choose from its data, a first line that says so, and the choices.

    Where the data cannot be read, the recipe as it is, and the reason.
    """
    if leave_open:
        return experiment, OPEN, ()
    from angulus.training.plan.filled_recipe import filled_recipe

    try:
        filled, choices = filled_recipe(experiment)
    except AngulusError as error:
        reason = "\n".join(f"#   {line}" for line in str(error).splitlines())
        return experiment, f"{OPEN}; it could not be chosen now:\n{reason}", ()
    return filled, "# chosen from the data where a comment says why; auto: chosen by the machine", choices


def annotated(text: str, choices: "Sequence[Choice]") -> str:
    """The YAML of a recipe with a comment above each section that has something chosen in it."""
    lines: list[str] = []
    for line in text.splitlines():
        name = re.match(r"(\w+):", line)
        own = [one for one in choices if name is not None and one.key.split(".")[0] == name[1]]
        lines += [f"# {one.key}: {' '.join(one.reason.split())}" for one in own]
        lines.append(line)
    return "".join(f"{line}\n" for line in lines)
