"""Turning a recogniser back into faces, and auditing what its templates give away."""

from angulus.inversion.acceptance import Faces, calibrated, compare, rates
from angulus.inversion.attacked import attacked
from angulus.inversion.audit import Attack, Made, audit, run_attacks
from angulus.inversion.defences import DEFENCES, defended
from angulus.inversion.frechet import frechet_distance
from angulus.inversion.identity import ClosedSet, OpenSet
from angulus.inversion.invert import invert
from angulus.inversion.judges import Judge, model_judge
from angulus.inversion.objective import Terms, Weights, objective
from angulus.inversion.options import InversionOptions
from angulus.inversion.people import AuditPeople, choose_people
from angulus.inversion.priors import image_norm, total_variation
from angulus.inversion.statistics import Matching, batch_norm_layers, listening
from angulus.inversion.targets import (
    Targets,
    check_stamp,
    class_targets,
    fingerprint_of_model,
    template_targets,
)

__all__ = [
    "DEFENCES",
    "Attack",
    "AuditPeople",
    "ClosedSet",
    "Faces",
    "InversionOptions",
    "Judge",
    "Made",
    "Matching",
    "OpenSet",
    "Targets",
    "Terms",
    "Weights",
    "attacked",
    "audit",
    "batch_norm_layers",
    "calibrated",
    "check_stamp",
    "choose_people",
    "class_targets",
    "compare",
    "defended",
    "fingerprint_of_model",
    "frechet_distance",
    "image_norm",
    "invert",
    "listening",
    "model_judge",
    "objective",
    "rates",
    "run_attacks",
    "template_targets",
    "total_variation",
]
