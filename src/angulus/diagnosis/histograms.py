"""Numbers of the histograms that a run recorded: means, shares below a value, medians."""

from collections.abc import Mapping, Sequence
from typing import Any

from angulus.training.recording.counters import OF_PROBES, OF_STEPS, Bins

KNOWN: dict[str, Bins] = {**OF_STEPS, **OF_PROBES}


def counts_of(row: Mapping[str, Any], name: str) -> Sequence[int]:
    """The bins of a histogram in the line of a stretch; [] where it has none."""
    where = row.get("probed", {}) if name in OF_PROBES else row
    return where.get("bins", {}).get(name, [])


def share_below(counts: Sequence[int], bins: Bins, value: float) -> float:
    """The share of what was counted in bins that end at a value or before it."""
    width = (bins.high - bins.low) / bins.count
    below = sum(count for place, count in enumerate(counts) if bins.low + (place + 1) * width <= value + 1e-9)
    return below / max(sum(counts), 1)


def quantile(counts: Sequence[int], bins: Bins, share: float) -> float:
    """The middle of the bin that holds a quantile."""
    wanted, seen = share * sum(counts), 0
    width = (bins.high - bins.low) / bins.count
    for place, count in enumerate(counts):
        seen += count
        if seen >= wanted and count:
            return bins.low + (place + 0.5) * width
    return bins.high


def joined(rows: Sequence[Mapping[str, Any]], name: str) -> list[int]:
    """The histogram over several stretches."""
    found = [counts_of(row, name) for row in rows]
    return [sum(parts) for parts in zip(*[one for one in found if one], strict=True)]
