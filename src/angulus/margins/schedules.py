"""How a margin, a scale or an annealing weight changes with the training step: pure functions of the step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

Unit = Literal["step", "epoch", "run"]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Base of all schedules; `at(step)` is the value at an optimizer step counted from 0."""

    def at(self, step: int) -> float:
        raise NotImplementedError

    def extremes(self) -> Sequence[float]:
        """The values between which the schedule stays (for checks of the allowed range)."""
        raise NotImplementedError

    def in_steps(self, epoch: int, run: int) -> Self:
        """The same schedule counted in steps. epoch, run: how many steps one epoch and the whole run have."""
        return self


@dataclass(frozen=True, kw_only=True)
class Chosen(Schedule):
    """A value that fits the data and is chosen when a run starts: `auto` in recipes. No head takes it."""

    def at(self, step: int) -> float:
        raise ValueError("a value that is to be chosen (auto) is known when a run has started; give a number")

    def extremes(self) -> Sequence[float]:
        return ()


@dataclass(frozen=True, kw_only=True)
class Ramp(Schedule):
    """Base of schedules that go from `start` to `end` between `begin` and `until`.

    unit: what begin and until count: steps, epochs, or the whole run (until=0.5 is half of it).
    """

    start: float = 0.0
    end: float
    begin: float = 0
    until: float
    unit: Unit = "step"

    def __post_init__(self) -> None:
        if self.until <= self.begin:
            raise ValueError(f"a schedule must end after it begins, got begin {self.begin}, until {self.until}")

    def in_steps(self, epoch: int, run: int) -> Self:
        size = steps_per(self.unit, epoch, run)
        return replace(self, begin=self.begin * size, until=self.until * size, unit="step")

    def progress(self, step: int) -> float:
        if self.unit != "step":
            raise ValueError(f"a schedule in the unit {self.unit!r} needs in_steps(epoch, run) before it is used")
        return min(max((step - self.begin) / (self.until - self.begin), 0.0), 1.0)

    def extremes(self) -> Sequence[float]:
        return self.start, self.end


@dataclass(frozen=True, kw_only=True)
class Linear(Ramp):
    """A straight line from `start` to `end` between `begin` and `until`, constant outside."""

    def at(self, step: int) -> float:
        return self.start + (self.end - self.start) * self.progress(step)


@dataclass(frozen=True, kw_only=True)
class Exponential(Ramp):
    """Quick at first, then slower: start + (end - start) (1 - r^x), r = 1e-3 / (1 + 1e-6), x the progress.

    The margin schedule of speaker recipes; its last value is `end` up to a thousandth of the way.
    """

    def at(self, step: int) -> float:
        if self.progress(step) >= 1.0:
            return self.end
        rate = math.log(1e-3 / (1.0 + 1e-6))
        return self.start + (self.end - self.start) * (1.0 - math.exp(rate * self.progress(step)))


@dataclass(frozen=True, kw_only=True)
class InverseDecay(Schedule):
    """max(minimum, base (1 + gamma t)^-power) with t = step + 1: the annealing weight lambda of SphereFace.

    The defaults are those of the released SphereFace-20 (1000, 0.12, 1, 5).
    """

    base: float = 1000.0
    gamma: float = 0.12
    power: float = 1.0
    minimum: float = 5.0

    def __post_init__(self) -> None:
        if min(self.base, self.gamma, self.power, self.minimum) < 0:
            raise ValueError(
                f"base, gamma, power and minimum must be at least 0, got {self.base:g}, {self.gamma:g}, "
                f"{self.power:g}, {self.minimum:g}"
            )

    def at(self, step: int) -> float:
        return max(self.minimum, self.base * (1.0 + self.gamma * (step + 1)) ** -self.power)

    def extremes(self) -> Sequence[float]:
        return self.minimum, max(self.base, self.minimum)


@dataclass(frozen=True, kw_only=True)
class Steps(Schedule):
    """values[k] from boundaries[k-1] on: a staircase with one value more than boundaries.

    unit: what the boundaries count: steps, epochs, or the whole run.
    """

    boundaries: tuple[float, ...]
    values: tuple[float, ...]
    unit: Unit = "step"

    def __post_init__(self) -> None:
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                f"a staircase needs one value more than boundaries, got {len(self.values)} values "
                f"and {len(self.boundaries)} boundaries"
            )
        if list(self.boundaries) != sorted(set(self.boundaries)):
            raise ValueError(f"boundaries must increase, got {self.boundaries}")

    def in_steps(self, epoch: int, run: int) -> Self:
        size = steps_per(self.unit, epoch, run)
        return replace(self, boundaries=tuple(size * value for value in self.boundaries), unit="step")

    def at(self, step: int) -> float:
        if self.unit != "step":
            raise ValueError(f"a schedule in the unit {self.unit!r} needs in_steps(epoch, run) before it is used")
        return self.values[sum(step >= boundary for boundary in self.boundaries)]

    def extremes(self) -> Sequence[float]:
        return min(self.values), max(self.values)


@dataclass(frozen=True, kw_only=True)
class Delayed(Schedule):
    """Another schedule, in steps, that begins at step `by`: that of a later stage of a run. No recipe names it."""

    schedule: Schedule
    by: int

    def at(self, step: int) -> float:
        return self.schedule.at(step - self.by)

    def extremes(self) -> Sequence[float]:
        return self.schedule.extremes()


def steps_per(unit: Unit, epoch: int, run: int) -> int:
    """How many steps one `unit` has."""
    if unit not in ("step", "epoch", "run"):
        raise ValueError(f'a schedule counts in the unit "step", "epoch" or "run", got {unit!r}')
    return {"step": 1, "epoch": epoch, "run": run}[unit]
