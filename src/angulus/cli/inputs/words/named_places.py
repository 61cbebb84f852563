"""What lies at a path that a command cannot use: a photo, a recipe, embeddings, a folder of images, nothing."""

from pathlib import Path

from angulus.embeddings.shards import is_sharded
from angulus.json_files import read_json

_PHOTOS = frozenset(
    (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".gif", ".heic", ".heif", ".avif")
)
_KINDS = {
    **dict.fromkeys(_PHOTOS, "a photo"),
    **dict.fromkeys((".yaml", ".yml"), "a recipe"),
    **dict.fromkeys((".npz", ".safetensors", ".npy"), "a file of embeddings"),
    **dict.fromkeys((".ckpt", ".pt", ".pth"), "a file of weights"),
    **dict.fromkeys((".csv", ".txt", ".tsv"), "a list or a table"),
    **dict.fromkeys((".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"), "an archive"),
    ".onnx": "an ONNX file",
    ".html": "a page",
    ".bin": "a verification set of insightface",
}
MODELS_ARE = ("the folder of a run", "the folder of a model", "a file of weights")
BUNDLES_ARE = ("a bundle", "an archive")


def what_lies_at(path: Path) -> str:
    """A noun with its article for what lies at a path: "a photo", "a folder of photos", "nothing"."""
    if path.is_dir():
        return _of_folder(path)
    kind = _KINDS.get(path.suffix.lower())
    if not path.exists():
        return "nothing"
    if path.suffix.lower() == ".json":
        return _of_json(path)
    return kind or "a file of no known kind"


def is_run(path: str | Path) -> bool:
    """True for the folder of a run."""
    return (Path(path) / "recipe.json").is_file()


def is_photo(path: Path) -> bool:
    """Whether a path is called like a photo."""
    return path.suffix.lower() in _PHOTOS


def _of_folder(path: Path) -> str:
    if is_run(path):
        return "the folder of a run"
    if (path / "bundle.json").is_file():
        return "a bundle"
    if (path / "model.json").is_file():
        return "the folder of a model"
    if is_sharded(path):
        return "a folder of embeddings"
    entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    if any(is_photo(entry) for entry in entries):
        return "a folder of photos"
    if any(entry.is_dir() for entry in entries):
        return "a folder of folders"
    return "a folder without photos" if entries else "an empty folder"


def _of_json(path: Path) -> str:
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return "a file of no known kind"
    known = isinstance(content, dict)
    if known and "tar_at_far" in content:
        return "a result of angulus evaluate"
    return "a calibration" if known and "threshold" in content else "a JSON file"
