"""Turning a recogniser back into faces, and auditing what its templates give away."""

from angulus.inversion.assessment.acceptance import Faces, calibrated, compare, rates
from angulus.inversion.assessment.audit import Attack, Made, Surrogate, audit, run_attacks
from angulus.inversion.assessment.defences import DEFENCES, defended
from angulus.inversion.assessment.frechet import frechet_distance
from angulus.inversion.assessment.judges import Judge, model_judge
from angulus.inversion.assessment.people import AuditPeople, choose_people
from angulus.inversion.attack.attack_run import invert
from angulus.inversion.attack.faces.public_faces import help_of_faces
from angulus.inversion.attack.faces.spaces import Eigenfaces, eigenfaces
from angulus.inversion.attack.faces.starts import LinearDecoder, average_face, fitted_decoder
from angulus.inversion.attack.faces.surrogate import SpaceMap, fitted_map
from angulus.inversion.attack.frozen_network import attacked
from angulus.inversion.attack.identity import ClosedSet, OpenSet
from angulus.inversion.attack.objectives import Terms, Weights, objective
from angulus.inversion.attack.options import BEST, PUBLISHED, SETTINGS, InversionOptions
from angulus.inversion.attack.priors import image_norm, total_variation
from angulus.inversion.attack.statistics import Matching, batch_norm_layers, listening
from angulus.inversion.attack.targets import (
    Targets,
    check_stamp,
    class_targets,
    fingerprint_of_model,
    template_targets,
)
from angulus.inversion.attack.views import Views

__all__ = [
    "BEST",
    "DEFENCES",
    "PUBLISHED",
    "SETTINGS",
    "Attack",
    "AuditPeople",
    "ClosedSet",
    "Eigenfaces",
    "Faces",
    "InversionOptions",
    "Judge",
    "LinearDecoder",
    "Made",
    "Matching",
    "OpenSet",
    "SpaceMap",
    "Surrogate",
    "Targets",
    "Terms",
    "Views",
    "Weights",
    "attacked",
    "audit",
    "average_face",
    "batch_norm_layers",
    "calibrated",
    "check_stamp",
    "choose_people",
    "class_targets",
    "compare",
    "defended",
    "eigenfaces",
    "fingerprint_of_model",
    "fitted_decoder",
    "fitted_map",
    "frechet_distance",
    "help_of_faces",
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
