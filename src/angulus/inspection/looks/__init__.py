"""What is to be seen in one example: in a picture, in a recording, in the stored features of a recording."""

from angulus.inspection.looks.choice import look_of, one_look
from angulus.inspection.looks.features import FEATURES
from angulus.inspection.looks.look import Concern, Look, Measure, Words
from angulus.inspection.looks.photos import PHOTOS
from angulus.inspection.looks.recordings import RECORDINGS

__all__ = [
    "FEATURES",
    "PHOTOS",
    "RECORDINGS",
    "Concern",
    "Look",
    "Measure",
    "Words",
    "look_of",
    "one_look",
]
