"""What was chosen for a run that its recipe left open, and why."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Choice:
    """key: of the recipe.  value: what was chosen, as the recipe would say it.  reason: one short sentence."""

    key: str
    value: object
    reason: str
