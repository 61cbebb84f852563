"""From a photo to aligned crops of the faces on it: detection, five landmarks, a similarity, a warp.

    detector = DetectorChoice().open()
    face = detector.detect(photo)[0]                 photo: uint8 [h, w, 3], RGB
    crop = align(photo, face.landmarks, ARCFACE)     uint8 [112, 112, 3]

Needs numpy and Pillow; detectors come from packages or files that are named when they are missing, MTCNN runs in torch.
"""

from angulus.faces.alignment import Aligned, AlignOptions, align_folder
from angulus.faces.crop_sheet import contact_sheet
from angulus.faces.detectors.catalogue import DetectorChoice
from angulus.faces.detectors.detection import Detector, Face
from angulus.faces.detectors.landmark_lists import ListedLandmarks
from angulus.faces.detectors.mtcnn import Mtcnn, MtcnnOptions
from angulus.faces.detectors.onnx import OnnxDetector, OnnxOptions
from angulus.faces.detectors.rotations import Turning
from angulus.faces.detectors.yuface import Yuface, YufaceOptions
from angulus.faces.face_choice import Chosen, choose
from angulus.faces.image_warp import align, warp
from angulus.faces.similarity_transform import similarity
from angulus.faces.templates import ARCFACE, SPHEREFACE, TEMPLATES, Template, template_named

__all__ = [
    "ARCFACE",
    "SPHEREFACE",
    "TEMPLATES",
    "AlignOptions",
    "Aligned",
    "Chosen",
    "Detector",
    "DetectorChoice",
    "Face",
    "ListedLandmarks",
    "Mtcnn",
    "MtcnnOptions",
    "OnnxDetector",
    "OnnxOptions",
    "Template",
    "Turning",
    "Yuface",
    "YufaceOptions",
    "align",
    "align_folder",
    "choose",
    "contact_sheet",
    "similarity",
    "template_named",
    "warp",
]
