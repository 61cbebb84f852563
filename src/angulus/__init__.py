"""Angulus: open-set recognition with margin-softmax losses.

The front door: what a user calls, each imported from its room when it is first asked for, so that `import
angulus.margins` still needs torch alone, and what deploys needs no torch. Margins, heads and all the rest are in the
rooms (docs/architecture.md).
"""

import importlib
from typing import TYPE_CHECKING, Any

from angulus.version import __version__

if TYPE_CHECKING:
    from angulus.data import convert, open_source
    from angulus.embeddings import EmbeddingSet
    from angulus.evaluation import calibrate_threshold, identify, retrieve, verify
    from angulus.export import export_model
    from angulus.extract import embed
    from angulus.faces import align_folder
    from angulus.heads import MarginHead, margin_softmax
    from angulus.inspection import find_leaks
    from angulus.inversion import invert
    from angulus.models import load_model, save_model
    from angulus.purification import audit_labels, purify
    from angulus.runtime import Bundle, Recognizer
    from angulus.shards import embed_shards
    from angulus.training import Experiment, train

_ROOMS = {
    "data": ("convert", "open_source"),
    "embeddings": ("EmbeddingSet",),
    "evaluation": ("calibrate_threshold", "identify", "retrieve", "verify"),
    "export": ("export_model",),
    "extract": ("embed",),
    "faces": ("align_folder",),
    "heads": ("MarginHead", "margin_softmax"),
    "inspection": ("find_leaks",),
    "inversion": ("invert",),
    "models": ("load_model", "save_model"),
    "purification": ("audit_labels", "purify"),
    "runtime": ("Bundle", "Recognizer"),
    "shards": ("embed_shards",),
    "training": ("Experiment", "train"),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "Bundle",
    "EmbeddingSet",
    "Experiment",
    "MarginHead",
    "Recognizer",
    "__version__",
    "align_folder",
    "audit_labels",
    "calibrate_threshold",
    "convert",
    "embed",
    "embed_shards",
    "export_model",
    "find_leaks",
    "identify",
    "invert",
    "load_model",
    "margin_softmax",
    "open_source",
    "purify",
    "retrieve",
    "save_model",
    "train",
    "verify",
]


if not TYPE_CHECKING:  # a type checker would take every misspelt name for Any

    def __getattr__(name: str) -> Any:
        if name not in _ROOM_OF:
            raise AttributeError(f"module 'angulus' has no attribute {name!r}")
        try:
            value = getattr(importlib.import_module(f"angulus.{_ROOM_OF[name]}"), name)
        except ModuleNotFoundError as error:
            if error.name not in ("torch", "safetensors"):
                raise
            sentence = f'angulus.{name} needs torch, which is not installed: pip install "angulus[torch]"'
            raise ModuleNotFoundError(sentence, name=error.name) from error
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
