"""Studies: a grid of recipes and seeds, trained as far as it is missing, in one table with mean and spread."""

from angulus.study.outcome import Outcome
from angulus.study.plan import Job, Plan, StudyFile, read_plan
from angulus.study.run import run_study

__all__ = ["Job", "Outcome", "Plan", "StudyFile", "read_plan", "run_study"]
