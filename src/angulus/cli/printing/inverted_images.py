"""What an inversion came to: how many images, how near to their targets, and what to look at."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def inverted_lines(result: Mapping[str, Any], out: Path) -> str:
    """Three lines on the content of result.json."""
    cosine = result["cosine"]
    return (
        f"{result['images']:,} images of {result['people']:,} people, {result['seconds']:.0f} s: {out}\n"
        f"cosine to the target under the attacked model {cosine['mean']:.3f} "
        f"({cosine['least']:.3f} to {cosine['most']:.3f})\nlook at {out / 'montage.png'}"
    )
