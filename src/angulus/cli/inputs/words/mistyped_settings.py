"""Which setting of a recipe did somebody mean who wrote it as an option? `--epochs 3` is train.epochs=3."""

import shlex
from collections.abc import Iterator, Sequence

from angulus.config.suggestions import closest
from angulus.config.walk import known_paths
from angulus.training.experiment import Experiment

_RECIPES = ("config", "recipe", "recipes", "cfg")
_OTHER_WORDS = {
    "data": "data.path",
    "dataset": "data.path",
    "folder": "data.path",
    "images": "data.path",
    "learning-rate": "optim.lr",
    "wd": "optim.weight_decay",
    "optimizer": "optim",
    "batch": "train.batch_size",
    "bs": "train.batch_size",
    "loss": "margin",
    "network": "model",
    "backbone": "model",
    "arch": "model",
    "output": "out",
    "out-dir": "out",
    "output-dir": "out",
    "weights": "init",
    "pretrained": "init",
    "amp": "train.precision",
    "gpu": "device",
}


def settings_meant(command: str, words: Sequence[str]) -> str:
    """The end of a sentence on unknown options: how each of them is written as a setting; empty where none is one.

    words: of the command line from the first unknown option on.
    """
    pairs = list(_options(words))
    recipes = [shlex.quote(value) for name, value in pairs if name in _RECIPES and value]
    if recipes:
        return f"recipes are named without an option: angulus {command} {' '.join(recipes)}"
    meant = [f"{key}={shlex.quote(value) if value else '...'}" for name, value in pairs if (key := key_of(name))]
    return f"settings are written without dashes: angulus {command} {' '.join(meant)}" if meant else ""


def key_of(word: str) -> str | None:
    """The key that an option's name without its dashes stands for, the one nearest to the root; None for no key."""
    known = known_paths(Experiment)
    plain = word.replace("-", "_")
    if plain in known:
        return _OTHER_WORDS.get(word, plain)
    if word in _OTHER_WORDS:
        return _OTHER_WORDS[word]
    ends: dict[str, str] = {}
    for path in sorted(known, key=lambda path: path.count(".")):
        ends.setdefault(path.rpartition(".")[2], path)
    found = plain if plain in ends else closest(plain, known if "." in plain else ends)
    return None if found is None else ends.get(found, found)


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(name, value) of every word with dashes; "" where no value follows."""
    for place, word in enumerate(words):
        if not word.startswith("--") or word == "--":
            continue
        name, equals, value = word[2:].partition("=")
        after = words[place + 1] if place + 1 < len(words) else ""
        yield name, value if equals else "" if after.startswith("--") or "=" in after else after
