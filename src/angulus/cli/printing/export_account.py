"""What `angulus export` says at its end: what was written, how it compares, which threshold it has, what comes next."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from angulus.export import Exported
    from angulus.runtime.thresholds import Rate, Threshold


def told(done: "Exported") -> Iterator[str]:
    """The lines."""
    artefact, parity = done.description.artefact, done.parity
    whose = "both mirror views" if artefact.mirror else "one view"
    yield f"{done.path}: {artefact.kind}, {artefact.precision}, vectors of {artefact.dim} numbers from {whose}"
    brought = done.description.detector
    yield "no detector: it takes aligned crops alone" if brought is None else f"detector: {brought.name}"
    if "not_run" in parity:
        yield parity["not_run"]
        return
    yield from _compared(parity)
    if done.threshold is None:
        yield f"no threshold: {done.missing}"
        yield "next: the same again with --images and a folder of more people, so that angulus verify can decide"
        return
    yield from _threshold(done.threshold, parity.get("verification"))
    yield f"next: angulus verify a.jpg b.jpg --bundle {done.path}"


def _compared(parity: Any) -> Iterator[str]:
    size, seconds = parity["bytes"], parity["seconds_an_image"]
    yield f"size: {size['after'] / 1e6:.2f} MB, the model's weights {size['before'] / 1e6:.2f} MB"
    one, many = (1000 * seconds["after"][count] for count in ("1", "32"))
    times = seconds["before"]["32"] / seconds["after"]["32"]
    yield (
        f"speed: {one:.1f} ms an image alone, {many:.1f} ms in batches of 32, {times:.2f} times that of the model in"
        f" torch (one thread, {parity['runtime']})"
    )
    what = f"{parity['distance']['images']:,} images" if parity["images"] == "given" else "made-up pictures"
    yield (
        f"difference: vectors of {what} lie within {parity['largest_distance']:.2g} (1 - cosine) of the model's,"
        f" {parity['tolerance']:g} is let pass; a score of two changes by at most {parity['scores']['largest']:.2g}"
        if parity["scores"]
        else f"difference: the vector lies within {parity['largest_distance']:.2g} (1 - cosine) of the model's"
    )


def _threshold(found: "Threshold", verification: Any) -> Iterator[str]:
    chance = f"{100 * found.level:g} %"
    yield (
        f"threshold: {found.value:.4f}; on {found.people:,} people who had no part in choosing it, it takes"
        f" {_one_in(found.far)} pairs of strangers for one person (FAR {_percent(found.far)}) and recognises"
        f" {100 * (1 - found.frr.estimate):.2f} % of pairs of one person (TAR, {chance}:"
        f" {100 * (1 - found.frr.high):.2f} to {100 * (1 - found.frr.low):.2f} %)"
    )
    if found.note:
        yield f"note: {found.note}"
    if verification:
        before, after = (100 * verification[name]["tar"]["estimate"] for name in ("before", "after"))
        yield f"TAR at FAR {verification['far']:g} on all people: {after:.2f} %, the model itself {before:.2f} %"


def _one_in(rate: "Rate") -> str:
    return "none of the" if rate.estimate == 0 else f"one in {1 / rate.estimate:,.0f}"


def _percent(rate: "Rate") -> str:
    return f"{100 * rate.estimate:.2g} %, {100 * rate.low:.2g} to {100 * rate.high:.2g} %"
