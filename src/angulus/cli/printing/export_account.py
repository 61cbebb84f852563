"""What `angulus export` says at its end: what was written, how it compares, which threshold it has, what comes next."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from angulus.runtime.speech_preparation import SpeechPreparation

if TYPE_CHECKING:
    from angulus.export import Exported
    from angulus.runtime.bundles import Artefact
    from angulus.runtime.thresholds import Rate, Threshold


def told(done: "Exported") -> Iterator[str]:
    """The lines."""
    artefact, parity = done.description.artefact, done.parity
    yield f"{done.path}: {artefact.kind}, {artefact.precision}, vectors of {artefact.dim} numbers{_whose(artefact)}"
    yield _taken(done)
    if "not_run" in parity:
        yield parity["not_run"]
        return
    yield from _compared(parity)
    if done.threshold is None:
        yield f"no threshold: {done.missing}"
        decides = "" if isinstance(artefact.preprocessing, SpeechPreparation) else ", so that angulus verify can decide"
        yield f"next: the same again with --images and a folder of more people{decides}"
        return
    yield from _threshold(done.threshold, parity.get("verification"))
    if isinstance(artefact.preprocessing, SpeechPreparation):
        yield f"next: angulus embed or evaluate {done.path} RECORDINGS"
        return
    yield f"next: angulus verify a.jpg b.jpg --bundle {done.path}"


def _whose(artefact: "Artefact") -> str:
    if isinstance(artefact.preprocessing, SpeechPreparation):
        return ""
    return " from both mirror views" if artefact.mirror else " from one view"


def _taken(done: "Exported") -> str:
    """What the bundle takes."""
    given, brought = done.description.artefact.preprocessing, done.description.detector
    if isinstance(given, SpeechPreparation):
        if given.content == "features":
            return f"it takes features of {given.bands} bands, float32 [n, frames, {given.bands}], of any length"
        return (
            f"it takes waveforms at {given.rate:,} Hz, float32 [n, samples] on the scale of 16-bit integers, of any"
            " length; the filter bank is inside"
        )
    return "no detector: it takes aligned crops alone" if brought is None else f"detector: {brought.name}"


def _compared(parity: Any) -> Iterator[str]:
    size, seconds = parity["bytes"], parity["seconds_an_image"]
    yield f"size: {size['after'] / 1e6:.2f} MB, the model's weights {size['before'] / 1e6:.2f} MB"
    one, many = (1000 * seconds["after"][count] for count in ("1", "32"))
    times = seconds["before"]["32"] / seconds["after"]["32"]
    is_speech = parity.get("examples") == "recordings"
    unit, noun = ("a second of speech", "recordings") if is_speech else ("an image", "images")
    yield (
        f"speed: {one:.1f} ms {unit} alone, {many:.1f} ms in batches of 32, {times:.2f} times that of the model in"
        f" torch (one thread, {parity['runtime']})"
    )
    made_up = "drawn recordings" if is_speech else "made-up pictures"
    what = f"{parity['distance']['images']:,} {noun}" if parity["images"] == "given" else made_up
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
