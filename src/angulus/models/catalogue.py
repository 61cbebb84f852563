"""Which networks there are, by the name that a recipe or a model file gives them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from angulus.errors import ModelError
from angulus.models.base import ModelConfig, Spec
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
from angulus.models.spec import InputSpec
from angulus.models.speech.campplus import CAMPPlus
from angulus.models.speech.ecapa import ECAPA, ECAPA512, ECAPA1024
from angulus.models.speech.resnet import SpeakerResNet, SpeakerResNet34
from angulus.models.speech.spec import KIND, SpeechInput
from angulus.models.speech.speechbrain_ecapa import SpeechBrainECAPA
from angulus.models.speech.tiny_speech import TinySpeech
from angulus.models.sphereface20 import SphereFace20
from angulus.models.tiny import TinyNet
from angulus.models.vit import ViT, ViTBase, ViTSmall, ViTTiny

MODELS: dict[str, type] = {
    "tiny": TinyNet,
    "mobilefacenet": MobileFaceNet,
    "iresnet": IResNet,
    "iresnet18": IResNet18,
    "iresnet34": IResNet34,
    "iresnet50": IResNet50,
    "iresnet100": IResNet100,
    "iresnet200": IResNet200,
    "magface_iresnet": MagFaceIResNet,
    "ir": IR,
    "mbf": MBF,
    "mbf_large": MBFLarge,
    "inception_resnet_v1": InceptionResNetV1,
    "resnet": ResNet,
    "resnet50": ResNet50,
    "sphereface20": SphereFace20,
    "vit": ViT,
    "vit_tiny": ViTTiny,
    "vit_small": ViTSmall,
    "vit_base": ViTBase,
    "tiny_speech": TinySpeech,
    "ecapa": ECAPA,
    "ecapa_512": ECAPA512,
    "ecapa_1024": ECAPA1024,
    "speaker_resnet": SpeakerResNet,
    "speaker_resnet34": SpeakerResNet34,
    "campplus": CAMPPlus,
    "speechbrain_ecapa": SpeechBrainECAPA,
}


def config_to_dict(config: ModelConfig) -> dict[str, Any]:
    """{"name": ..., field: value, ...} of plain values; a class of the user's own is named "module:Class"."""
    own = f"{type(config).__module__}:{type(config).__qualname__}"
    name = next((name for name, kind in MODELS.items() if kind is type(config)), own)
    values: dict[str, Any] = {"name": name}
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        if field.init:
            values[field.name] = _plain(value)
    return values


def config_from_dict(
    values: Mapping[str, Any], configs: Mapping[str, type] = MODELS, *, where: str = "the model"
) -> ModelConfig:
    """The inverse of `config_to_dict`. Raises ModelError for an unknown name, unknown fields and bad values."""
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    name = fields.pop("name", None)
    if not isinstance(name, str) or name not in configs:
        raise ModelError(f"{where} names the network {name!r}, known are: {', '.join(configs)}")
    try:
        fields["input"] = _spec_from_dict(values["input"])
        _check_spec(configs[name], fields["input"])
        return configs[name](**fields)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise ModelError(f"{where} does not describe a {name}: {error}") from error


def _spec_from_dict(values: Mapping[str, Any]) -> Spec:
    """The input of a network; that of a recipe of a run says its content, and not its kind."""
    is_speech = values.get("kind", KIND if "content" in values else None) == KIND
    return SpeechInput.from_dict(values) if is_speech else InputSpec.from_dict(values)


def _check_spec(kind: type, spec: Spec) -> None:
    """Raise ValueError where a network for images is given speech, or the other way round."""
    wanted = next((field.type for field in dataclasses.fields(kind) if field.name == "input"), None)
    if wanted in (InputSpec, SpeechInput) and not isinstance(spec, wanted):
        raise ValueError(f"its input must be {wanted.__name__}, got {type(spec).__name__}")


def _plain(value: Any) -> Any:
    if isinstance(value, InputSpec | SpeechInput):
        return value.to_dict()
    return list(value) if isinstance(value, tuple) else value
