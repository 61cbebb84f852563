"""What was chosen for a run that its recipe left open, and why."""

from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Choice(Generic[Value]):
    """key: of the recipe.  value: what was chosen, as the recipe would say it.  reason: one short sentence."""

    key: str
    value: Value
    reason: str
