"""Names in a protocol's file that must stand for one image of a set."""

from collections.abc import Iterable, Sequence

from angulus.errors import EvaluationError


def check_named_once(names: Iterable[str], keys: Sequence[str], what: str) -> None:
    """Raise EvaluationError naming a key that the protocol `what` uses and several images have.

    Keys that no name asks for may repeat.
    """
    if len(set(keys)) == len(keys):
        return
    counts: dict[str, int] = {}
    for key in keys:
        counts[key] = counts.get(key, 0) + 1
    for name in names:
        if counts.get(name, 0) > 1:
            raise EvaluationError(
                f"{what} names {name!r}, and {counts[name]} rows of the embeddings have this key; give every one"
                " a key of its own (its folder and file name)"
            )
