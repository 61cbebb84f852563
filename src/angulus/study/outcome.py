"""What became of a job of a study: its figures, or why there are none."""

from dataclasses import dataclass, field

from angulus.json_files import read_json
from angulus.study.plan import Job


@dataclass(frozen=True)
class Outcome:
    """What became of a job: its figures, or why there are none. Both are empty for one that has not run yet."""

    figures: dict[str, float] = field(default_factory=dict)
    error: str | None = None

    @property
    def is_done(self) -> bool:
        return self.error is None and bool(self.figures)


def stored_outcome(job: Job) -> Outcome:
    """The figures of a run that was finished before; an empty outcome where there is none."""
    try:
        content = read_json(job.folder / "result.json")
        return Outcome(figures={name: float(value) for name, value in content["figures"].items()})
    except FileNotFoundError:
        return Outcome()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Outcome(error=f"{job.folder / 'result.json'} cannot be read: {error}")
