"""What the doctor says on a terminal: all of it, or the two lines at the end of a training."""

import shlex
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from angulus.errors import AngulusError

if TYPE_CHECKING:
    from angulus.diagnosis import Diagnosis

WIDTH = 100
NAMES = " " * 11
"""The column in which the last lines of a training have their names."""
HEALTHY = "healthy: nothing is wrong with what this run recorded"
PARTLY = "nothing was found, but not everything could be looked at"


def account(found: "Diagnosis") -> str:
    """Every finding with evidence and advice, the first to act on first; then what could not be looked at."""
    parts = [PARTLY if found.notes else HEALTHY] if found.is_healthy else []
    for number, finding in enumerate(found.findings, 1):
        parts.append(f"{number}. {finding.title}")
        parts += [indented(f"seen: {finding.evidence}"), indented(f"do:   {finding.advice}")]
    parts += [f"note: {note}" for note in found.notes]
    return "\n".join(parts)


def indented(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="   ", subsequent_indent=" " * 9)


def looked_at(folder: Path) -> str:
    """`last_lines` of the run in a folder; where it cannot be looked at, why, since the training has ended well."""
    from angulus.diagnosis import diagnose

    try:
        return last_lines(diagnose(folder), folder)
    except AngulusError as error:
        return f"{'doctor'.ljust(len(NAMES))}could not look at the run: {error}"


def last_lines(found: "Diagnosis", folder: Path) -> str:
    """The first finding, or that there is none, and the command that says more; names in a column of 11."""
    if found.is_healthy:
        said = PARTLY if found.notes else HEALTHY
    else:
        first, more = found.findings[0], len(found.findings) - 1
        further = f" (and {more} more)" if more else ""
        said = f"{first.title}: {first.advice}{further}"
    wrapped = textwrap.fill(
        said,
        WIDTH,
        initial_indent="doctor".ljust(len(NAMES)),
        subsequent_indent=NAMES,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{wrapped}\n{NAMES}angulus doctor {shlex.quote(str(folder))} --report page.html"
