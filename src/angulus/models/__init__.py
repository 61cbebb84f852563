"""Networks that turn images or speech into embeddings, their input specs, and their files."""

from angulus.models.base import EmbeddingModel, ModelConfig, Spec
from angulus.models.catalogue import MODELS, config_from_dict, config_to_dict
from angulus.models.cost import Cost, describe
from angulus.models.files import load_model, read_description, save_model
from angulus.models.imports import import_weights
from angulus.models.iresnet import (
    IResNet,
    IResNet18,
    IResNet34,
    IResNet50,
    IResNet100,
    IResNet200,
    MagFaceIResNet,
)
from angulus.models.mobilefacenet import MobileFaceNet
from angulus.models.published.inception_resnet import InceptionResNetV1
from angulus.models.published.ir import IR
from angulus.models.published.mbf import MBF, MBFLarge
from angulus.models.published.resnet import ResNet, ResNet50
from angulus.models.recognition import recognise
from angulus.models.spec import Colour, InputSpec
from angulus.models.speech.campplus import CAMPPlus
from angulus.models.speech.ecapa import ECAPA, ECAPA512, ECAPA1024
from angulus.models.speech.resnet import SpeakerResNet, SpeakerResNet34
from angulus.models.speech.spec import SpeechInput
from angulus.models.speech.speechbrain_ecapa import SpeechBrainECAPA
from angulus.models.speech.tiny_speech import TinySpeech
from angulus.models.sphereface20 import SphereFace20
from angulus.models.tiny import TinyNet
from angulus.models.vit import ViT, ViTBase, ViTSmall, ViTTiny

__all__ = [
    "ECAPA",
    "ECAPA512",
    "ECAPA1024",
    "IR",
    "MBF",
    "MODELS",
    "CAMPPlus",
    "Colour",
    "Cost",
    "EmbeddingModel",
    "IResNet",
    "IResNet18",
    "IResNet34",
    "IResNet50",
    "IResNet100",
    "IResNet200",
    "InceptionResNetV1",
    "InputSpec",
    "MBFLarge",
    "MagFaceIResNet",
    "MobileFaceNet",
    "ModelConfig",
    "ResNet",
    "ResNet50",
    "SpeakerResNet",
    "SpeakerResNet34",
    "Spec",
    "SpeechBrainECAPA",
    "SpeechInput",
    "SphereFace20",
    "TinyNet",
    "TinySpeech",
    "ViT",
    "ViTBase",
    "ViTSmall",
    "ViTTiny",
    "config_from_dict",
    "config_to_dict",
    "describe",
    "import_weights",
    "load_model",
    "read_description",
    "recognise",
    "save_model",
]
